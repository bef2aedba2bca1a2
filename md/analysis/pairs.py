"""Distances between atoms of a periodic frame, through as many periodic images as the cutoff needs."""

import numpy as np
from vesin import NeighborList


def find_pairs(
    fractional: np.ndarray, cell: np.ndarray, r_max: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find every ordered pair of atoms closer than `r_max`, an atom's own images included.

    Args:
        fractional: fractional coordinates, shape (N, 3).
        cell: lattice vectors as rows, shape (3, 3), A.
        r_max: cutoff in A; it may exceed the cell.

    Returns:
        Centre and neighbor of each pair, shape (E,), integer, and the vector from one to the other,
        shape (E, 3), A.
    """
    search = NeighborList(cutoff=r_max, full_list=True, n_threads=1)
    wrapped = (fractional - np.floor(fractional)) @ cell
    centre, neighbor, vector = search.compute(wrapped, cell, True, quantities="ijD")
    return centre.astype(np.int64), neighbor.astype(np.int64), vector


def spread_frames(num_frames: int, max_frames: int) -> np.ndarray:
    """Indices of at most `max_frames` frames, evenly spread from the first to the last."""
    return np.unique(np.linspace(0, num_frames - 1, min(num_frames, max_frames)).round().astype(int))
