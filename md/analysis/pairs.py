"""Distances between atoms of a periodic frame, through as many periodic images as the cutoff needs.

A tree of scipy and no neighbor list of the models: those load torch, and an analysis needs none.
"""

from itertools import product

import numpy as np
from scipy.spatial import KDTree


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
    wrapped = fractional - np.floor(fractional)
    images, owners = _surrounding_images(wrapped, cell, r_max)
    home = wrapped @ cell
    found = KDTree(home).sparse_distance_matrix(KDTree(images), r_max, output_type="ndarray")
    # the images of zero shift come first, in the order of the atoms
    others = found[found["i"] != found["j"]]
    centre, image = others["i"], others["j"]
    return centre, owners[image], images[image] - home[centre]


def _surrounding_images(wrapped: np.ndarray, cell: np.ndarray, r_max: float) -> tuple[np.ndarray, np.ndarray]:
    """Atoms of the cell, then their images within `r_max` of it: positions (M, 3) in A, and owners."""
    # a plane of the cell is as far from its opposite as the inverse of a reciprocal vector is long
    reach = r_max * np.linalg.norm(np.linalg.inv(cell), axis=0)
    spans = [range(-span, span + 1) for span in np.ceil(reach).astype(int)]
    shifts = np.array(sorted(product(*spans), key=lambda shift: shift != (0, 0, 0)))
    images = wrapped[None] + shifts[:, None]
    near = np.all((images >= -reach) & (images <= 1 + reach), axis=2)
    near[0] = True
    owners = np.broadcast_to(np.arange(len(wrapped)), near.shape)
    return images[near] @ cell, owners[near]


def spread_frames(num_frames: int, max_frames: int) -> np.ndarray:
    """Indices of at most `max_frames` frames, evenly spread from the first to the last."""
    return np.unique(np.linspace(0, num_frames - 1, min(num_frames, max_frames)).round().astype(int))
