"""Reduction of thiophosphates beside lithium: how many of their P-S bonds are broken."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from ase.data import atomic_numbers

from md.analysis.averages import compute_average
from md.analysis.frames import Frames
from md.analysis.pairs import find_pairs, map_frames, spread_frames
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
    bonds = _count_bonds(fractional, cell, numbers, bond_A)
    return float(np.mean(1.0 - np.minimum(bonds, _BONDS) / _BONDS))


@dataclass(frozen=True)
class Reduction:
    """Reduction of thiophosphates along a run.

    Attributes:
        value: share of the electrons taken up, in the last fifth of the run.
        error: its standard error over time, or None.
        series: the share in each frame, shape (T,).
        counts: P, PS, ... PS4 -> how many there are in each frame, shape (T,).
        times_ps: times of these frames, shape (T,), or None.
        method: how it was computed.
    """

    value: float
    error: float | None
    series: np.ndarray
    counts: Mapping[str, np.ndarray]
    times_ps: np.ndarray | None
    method: str

    unit = "share of the electrons"


def compute_reduction_series(frames: Frames, bond_A: float = BOND_A, max_frames: int = 200) -> Reduction:
    """Follow the reduction a = [8 N(P) + 6 N(PS) + 4 N(PS2) + 2 N(PS3)] / 8Z in time.

    Args:
        frames: the frames.
        bond_A: P and S closer than this are bonded.
        max_frames: at most so many frames are used, evenly spread.

    Raises:
        DataError: There is no phosphorus.

    Source:
        As `compute_reduction`.
    """

    def count(fractional: np.ndarray, cell: np.ndarray) -> np.ndarray:
        bonds = np.minimum(_count_bonds(fractional, cell, frames.numbers, bond_A), _BONDS)
        return np.bincount(bonds, minlength=_BONDS + 1)

    found = np.array(map_frames(frames, count, max_frames))
    electrons = 2 * np.arange(_BONDS, -1, -1)
    series = found @ electrons / (2 * _BONDS * found.sum(axis=1))
    average = compute_average(series[-max(1, len(series) // 5) :])
    chosen = spread_frames(frames.num_frames, max_frames)
    return Reduction(
        value=average.value,
        error=average.error,
        series=series,
        counts={name: found[:, number] for number, name in enumerate(("P", "PS", "PS2", "PS3", "PS4"))},
        times_ps=None if frames.times_ps is None else frames.times_ps[chosen],
        method=f"P-S bonds up to {bond_A:g} A, {len(found)} frames; of the last fifth; {average.method}",
    )


def find_reduced(
    fractional: np.ndarray, cell: np.ndarray, numbers: np.ndarray, bond_A: float = BOND_A
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the phosphorus atoms, shape (n,), and how far each is reduced, 0 to 1, shape (n,).

    Arguments and Raises as `compute_reduction`.
    """
    bonds = _count_bonds(fractional, cell, numbers, bond_A)
    return np.flatnonzero(numbers == atomic_numbers["P"]), 1.0 - np.minimum(bonds, _BONDS) / _BONDS


def _count_bonds(fractional: np.ndarray, cell: np.ndarray, numbers: np.ndarray, bond_A: float) -> np.ndarray:
    """Sulfur atoms bonded to each phosphorus atom, shape (n,)."""
    phosphorus, sulfur = (numbers == atomic_numbers[symbol] for symbol in ("P", "S"))
    if not phosphorus.any():
        raise DataError("found no P; expected thiophosphate groups for their reduction")
    either = phosphorus | sulfur
    centre, neighbor, _ = find_pairs(fractional[either], cell, bond_A)
    is_bond = phosphorus[either][centre] & sulfur[either][neighbor]
    return np.bincount(centre[is_bond], minlength=int(either.sum()))[phosphorus[either]]
