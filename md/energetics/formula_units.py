"""Whole formula units: what an energy difference needs, or else it needs chemical potentials."""

from math import gcd

from ase import Atoms

from mlip.errors import DataError
from mlip.structures.stacking import count_formula_units


def formula_of(atoms: Atoms) -> tuple[str, int]:
    """One formula unit of a structure, such as Li2S, and how many there are."""
    counts = atoms.symbols.formula.count()
    return atoms.symbols.formula.reduce()[0].format("metal"), gcd(*counts.values())


def whole_units(atoms: Atoms, formula: str, what: str) -> int:
    """Formula units in a structure that is made of nothing else.

    Args:
        atoms: The structure.
        formula: Of one unit, such as Li2S.
        what: Name of the structure in messages, such as a slab.

    Raises:
        DataError: Atoms are left over.
    """
    number, left = count_formula_units(atoms, formula)
    if left or not number:
        beyond = " ".join(f"{symbol}{count}" for symbol, count in left.items())
        raise DataError(
            f"found {what} {atoms.get_chemical_formula()}, {number} {formula} and {beyond}; expected whole "
            "formula units, for others chemical potentials are needed: build it stoichiometric"
        )
    return number
