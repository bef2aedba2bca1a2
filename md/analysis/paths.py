"""Paths of atoms in a frame of reference, in bounded memory and on every core."""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from typing import IO

import numpy as np
from ase.data import atomic_masses

from md.analysis.frames import Frames
from md.analysis.stored import StoredPositions
from mlip.errors import ConfigError, DataError

BARYCENTRIC, FRAMEWORK = "barycentric", "framework"
# what a worker holds of paths at once, and what is read of a file at once
_BLOCK_BYTES, _CHUNK_BYTES = 2**24, 2**26


@dataclass(frozen=True)
class ReferenceFrame:
    """What displacements are relative to.

    Attributes:
        centers: fractional coordinates of the centre of mass that rests in it, shape (T, 3).
        name: barycentric (all atoms of the run) or framework (those that do not diffuse).
    """

    centers: np.ndarray
    name: str

    @property
    def method(self) -> str:
        """The frame in words."""
        atoms = "all atoms" if self.name == BARYCENTRIC else "the framework"
        return f"{self.name} frame, relative to the centre of mass of {atoms}"


def find_reference(frames: Frames, name: str = BARYCENTRIC, mobile: Sequence[str] = ()) -> ReferenceFrame:
    """Find the centre that displacements are taken relative to.

    Args:
        frames: the frames.
        name: `barycentric`, or `framework`: the atoms of other elements than the mobile ones.
        mobile: symbols of what diffuses.

    Raises:
        ConfigError: There is no such frame of reference.
        DataError: There is no framework among the atoms.
    """
    if name not in (BARYCENTRIC, FRAMEWORK):
        raise ConfigError(f"found frame={name}; expected {BARYCENTRIC} or {FRAMEWORK}")
    if name == BARYCENTRIC and frames.centers is not None:
        return ReferenceFrame(frames.centers, name)
    weights = atomic_masses[frames.numbers].copy()
    if name == FRAMEWORK:
        for symbol in mobile:
            weights[frames.numbers == frames.numbers[frames.select(symbol)[0]]] = 0.0
        if not weights.any():
            raise DataError(
                f"found no atoms but {', '.join(mobile)}; expected a framework: take frame={BARYCENTRIC}"
            )
    weights /= weights.sum()
    centers = [np.tensordot(frames.fractional[chunk], weights, (1, 0)) for chunk in chunk_frames(frames)]
    return ReferenceFrame(np.concatenate(centers), name)


def chunk_frames(frames: Frames) -> Iterator[slice]:
    """Slices that follow each other through all frames, each small enough to be read at once."""
    size = max(1, _CHUNK_BYTES // (24 * len(frames.numbers)))
    for start in range(0, frames.num_frames, size):
        yield slice(start, min(start + size, frames.num_frames))


def sum_over_paths(
    frames: Frames,
    atoms: np.ndarray,
    reference: ReferenceFrame,
    kernel: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Sum a function of paths over atoms, block by block on every core.

    A path is unwrapped fractional coordinates times the mean cell, relative to the frame of reference:
    atoms at rest in a cell that breathes or drifts do not move. Positions that stay in a file go through a
    temporary file once (`TMPDIR` says where), as float32 like what is stored.

    Args:
        frames: the frames.
        atoms: indices, shape (n,).
        reference: what the paths are relative to.
        kernel: from paths of some atoms, shape (m, 3, T), A, to their contribution.

    Returns:
        The sum of the contributions, always in the same order.
    """
    size = max(1, _BLOCK_BYTES // (24 * frames.num_frames))
    blocks = [slice(start, start + size) for start in range(0, len(atoms), size)]
    moved = (reference.centers - reference.centers[0])[:, None]
    cell = frames.mean_cell

    def contribute(coordinates: np.ndarray) -> np.ndarray:
        return kernel(np.ascontiguousarray(((coordinates - moved) @ cell).transpose(1, 2, 0)))

    with tempfile.TemporaryFile() as file, ThreadPoolExecutor(count_workers()) as pool:
        if isinstance(frames.fractional, StoredPositions):
            spooled = _spool(frames, atoms, file)
            return reduce(np.add, pool.map(lambda block: contribute(spooled[:, block]), blocks))
        return reduce(np.add, pool.map(lambda block: contribute(frames.fractional[:, atoms[block]]), blocks))


def count_workers() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0))


def _spool(frames: Frames, atoms: np.ndarray, file: IO[bytes]) -> np.ndarray:
    """Copy the coordinates of some atoms into a file where they can be read path by path."""
    spooled = np.memmap(file, np.float32, "w+", shape=(frames.num_frames, len(atoms), 3))
    home = np.floor(frames.fractional[0, atoms])
    for chunk in chunk_frames(frames):
        spooled[chunk] = frames.fractional[chunk, atoms] - home
    return spooled


def sum_groups(frames: Frames, groups: Sequence[np.ndarray], reference: ReferenceFrame) -> np.ndarray:
    """Sum the paths of groups of atoms: their collective displacement.

    Args:
        frames: the frames.
        groups: indices of the atoms of each group.
        reference: what the paths are relative to.

    Returns:
        Sums of paths, shape (T, G, 3), A.
    """
    members = np.zeros((len(groups), len(frames.numbers)))
    for row, atoms in zip(members, groups, strict=True):
        row[atoms] = 1.0
    sums = [members @ frames.fractional[chunk] for chunk in chunk_frames(frames)]
    counts = members.sum(axis=1)[:, None]
    moved = (reference.centers - reference.centers[0])[:, None]
    return (np.concatenate(sums) - counts * moved) @ frames.mean_cell
