"""A structure of given species, for a potential that comes without frames."""

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii
from numpy.typing import NDArray

_SMALLEST = 16  # atoms, at least
_PACKING = 0.45  # part of the cell inside the atoms' covalent spheres
_SMALLEST_RADIUS = 0.75  # A: hydrogen alone would be denser than anything a model has seen
_STEPS = 300
_CLOSE_ENOUGH = 1e-3  # A
_SHAPE = np.array([[1.0, 0.06, -0.04], [0.1, 1.05, 0.05], [-0.08, 0.12, 0.95]])


def build_reference_structure(species: Sequence[str]) -> Atoms:
    """A disordered periodic cell of all species in equal parts; the same call gives the same atoms.

    Atoms are pushed apart until they touch like covalent spheres: not a stable structure, but one whose
    distances are those of bonds, on which a deployed file can be compared with its potential.
    """
    symbols = list(species) * max(1, -(-_SMALLEST // len(species)))
    radii = np.maximum(covalent_radii[[atomic_numbers[symbol] for symbol in symbols]], _SMALLEST_RADIUS)
    volume = float(np.sum(4.0 / 3.0 * np.pi * radii**3)) / _PACKING
    cell = _SHAPE * (volume / abs(np.linalg.det(_SHAPE))) ** (1.0 / 3.0)
    positions = np.random.default_rng(0).random((len(symbols), 3)) @ cell
    for _ in range(_STEPS):
        push = _push(positions, cell, radii)
        if np.abs(push).max() < _CLOSE_ENOUGH:
            break
        positions = positions + 0.3 * push
    atoms = Atoms(symbols, positions=positions, cell=cell, pbc=True)
    atoms.wrap()
    return atoms


def _push(
    positions: NDArray[np.float64], cell: NDArray[np.float64], radii: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How far each atom is pushed out of its neighbours' spheres, A.

    Nearest images by rounding, which is exact up to half the cell for one that is so little skewed.
    """
    scaled = (positions[None, :] - positions[:, None]) @ np.linalg.inv(cell)
    vectors = (scaled - np.round(scaled)) @ cell
    distances = np.linalg.norm(vectors, axis=2)
    np.fill_diagonal(distances, np.inf)
    overlap = np.maximum(radii[:, None] + radii[None, :] - distances, 0.0)
    return np.asarray(-np.einsum("ij,ijk->ik", overlap / distances, vectors))
