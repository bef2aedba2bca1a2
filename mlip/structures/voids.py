"""Where there is room for one more atom: the corners of the Voronoi cells of a structure."""

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.spatial import Voronoi, cKDTree

from mlip.structures.symmetry import apply_operations, wrap

# Corners closer than this are one void: distorted cages have many.
_SAME_VOID_A = 1.0
_SAME_POINT_A = 0.01


def find_voids(
    atoms: Atoms,
    min_radius_A: float,
    operations: tuple[NDArray[np.int64], NDArray[np.float64]] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the points that are farther from all atoms than any point near them.

    Args:
        atoms: A structure that is periodic in three directions.
        min_radius_A: Smallest distance to the nearest atom, A.
        operations: Of the structure's symmetry; with every void come its images.

    Returns:
        Fractional coordinates (M, 3), and radii (M,), the distances to the nearest atom, A; the largest
        first. Voids are at least 1 A apart.
    """
    corners = wrap(_voronoi_corners(atoms))
    radii = _distance_to_atoms(atoms, corners)
    roomy = radii >= min_radius_A
    corners, radii = corners[roomy], radii[roomy]
    found = np.empty((0, 3))
    sizes: list[float] = []
    for k in np.argsort(-np.round(radii, 6), kind="stable"):
        corner = corners[k][None]
        if _closest(atoms, corner, found) < _SAME_VOID_A:
            continue
        orbit = corner if operations is None else _orbit(atoms, corner, operations)
        if _closest(atoms, orbit, orbit[:0]) >= _SAME_VOID_A <= _closest(atoms, orbit, found):
            found = np.concatenate([found, orbit])
            sizes.extend([radii[k]] * len(orbit))
    return found, np.array(sizes)


def _voronoi_corners(atoms: Atoms) -> NDArray[np.float64]:
    """Fractional corners (V, 3) of the Voronoi cells of the atoms in the cell."""
    fractional = wrap(atoms.get_scaled_positions())
    shifts = np.array(np.meshgrid(*[[-1, 0, 1]] * 3)).reshape(3, -1).T
    cell = atoms.cell.array
    # Images in a shell of half a cell around it are enough for corners inside, if the cell is not a needle.
    images = (fractional[None] + shifts[:, None]).reshape(-1, 3)
    corners = Voronoi(images @ cell).vertices @ np.linalg.inv(cell)
    inside = np.all((corners > -1e-6) & (corners < 1 + 1e-6), axis=1)
    return corners[inside]


def _distance_to_atoms(atoms: Atoms, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of fractional points (V, 3) to the nearest atom, its images included, (V,)."""
    shifts = np.array(np.meshgrid(*[[-1, 0, 1]] * 3)).reshape(3, -1).T
    images = (wrap(atoms.get_scaled_positions())[None] + shifts[:, None]).reshape(-1, 3)
    return cKDTree(images @ atoms.cell.array).query(points @ atoms.cell.array)[0]


def _orbit(
    atoms: Atoms, point: NDArray[np.float64], operations: tuple[NDArray[np.int64], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Images of a point (1, 3) under symmetry, each once."""
    kept = np.empty((0, 3))
    for image in apply_operations(operations, point):
        if _closest(atoms, image, kept) > _SAME_POINT_A:
            kept = np.concatenate([kept, image])
    return kept


def _closest(atoms: Atoms, points: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """Smallest distance between fractional points (P, 3) and others (Q, 3), and among the points, A."""
    together = np.concatenate([points, others])
    difference = points[:, None] - together[None]
    lengths = np.linalg.norm((difference - np.rint(difference)) @ atoms.cell.array, axis=-1)
    lengths[np.arange(len(points)), np.arange(len(points))] = np.inf
    return float(lengths.min())
