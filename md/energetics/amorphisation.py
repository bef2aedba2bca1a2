"""The amorphisation energy: what a glass has beyond its crystal, per atom."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from numpy.typing import NDArray

from md.energetics.formula_units import formula_of, whole_units
from md.energetics.relaxed import Tolerance, relax_all
from md.energetics.samples import mean_of_samples
from mlip.errors import DataError


@dataclass(frozen=True)
class AmorphisationEnergy:
    """Energy of glasses against a crystal.

    Attributes:
        value: Mean over the glasses, meV/atom.
        error: One standard error of that mean; None of one glass.
        of_glasses: (K,) meV/atom.
        formula: Of the crystal.
        crystal_eV: Energy of an atom of the crystal.
        converged: Whether all relaxations were.
        method: How it was computed.
        unit: Of the value.
    """

    value: float
    error: float | None
    of_glasses: NDArray[np.float64]
    formula: str
    crystal_eV: float
    converged: bool
    method: str
    unit: str = "meV/atom"


def compute_amorphisation_energy(
    glasses: Sequence[Atoms], crystal: Atoms, calculator: Calculator, *, tolerance: Tolerance | None = None
) -> AmorphisationEnergy:
    """Relax glasses and crystal, atoms and cells, and compare.

    Args:
        glasses: One or more of one composition.
        crystal: Of the same composition.
        calculator: Gives energy, forces and stress.
        tolerance: When relaxations are done.

    Raises:
        DataError: There is no glass, or one is not made of formula units of the crystal.
    """
    if not glasses:
        raise DataError("found no glass; expected one or more in structure=")
    formula, _ = formula_of(crystal)
    for glass in glasses:
        whole_units(glass, formula, "a glass")
    cells = ["flexible"] * (1 + len(glasses))
    reference, *found = relax_all([crystal, *glasses], calculator, tolerance, cells)
    per_atom = reference.energy_eV / len(crystal)
    values = np.array([1e3 * (each.energy_eV / len(each.atoms) - per_atom) for each in found])
    mean, error = mean_of_samples(values)
    count = f"{len(values)} glasses" if len(values) > 1 else "one glass"
    return AmorphisationEnergy(
        mean,
        error,
        values,
        formula,
        per_atom,
        reference.converged and all(each.converged for each in found),
        f"energies of {count} and the crystal at their minima, atoms and cells",
    )
