"""Bond-orientational order of Steinhardt, Nelson and Ronchetti, per atom, also averaged over neighbors."""

from dataclasses import dataclass

import numpy as np
from scipy.special import sph_harm_y

from md.analysis.pairs import find_nearest


@dataclass(frozen=True)
class Steinhardt:
    """Bond order of each atom of one frame.

    Attributes:
        degree: l of the spherical harmonics.
        q: q_l of each atom, shape (N,): 0 for random directions, 0.575 for fcc and l = 6.
        averaged: the same of q_lm averaged over an atom and its neighbors, shape (N,).
        num_neighbors: nearest neighbors that counted.
        method: how it was computed.
    """

    degree: int
    q: np.ndarray
    averaged: np.ndarray
    num_neighbors: int
    method: str

    unit = "1"


def compute_steinhardt(
    fractional: np.ndarray, cell: np.ndarray, degree: int = 6, num_neighbors: int = 12
) -> Steinhardt:
    """Compute q_l = sqrt(4 pi / (2l + 1) sum_m |q_lm|^2), q_lm the mean of Y_lm over the nearest neighbors.

    Args:
        fractional: fractional coordinates of the atoms that are each other's neighbors, shape (N, 3).
        cell: lattice vectors as rows, shape (3, 3), A.
        degree: l.
        num_neighbors: nearest neighbors that count.

    Source:
        Steinhardt, Nelson, Ronchetti, Phys. Rev. B 28, 784 (1983), 10.1103/PhysRevB.28.784; averaged:
        Lechner and Dellago, J. Chem. Phys. 129, 114707 (2008), 10.1063/1.2977970, eq. 6.
    """
    neighbors, vectors = find_nearest(fractional, cell, num_neighbors)
    moments = _moments(vectors, degree)
    averaged = (moments + moments[neighbors].sum(axis=1)) / (num_neighbors + 1)
    method = f"l = {degree}, {num_neighbors} nearest neighbors (Steinhardt 1983; Lechner and Dellago 2008)"
    return Steinhardt(
        degree, _invariant(moments, degree), _invariant(averaged, degree), num_neighbors, method
    )


def _moments(vectors: np.ndarray, degree: int) -> np.ndarray:
    """q_lm of each atom, shape (N, 2l + 1), from the vectors to its neighbors, shape (N, k, 3)."""
    lengths = np.linalg.norm(vectors, axis=2)
    polar = np.arccos(np.clip(vectors[..., 2] / lengths, -1.0, 1.0))
    azimuth = np.arctan2(vectors[..., 1], vectors[..., 0])
    orders = range(-degree, degree + 1)
    return np.stack([sph_harm_y(degree, m, polar, azimuth).mean(axis=1) for m in orders], axis=1)


def _invariant(moments: np.ndarray, degree: int) -> np.ndarray:
    return np.sqrt(4 * np.pi / (2 * degree + 1) * np.sum(np.abs(moments) ** 2, axis=1))
