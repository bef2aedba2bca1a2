"""A structure at its minimum, or as it is, with its energy: what every energy difference is made of."""

import logging
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

from md.engines.ase import AseForces
from md.engines.relaxation import RelaxationEngine
from md.protocols.relaxation import Relaxation
from md.protocols.stages import plan_stages
from md.state import State
from mlip.errors import ConfigError

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
        converged: Whether force and stress are within the tolerance.
    """

    atoms: Atoms
    energy_eV: float
    force_eV_A: float
    converged: bool


def relax(
    atoms: Atoms, calculator: Calculator, tolerance: Tolerance | None = None, cell: str | None = None
) -> Relaxed:
    """Take atoms, and what is asked of the cell, to a minimum of the energy by FIRE.

    Args:
        atoms: The structure, which stays as it is.
        calculator: Gives energy, forces and, for a cell that relaxes, stress.
        tolerance: When it is done; the usual ones if None.
        cell: What of the cell may change: None, iso, z (normal to the first two vectors), xy,
            orthorhombic or flexible.

    Raises:
        ConfigError: The cell shall relax, and there is no stress.
    """
    tolerance = tolerance or Tolerance()
    if tolerance.max_steps == 0:
        return _as_it_is(atoms, calculator)
    (stage,) = plan_stages(
        [
            Relaxation(
                name=f"relaxation of {atoms.get_chemical_formula()}",
                barostat=cell,
                force_tolerance_eV_A=tolerance.force_eV_A,
                stress_tolerance_GPa=tolerance.stress_GPa,
                max_steps=tolerance.max_steps,
                every_steps=tolerance.max_steps,
            )
        ]
    )
    engine = RelaxationEngine(AseForces(calculator))
    engine.begin(stage, State.from_atoms(atoms))
    engine.advance(tolerance.max_steps)
    state, left = engine.state(), engine.residual
    found = atoms.copy()
    found.set_cell(state.cell)
    found.set_positions(state.positions, apply_constraint=False)
    if not left.is_converged:
        logger.warning(
            "%s is not relaxed after %d steps: force %.2g eV/A; energetics.max_steps allows more",
            atoms.get_chemical_formula(),
            left.steps,
            left.force_eV_A,
        )
    return Relaxed(found, engine.observe().potential_eV, left.force_eV_A, left.is_converged)


def _as_it_is(atoms: Atoms, calculator: Calculator) -> Relaxed:
    still = atoms.copy()
    still.calc = calculator
    energy = float(still.get_potential_energy(force_consistent=True))
    force = float(np.linalg.norm(still.get_forces(apply_constraint=False), axis=1).max(initial=0.0))
    still.calc = None
    return Relaxed(still, energy, force, converged=True)
