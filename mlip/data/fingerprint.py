"""Fingerprints: a short name that two frames share if, and only if, they are the same structure.

Five sums over the structure are rounded and hashed. Three are over environments within 6 A, each a smooth
function of weighted pair sums; two see the whole of it: Gaussian-damped structure factors along periodic
directions, the spread of the atoms along open ones. Neither the order of the atoms nor their periodic images,
the origin, the choice of lattice vectors, a rotation or a reflection changes any of them. So a frame and its
rotated copy have one fingerprint, as they have one energy, while their forces and cells are turned: whoever
finds a frame by its fingerprint takes the frame that was found, not its labels alone.
"""

import hashlib
import itertools

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip.data.neighbors import complete_cell, neighbor_list

_CUTOFF_A = 6.0
# Wave numbers of three radial functions, 1/A. A smooth invariant answers to the shear of a cubic crystal in
# the second order only: large ones make that large against noise, which counts in first order.
_WAVE_NUMBERS = (1.3, 7.0, 19.0)
# Rounding of each sum divided by sqrt(N). A text file's 8 decimals move the sums by 2e-7 together: one copy
# in 250 falls into another bin. One atom by 0.01 A, or a shear by 1e-3, moves a sum by 8e-4 and more.
_BIN = 1e-4
# Width of the structure factors' Gaussian against the mean spacing of lattice planes, and where it is cut.
_SMEARING = 0.25
_LARGEST_EXPONENT = 8.0
_ATOMS_AT_ONCE = 4096
_HASH_LENGTH = 16


def fingerprint(atoms: Atoms) -> str:
    """Name a structure: equal for copies, different for what differs by 1e-3 of strain or 0.01 A of one atom.

    The work grows as the number of atoms. Species, periodic directions, the total charge in `info["charge"]`
    and the number of atoms count: a supercell is another structure. Text files of fewer than 8 decimals make
    copies that differ.

    Args:
        atoms: The structure; its positions must be finite and its cell sound.

    Returns:
        The formula and 16 hexadecimal digits, such as `Li3O4P-0f3a...`.

    Raises:
        DataError: The cell is flat, or a position is no finite number.
    """
    sums = np.array([*_environments(atoms), *_long_range(atoms)]) / np.sqrt(max(1, len(atoms)))
    rounded = np.rint(sums / _BIN).astype(np.int64)
    formula = atoms.get_chemical_formula("hill")
    charge = float(atoms.info.get("charge", 0.0))
    identity = f"{formula} {np.count_nonzero(atoms.pbc)} {charge + 0.0:.6f} {rounded.tolist()}"
    return f"{formula}-{hashlib.sha256(identity.encode()).hexdigest()[:_HASH_LENGTH]}"


def _weights(numbers: NDArray[np.int64], kind: int) -> NDArray[np.float64]:
    """A number from 1 to 2 for each species, in no simple ratio to that of another."""
    return np.asarray(1.0 + (numbers * (0.6180339887 + 0.1234567 * kind)) % 1.0)


def _environments(atoms: Atoms) -> list[float]:
    """Sums over atoms of a convex function of their pair sums, as in embedded atoms: more than distances."""
    (i, j), shift = neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, _CUTOFF_A)
    distances = np.linalg.norm(atoms.positions[j] - atoms.positions[i] + shift @ atoms.cell.array, axis=1)
    cutoff = (1.0 - (distances / _CUTOFF_A) ** 2) ** 3
    sums = []
    for kind, wave_number in enumerate(_WAVE_NUMBERS):
        weights = _weights(atoms.numbers, kind)
        pair = weights[j] * cutoff * np.cos(wave_number * distances)
        density = np.bincount(i, weights=pair, minlength=len(atoms))
        sums.append(float(np.sum(weights * np.sqrt(1.0 + density**2))))
    return sums


def _long_range(atoms: Atoms) -> list[float]:
    """What lies beyond the cutoff, where it is: the width of a vacuum, the register of far layers."""
    spread = 0.0
    weights = _weights(atoms.numbers, 3)
    if not atoms.pbc.all() and len(atoms):
        box = complete_cell(atoms.cell.array, atoms.pbc)
        across = atoms.positions @ box[~atoms.pbc].T
        middle = np.average(across, axis=0, weights=weights)
        spread = float(np.sqrt(np.sum(weights[:, None] * (across - middle) ** 2)))
    return [spread, _structure_factors(atoms, weights) if atoms.pbc.any() else 0.0]


def _structure_factors(atoms: Atoms, weights: NDArray[np.float64]) -> float:
    """Sum of |F(G)| over reciprocal lattice vectors G of the periodic directions, damped by a Gaussian.

    The Gaussian grows with the cell, so that the number of vectors does not.
    """
    lattice = atoms.cell.array[atoms.pbc]
    reciprocal = np.linalg.pinv(lattice).T
    volume = np.sqrt(np.linalg.det(lattice @ lattice.T))
    width = 2.0 * np.pi * _SMEARING * volume ** (1.0 / len(lattice))
    vectors = _short_vectors(reciprocal, np.sqrt(2.0 * _LARGEST_EXPONENT) * 2.0 / width)
    damping = np.exp(-0.5 * (width * np.linalg.norm(vectors, axis=1)) ** 2)
    factors = np.zeros(len(vectors), dtype=np.complex128)
    for start in range(0, len(atoms), _ATOMS_AT_ONCE):
        part = slice(start, start + _ATOMS_AT_ONCE)
        phases = np.exp(2j * np.pi * (atoms.positions[part] @ vectors.T))
        factors += weights[part] @ phases
    # |F|^2 / (N + |F|) is smooth at zero, where |F| is not
    intensity = np.abs(factors) ** 2
    return float(np.sum(damping * intensity / np.sqrt(len(atoms) + intensity)) + volume / len(atoms))


def _short_vectors(basis: NDArray[np.float64], longest: float) -> NDArray[np.float64]:
    """All vectors of a lattice, rows (n, 3), up to a length; one of each pair of opposites, not zero."""
    # |n_i| <= |v| |dual_i|
    limits = np.floor(longest * np.linalg.norm(np.linalg.pinv(basis), axis=0) + 1e-9).astype(int)
    grid = np.array(list(itertools.product(*(range(-limit, limit + 1) for limit in limits))))
    half = grid[len(grid) // 2 + 1 :]
    vectors = half @ basis
    return vectors[np.linalg.norm(vectors, axis=1) <= longest]
