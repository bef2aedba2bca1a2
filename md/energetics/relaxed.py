"""A structure at its minimum, or as it is, with its energy: what every energy difference is made of."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.stress import full_3x3_to_voigt_6_stress
from numpy.typing import NDArray

from md.energetics.relaxing import Rest, relax_one_by_one, relax_together
from md.protocols.relaxation import Relaxation
from md.protocols.stages import PlannedStage, plan_stages
from md.state import State
from mlip.deploy import MLIPCalculator
from mlip.errors import ConfigError
from mlip.units import EV_PER_A3_IN_GPA

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tolerance:
    """When a relaxation is done.

    Attributes:
        force_eV_A: Largest force on an atom.
        stress_GPa: Largest stress on what of the cell may change.
        max_steps: It ends after so many steps in any case; 0 leaves structures as they are.
    """

    force_eV_A: float = 0.01
    stress_GPa: float = 0.01
    max_steps: int = 500

    def __post_init__(self) -> None:
        if self.force_eV_A <= 0 or self.stress_GPa <= 0 or self.max_steps < 0:
            raise ConfigError(
                f"found force_eV_A={self.force_eV_A:g}, stress_GPa={self.stress_GPa:g}, max_steps="
                f"{self.max_steps}; expected tolerances above zero, and steps from 0"
            )


@dataclass(frozen=True)
class Relaxed:
    """A structure and its energy.

    Attributes:
        atoms: The structure, without calculator.
        energy_eV: Its energy.
        force_eV_A: The largest force that is left on an atom.
        stress_GPa: (6,) (1/V) dE/dstrain, Voigt order xx yy zz yz xz xy; NaN where there is none.
        converged: Whether force and stress are within the tolerance, or nothing was to relax.
    """

    atoms: Atoms
    energy_eV: float
    force_eV_A: float
    stress_GPa: NDArray[np.float64]
    converged: bool


def relax(
    atoms: Atoms, calculator: Calculator, tolerance: Tolerance | None = None, cell: str | None = None
) -> Relaxed:
    """Take one structure to a minimum, as `relax_all` does."""
    (found,) = relax_all([atoms], calculator, tolerance, [cell])
    return found


def relax_all(
    structures: Sequence[Atoms],
    calculator: Calculator,
    tolerance: Tolerance | None = None,
    cells: Sequence[str | None] | None = None,
) -> list[Relaxed]:
    """Take atoms, and what is asked of the cells, to minima of the energy by FIRE.

    With a `.mlip` potential all structures move in one batch, with another calculator one after the other.

    Args:
        structures: They stay as they are.
        calculator: Gives energy, forces and, for a cell that relaxes, stress.
        tolerance: When it is done; the usual ones if None.
        cells: What of each cell may change: None, iso, z (normal to the first two vectors), xy, orthorhombic
            or flexible; None for no cell.

    Raises:
        ConfigError: A cell shall relax, and there is no stress, or it is open.
    """
    tolerance = tolerance or Tolerance()
    stages = [
        _plan(atoms, cell, tolerance)
        for atoms, cell in zip(structures, cells or [None] * len(structures), strict=True)
    ]
    states = [State.from_atoms(atoms) for atoms in structures]
    if isinstance(calculator, MLIPCalculator) and calculator.path.suffix == ".mlip":
        found = relax_together(states, stages, calculator, tolerance.max_steps)
    else:
        found = relax_one_by_one(states, stages, calculator, tolerance.max_steps)
    return [_as_relaxed(atoms, each, tolerance) for atoms, each in zip(structures, found, strict=True)]


def compute_energies(structures: Sequence[Atoms], calculator: Calculator) -> NDArray[np.float64]:
    """Energies of structures as they are, (K,) eV, in one batch where `relax_all` has one."""
    still = Tolerance(max_steps=0)
    return np.array([each.energy_eV for each in relax_all(structures, calculator, still)])


def _plan(atoms: Atoms, cell: str | None, tolerance: Tolerance) -> PlannedStage:
    if cell is not None and not atoms.pbc.all():
        raise ConfigError(
            f"found {atoms.get_chemical_formula()}, open in a direction, whose cell is to relax ({cell}); "
            "expected one that is periodic in three directions"
        )
    steps = max(tolerance.max_steps, 1)  # a stage has some, also where none is taken
    (stage,) = plan_stages(
        [
            Relaxation(
                name=f"relaxation of {atoms.get_chemical_formula()}",
                barostat=cell,
                force_tolerance_eV_A=tolerance.force_eV_A,
                stress_tolerance_GPa=tolerance.stress_GPa,
                max_steps=steps,
                every_steps=steps,
            )
        ]
    )
    return stage


def _as_relaxed(atoms: Atoms, rest: Rest, tolerance: Tolerance) -> Relaxed:
    state, left = rest.state, rest.residual
    found = atoms.copy()
    found.set_cell(state.cell)
    found.set_positions(state.positions, apply_constraint=False)
    if tolerance.max_steps and not left.is_converged:
        logger.warning(
            "%s is not relaxed after %d steps: force %.2g eV/A; energetics.max_steps allows more",
            atoms.get_chemical_formula(),
            left.steps,
            left.force_eV_A,
        )
    stress = np.full((3, 3), np.nan) if rest.observation.stress is None else rest.observation.stress
    return Relaxed(
        found,
        rest.observation.potential_eV,
        left.force_eV_A,
        full_3x3_to_voigt_6_stress(stress) * EV_PER_A3_IN_GPA,
        left.is_converged or tolerance.max_steps == 0,
    )
