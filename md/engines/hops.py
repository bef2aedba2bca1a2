"""How far ions came in a stage, from its frames on file: the same answer after any restart."""

from pathlib import Path

import numpy as np
from ase.data import atomic_numbers

from md.trajectory import Trajectory
from mlip.errors import DataError

_FRAMES_AT_ONCE = 64


def farthest_move(path: Path, stage: int, species: str) -> float:
    """How far the ion that went farthest got from where it was when a stage began.

    Displacements are those of fractional coordinates in the mean cell, relative to the centre of mass of all.

    Args:
        path: The trajectory, open nowhere else.
        stage: Index of the stage.
        species: Symbol of the ions.

    Returns:
        Distance in any stored frame of the stage, A.

    Raises:
        DataError: There is no such ion, or there are no frames.
    """
    with Trajectory(path) as trajectory:
        ions = np.flatnonzero(trajectory.numbers == atomic_numbers.get(species, -1))
        if len(ions) == 0:
            raise DataError(f"found no {species} in {path}; expected the species of until= in the structure")
        frames = trajectory.frames_of(stage)
        before = max(frames.start - 1, 0)
        weights = trajectory.masses / trajectory.masses.sum()
        cell = trajectory.mean_cell(frames)

        def relative(chunk: slice) -> np.ndarray:
            fractional = trajectory.fractional(chunk)
            centres = np.einsum("n,fnk->fk", weights, fractional)
            return fractional[:, ions] - centres[:, None]

        start = relative(slice(before, before + 1))
        chunks = trajectory.chunks(_FRAMES_AT_ONCE, frames)
        return max(float(np.linalg.norm((relative(each) - start) @ cell, axis=2).max()) for each in chunks)
