"""Bond-valence sums of ions and the global instability index."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from ase.data import atomic_numbers, chemical_symbols

from md.analysis.averages import Average, compute_average
from md.analysis.bond_valence_table import SOFTNESS_A, bond_length
from md.analysis.chemistry import FORMAL_CHARGES
from md.analysis.frames import Frames
from md.analysis.pairs import find_pairs, map_frames
from mlip.errors import DataError

# a Li-S bond of this length has a valence of 0.0003
REACH_A = 5.0
# a cation with less than this part of its charge from anions is none; so many of them are no accident
_BARE, _MANY_BARE = 0.3, 0.02


@dataclass(frozen=True)
class BondValence:
    """How well bonds satisfy the charges of the ions.

    Attributes:
        value: global instability index, e: below 0.1 in unstrained crystals, 0.2 at the edge of what exists.
        error: its standard error over time, or None for too few frames.
        sums: symbol -> mean bond-valence sum of its ions, e.
        per_atom: sum of each atom, averaged over the frames, shape (N,), e.
        parameters: pair -> R0 in A and its source.
        method: how it was computed.
        warnings: why it should be believed less.
    """

    value: float
    error: float | None
    sums: Mapping[str, Average]
    per_atom: np.ndarray
    parameters: Mapping[str, tuple[float, str]]
    method: str
    warnings: tuple[str, ...] = ()

    unit = "e"


def compute_bond_valence(frames: Frames, max_frames: int = 100) -> BondValence:
    """Compute bond-valence sums and the global instability index GII = sqrt(<(sum - |charge|)^2>).

    The index of each frame is computed, then averaged: that of instantaneous, vibrating structures. Bonds
    are those of a cation and an anion; charges are formal (Li+, P5+, S2-).

    Args:
        frames: the frames.
        max_frames: at most so many frames are used, evenly spread.

    Raises:
        DataError: An element has no formal charge, or all are of one sign.

    Source:
        Brown, The Chemical Bond in Inorganic Chemistry (2002); GII: Salinas-Sanchez et al., J. Solid State
        Chem. 100, 201 (1992), 10.1016/0022-4596(92)90094-C.
    """
    charges = _formal_charges(frames)
    parameters = _parameters(frames)

    def measure(fractional: np.ndarray, cell: np.ndarray) -> np.ndarray:
        return sum_bond_valences(fractional, cell, frames.numbers)

    sums = np.array(map_frames(frames, measure, max_frames))
    index = compute_average(np.sqrt(((sums - np.abs(charges)) ** 2).mean(axis=1)))
    by_species = {
        symbol: compute_average(sums[:, frames.select(symbol)].mean(axis=1)) for symbol in frames.species
    }
    sources = ", ".join(sorted({source for _, source in parameters.values()}))
    method = (
        f"bond valences exp((R0 - R) / {SOFTNESS_A} A) within {REACH_A:g} A, R0 of {sources}; {len(sums)} "
        f"frames; {index.method}"
    )
    per_atom = sums.mean(axis=0)
    warnings = _warn_of_metal(per_atom, charges, frames)
    return BondValence(index.value, index.error, by_species, per_atom, parameters, method, warnings)


def sum_bond_valences(fractional: np.ndarray, cell: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Bond-valence sum of each atom of a frame, shape (N,), e.

    Args:
        fractional: fractional coordinates, shape (N, 3).
        cell: lattice vectors as rows, shape (3, 3), A.
        numbers: atomic numbers, shape (N,).
    """
    centre, neighbor, vector = find_pairs(fractional, cell, REACH_A)
    lengths = _length_table(numbers)[numbers[centre], numbers[neighbor]]
    valence = np.exp((lengths - np.linalg.norm(vector, axis=1)) / SOFTNESS_A)
    return np.bincount(centre, weights=valence, minlength=len(numbers))


def _warn_of_metal(per_atom: np.ndarray, charges: np.ndarray, frames: Frames) -> tuple[str, ...]:
    """Cations without anions around them are no ions: a metal, or atoms in a void."""
    warnings = []
    for symbol in frames.species:
        atoms = frames.select(symbol)
        bare = per_atom[atoms] < _BARE * charges[atoms]
        if bare.mean() > _MANY_BARE:
            warnings.append(
                f"{bare.sum()} of {len(atoms)} {symbol} have less than {_BARE:.0%} of their valence from "
                "anions, as in a metal: the index, which takes all atoms for ions, says nothing of them"
            )
    return tuple(warnings)


def _length_table(numbers: np.ndarray) -> np.ndarray:
    """R0 by the atomic numbers of both atoms; minus infinity where they make no bond."""
    table = np.full((len(chemical_symbols), len(chemical_symbols)), -np.inf)
    symbols = [chemical_symbols[number] for number in np.unique(numbers)]
    for cation in (symbol for symbol in symbols if FORMAL_CHARGES[symbol] > 0):
        for anion in (symbol for symbol in symbols if FORMAL_CHARGES[symbol] < 0):
            i, j = atomic_numbers[cation], atomic_numbers[anion]
            table[i, j] = table[j, i] = bond_length(cation, anion)[0]
    return table


def _formal_charges(frames: Frames) -> np.ndarray:
    unknown = [symbol for symbol in frames.species if symbol not in FORMAL_CHARGES]
    charges = np.array([FORMAL_CHARGES.get(symbol, 0) for symbol in frames.species])
    if unknown or charges.min() > 0 or charges.max() < 0:
        raise DataError(
            f"found {', '.join(unknown or frames.species)}; expected cations and anions with formal charges: "
            f"{', '.join(FORMAL_CHARGES)}"
        )
    return np.array([FORMAL_CHARGES[chemical_symbols[number]] for number in frames.numbers])


def _parameters(frames: Frames) -> dict[str, tuple[float, str]]:
    return {
        f"{cation}-{anion}": bond_length(cation, anion)
        for cation in frames.species
        for anion in frames.species
        if FORMAL_CHARGES[cation] > 0 > FORMAL_CHARGES[anion]
    }
