"""The largest empty sphere in a structure: a melt that tears or boils has one that no solid has."""

import numpy as np
from ase import Atoms
from ase.geometry import minkowski_reduce
from scipy.spatial import cKDTree

# Points of the grid in the length that an atom has for itself: 0.22 of it is the farthest from any point.
_POINTS_PER_SPACING = 4


def atomic_spacing(atoms: Atoms) -> float:
    """Edge of the cube that an atom has for itself, A."""
    return float((atoms.get_volume() / len(atoms)) ** (1.0 / 3.0))


def largest_void(atoms: Atoms) -> float:
    """Distance to the nearest atom, images included, of the point that is farthest from all atoms.

    On a grid of four points in the length that an atom has for itself, so at most 22 % of that too small.

    Args:
        atoms: Periodic in three directions.

    Returns:
        Radius, A.
    """
    cell = minkowski_reduce(atoms.cell.array)[0]
    shifts = np.array(np.meshgrid(*[[-1, 0, 1]] * 3)).reshape(3, -1).T
    inside = (atoms.positions @ np.linalg.inv(cell)) % 1.0
    images = (inside[None] + shifts[:, None]).reshape(-1, 3) @ cell
    counts = np.ceil(np.linalg.norm(cell, axis=1) / atomic_spacing(atoms) * _POINTS_PER_SPACING).astype(int)
    ticks = [np.arange(count) / count for count in counts]
    grid = np.array(np.meshgrid(*ticks)).reshape(3, -1).T @ cell
    return float(cKDTree(images).query(grid)[0].max())
