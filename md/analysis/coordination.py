"""Coordination numbers: how many neighbors of a species lie within the first shell of another."""

from dataclasses import dataclass

import numpy as np

from md.analysis.averages import compute_average
from md.analysis.frames import Frames
from md.analysis.pairs import find_pairs, map_frames


@dataclass(frozen=True)
class Coordination:
    """Neighbors of one species around another.

    Attributes:
        pair: symbols of the centre and of its neighbors.
        value: mean number of neighbors of a centre.
        error: standard error of the mean over time, or None for too few frames.
        cutoff_A: neighbors are closer than this.
        fractions: share of the centres with 0, 1, 2, ... neighbors, shape (K,), sums to 1.
        per_frame: mean number of neighbors in each frame used, shape (T,).
        method: how it was counted.
    """

    pair: tuple[str, str]
    value: float
    error: float | None
    cutoff_A: float
    fractions: np.ndarray
    per_frame: np.ndarray
    method: str


def compute_coordination(
    frames: Frames, pair: tuple[str, str], cutoff_A: float, max_frames: int = 100
) -> Coordination:
    """Count the neighbors of each atom of one species.

    Args:
        frames: the frames.
        pair: symbols of the centre and of its neighbors.
        cutoff_A: end of the first shell, such as `first_minimum_A` of the pair's g(r).
        max_frames: at most so many frames are used, evenly spread.
    """
    centres, neighbors = (frames.select(symbol) for symbol in pair)
    is_neighbor = np.isin(np.arange(len(frames.numbers)), neighbors)

    def count(fractional: np.ndarray, cell: np.ndarray) -> np.ndarray:
        centre, neighbor, _ = find_pairs(fractional, cell, cutoff_A)
        bonded = centre[is_neighbor[neighbor]]
        return np.bincount(bonded, minlength=len(frames.numbers))[centres]

    numbers = np.array(map_frames(frames, count, max_frames))
    average = compute_average(numbers.mean(axis=1))
    return Coordination(
        pair=pair,
        value=average.value,
        error=average.error,
        cutoff_A=cutoff_A,
        fractions=np.bincount(numbers.ravel()) / numbers.size,
        per_frame=numbers.mean(axis=1),
        method=f"neighbors closer than {cutoff_A:.2f} A, {len(numbers)} frames; {average.method}",
    )
