"""Ions that pass from one anion to the other, as lithium between a sulfide and an oxide."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from md.analysis.averages import compute_average
from md.analysis.frames import Frames
from md.analysis.msd import require_interval
from md.analysis.pairs import find_pairs, map_frames
from mlip.errors import DataError

# how long ago an ion must not have been between the two anions
BEFORE_PS = 1.0


@dataclass(frozen=True)
class AnionCrossings:
    """Ions that have come between two anions.

    Attributes:
        species: symbol of the ions.
        anions: the two anions.
        cutoffs_A: how near an anion coordinates, A, for each.
        value: ions that are coordinated by both and were not `BEFORE_PS` ago, mean number in a frame.
        error: its standard error over time; None where all frames have the same number.
        times_ps: time of each frame that has one so long before it, shape (T,).
        counts: their number in it, shape (T,).
        places: fractional coordinates of each of them, shape (P, 3), in 0 to 1.
        method: how they were found.
    """

    species: str
    anions: tuple[str, str]
    cutoffs_A: tuple[float, float]
    value: float
    error: float | None
    times_ps: np.ndarray
    counts: np.ndarray
    places: np.ndarray
    method: str

    unit = "ions"


def find_anion_crossings(
    frames: Frames, species: str, anions: tuple[str, str], cutoffs_A: tuple[float, float]
) -> AnionCrossings:
    """Find ions coordinated by both of two anions now, and not 1 ps earlier.

    Args:
        frames: evenly spaced frames, longer than 1 ps.
        species: symbol of the ions.
        anions: symbols of the two anions.
        cutoffs_A: distances within which each coordinates, such as the first minima of g(r), A.

    Raises:
        DataError: The run is not longer than 1 ps.

    Source:
        Wang, Aykol and Mueller 2023, on the interface of Li3PS4 and Li3B11O18.
    """
    steps = max(1, round(BEFORE_PS / require_interval(frames)))
    if steps >= frames.num_frames:
        raise DataError(f"found {frames.duration_ps:.3g} ps; expected more than {BEFORE_PS:g} ps of frames")
    atoms = frames.select(species)
    near = [np.isin(np.arange(len(frames.numbers)), frames.select(anion)) for anion in anions]

    def look(fractional: np.ndarray, cell: np.ndarray) -> np.ndarray:
        return _between(fractional, cell, near, cutoffs_A)[atoms]

    between = np.array(map_frames(frames, look, frames.num_frames))
    entered = between[steps:] & ~between[:-steps]
    places = [
        frames.fractional[steps + k][atoms[found]] % 1.0 for k, found in enumerate(entered) if found.any()
    ]
    counts = entered.sum(axis=1)
    average = compute_average(counts)
    return AnionCrossings(
        species=species,
        anions=anions,
        cutoffs_A=cutoffs_A,
        value=average.value,
        error=average.error,
        times_ps=frames.require_times()[steps:],
        counts=counts,
        places=np.concatenate(places) if places else np.zeros((0, 3)),
        method=(
            f"{species} within {cutoffs_A[0]:.2f} A of {anions[0]} and {cutoffs_A[1]:.2f} A of {anions[1]}, "
            f"and not {BEFORE_PS:g} ps earlier, in {len(counts)} frames; {average.method}"
        ),
    )


def _between(
    fractional: np.ndarray, cell: np.ndarray, anions: Sequence[np.ndarray], cutoffs_A: tuple[float, float]
) -> np.ndarray:
    """Whether each atom has both anions near it, shape (N,)."""
    centre, neighbor, vector = find_pairs(fractional, cell, max(cutoffs_A))
    distance = np.linalg.norm(vector, axis=1)
    both = np.ones(len(fractional), dtype=bool)
    for is_anion, cutoff in zip(anions, cutoffs_A, strict=True):
        coordinating = is_anion[neighbor] & (distance < cutoff)
        both &= np.bincount(centre[coordinating], minlength=len(both)) > 0
    return both
