"""Reduction of thiophosphates beside lithium: how many of their P-S bonds are broken."""

import numpy as np
from ase.data import atomic_numbers

from md.analysis.pairs import find_pairs
from mlip.errors import DataError

# Longer than a P-S bond (2.05 A), shorter than the second shell.
BOND_A = 3.0
_BONDS = 4


def compute_reduction(
    fractional: np.ndarray, cell: np.ndarray, numbers: np.ndarray, bond_A: float = BOND_A
) -> float:
    """Share of the electrons that thiophosphate groups have taken up, of all that they can.

    A group PS_n took 8 - 2n electrons on the way from PS4(3-) to P(3-):
    a = [8 N(P) + 6 N(PS) + 4 N(PS2) + 2 N(PS3)] / 8Z with Z phosphorus atoms.

    Args:
        fractional: fractional coordinates, shape (N, 3).
        cell: lattice vectors as rows, shape (3, 3), A.
        numbers: atomic numbers, shape (N,).
        bond_A: P and S closer than this are bonded.

    Returns:
        0 (whole PS4) to 1 (bare P).

    Raises:
        DataError: There is no phosphorus.

    Source:
        Chaney et al., growth of the interphase of Li and Li6PS5Cl, "Tracking total amount of reduction".
    """
    phosphorus, sulfur = (numbers == atomic_numbers[symbol] for symbol in ("P", "S"))
    if not phosphorus.any():
        raise DataError("found no P; expected thiophosphate groups for their reduction")
    either = phosphorus | sulfur
    centre, neighbor, _ = find_pairs(fractional[either], cell, bond_A)
    is_bond = phosphorus[either][centre] & sulfur[either][neighbor]
    bonds = np.bincount(centre[is_bond], minlength=int(either.sum()))[phosphorus[either]]
    return float(np.mean(1.0 - np.minimum(bonds, _BONDS) / _BONDS))
