"""Operations that leave a slab as it was: flips make both sides of it equivalent, translations repeat it."""

from itertools import product

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.spatial import KDTree

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

# Atoms this close to where an operation puts them are there, A.
_SAME_PLACE_A = 0.02


def plane_symmetries(plane: Array) -> list[Integers]:
    """Rotations and mirrors of a lattice in the plane, as changes of fractional coordinates s -> s M.

    Args:
        plane: Lattice vectors in a reduced basis, shape (2, 2), A.

    Returns:
        2, 4, 8 or 12 integer matrices, shape (2, 2); rotation by 180 degrees, then the identity, come first.
    """
    metric = plane @ plane.T
    found = []
    for entries in product((-1, 0, 1), repeat=4):
        change = np.array(entries).reshape(2, 2)
        if np.allclose(change @ metric @ change.T, metric, atol=1e-4 * metric.max()):
            found.append(change)
    return sorted(found, key=lambda m: (not np.array_equal(m, -np.eye(2)), not np.array_equal(m, np.eye(2))))


def find_flips(slab: Atoms, change: Integers) -> Array:
    """Translations t for which (s, z) -> (s M + t, top + bottom - z) maps a slab onto itself.

    With M = -1 that is an inversion, with M = 1 a mirror or a glide.

    Args:
        slab: Periodic in the plane of its first two lattice vectors, which are normal to z.
        change: M, what happens to fractional coordinates in the plane, shape (2, 2).

    Returns:
        Fractional translations in the plane, shape (n, 2), from 0 to 1; none if both sides differ.
    """
    heights = slab.positions[:, 2]
    return _find_shifts(slab, change, heights.max() + heights.min() - heights)


def find_translations(slab: Atoms) -> Array:
    """Translations t in the plane that leave a slab as it was, fractional, shape (n, 2), from 0 to 1.

    Args:
        slab: Periodic in the plane of its first two lattice vectors, which are normal to z.
    """
    return _find_shifts(slab, np.eye(2, dtype=np.int64), slab.positions[:, 2])


def _find_shifts(slab: Atoms, change: Integers, moved: Array) -> Array:
    """Translations t for which (s, z) -> (s M + t, moved) maps a slab onto itself."""
    plane = slab.cell.array[:2, :2]
    places, heights = slab.positions[:, :2] @ np.linalg.inv(plane), slab.positions[:, 2]
    tree = _torus(places, heights, slab.numbers, plane)
    kinds, counts = np.unique(slab.numbers, return_counts=True)
    first = int(np.flatnonzero(slab.numbers == kinds[np.argmin(counts)])[0])
    partners = (slab.numbers == slab.numbers[first]) & (np.abs(heights - moved[first]) < _SAME_PLACE_A)
    shifts = (places[partners] - places[first] @ change) % 1.0
    kept = [shift for shift in shifts if _maps(tree, places @ change + shift, moved, slab.numbers, plane)]
    return np.array(kept).reshape(-1, 2)


def _coordinates(places: Array, heights: Array, numbers: NDArray[np.int64], plane: Array) -> Array:
    """Points of a torus in A, heights, and species as a fourth coordinate that keeps them apart."""
    around = (places % 1.0) % 1.0 * np.linalg.norm(plane, axis=1)
    return np.column_stack([around, heights, numbers])


def _torus(places: Array, heights: Array, numbers: NDArray[np.int64], plane: Array) -> KDTree:
    box = [*np.linalg.norm(plane, axis=1), 0.0, 0.0]
    return KDTree(_coordinates(places, heights, numbers, plane), boxsize=box)


def _maps(tree: KDTree, places: Array, heights: Array, numbers: NDArray[np.int64], plane: Array) -> bool:
    distances, _ = tree.query(_coordinates(places, heights, numbers, plane))
    return bool(distances.max() < _SAME_PLACE_A)
