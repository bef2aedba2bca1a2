"""Dynamics in this process, by ASE's integrators and any ASE calculator.

ASE's unit of time is A sqrt(amu/eV), about 10.18 fs: it is converted here, in `ase_integrators` and where a
`State` becomes an `Atoms`. A restart is exact to the bit where the calculator's numbers are; torch's may
differ in the last bit from one process to the next.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from numpy.typing import NDArray

from md.engines.ase_integrators import (
    FEMTOSECOND,
    Integrator,
    build_integrator,
    conserved_energy,
    read_internals,
    set_temperature,
    write_internals,
)
from md.engines.base import OneByOne
from md.protocols.stages import PlannedStage
from md.state import State
from md.thermo import Observation
from mlip.errors import ConfigError

if TYPE_CHECKING:
    from mlip.deploy import MLIPCalculator

# Grades of the atoms as they were last evaluated, shape (N,).
ReadGrades = Callable[[], "NDArray[np.float64] | None"]

_MOMENTA = "momenta"


class AseEngine:
    """Moves atoms by ASE."""

    def __init__(self, calculator: Calculator, seed: int = 0, grades: ReadGrades | None = None) -> None:
        """Prepare.

        Args:
            calculator: Gives the forces.
            seed: For Langevin.
            grades: Gives the extrapolation grades of the present step; None takes what is in the results.
        """
        self._calculator = calculator
        self._seed = seed
        self._grades = grades or (lambda: calculator.results.get("extrapolation_grade"))
        self._stage: PlannedStage
        self._start: State
        self._steps_done = 0
        self._atoms: Atoms
        self._dynamics: Integrator

    def begin(self, stage: PlannedStage, state: State) -> None:
        """Start a stage from a state, or go on inside it if the state has `internals`.

        Raises:
            ConfigError: The stage needs a stress and the calculator or the structure has none.
        """
        _require_stress(self._calculator, stage, state)
        self._stage, self._start, self._steps_done = stage, state, state.steps_done
        self._atoms = Atoms(
            state.numbers, positions=state.positions, cell=state.cell, pbc=state.pbc, masses=state.masses
        )
        # momenta to the bit: velocities in A/fs would be rounded on their way to ASE's units
        momenta = state.internals.get(_MOMENTA, state.masses[:, None] * state.velocities / FEMTOSECOND)
        self._atoms.set_momenta(momenta)
        self._atoms.calc = self._calculator
        self._dynamics = build_integrator(self._atoms, stage, self._seed)
        if state.internals:
            write_internals(self._dynamics, state.internals)

    def advance(self, num_steps: int) -> None:
        """Integrate this many steps; the target temperature follows the stage's ramp."""
        for _ in range(num_steps):
            self._steps_done += 1
            self._follow_ramp()
            self._dynamics.step()

    def state(self) -> State:
        """The present state, without the integrator's variables."""
        return replace(
            self._start,
            positions=self._atoms.get_positions(),
            velocities=self._atoms.get_velocities() * FEMTOSECOND,
            cell=np.array(self._atoms.cell),
            steps_done=self._steps_done,
            internals={},
        )

    def checkpoint(self) -> State:
        """The present state with all that `begin` needs to go on exactly from here."""
        internals = read_internals(self._dynamics) | {_MOMENTA: self._atoms.get_momenta()}
        return replace(self.state(), internals=internals)

    def observe(self) -> Observation:
        """Energies and stress of the present step."""
        has_stress = _has_stress(self._calculator, self._start)
        return Observation(
            potential_eV=float(self._atoms.get_potential_energy(force_consistent=True)),
            conserved_eV=conserved_energy(self._dynamics),
            stress=self._atoms.get_stress(voigt=False) if has_stress else None,
            grades=self._grades(),
        )

    def close(self) -> None:
        """Nothing to let go of."""

    def _follow_ramp(self) -> None:
        target = self._stage.temperature_K(self._steps_done)
        if target is not None:
            set_temperature(self._dynamics, target)


class AseForces:
    """Forces of a calculator, for relaxations."""

    def __init__(self, calculator: Calculator) -> None:
        """Take a calculator."""
        self._calculator = calculator
        self._atoms: Atoms
        self._has_stress = False

    def begin(self, stage: PlannedStage, state: State) -> None:
        """Take these atoms.

        Raises:
            ConfigError: The cell shall relax, and the calculator or the structure has no stress.
        """
        _require_stress(self._calculator, stage, state)
        self._has_stress = _has_stress(self._calculator, state)
        self._atoms = Atoms(state.numbers, pbc=state.pbc, masses=state.masses)
        self._atoms.calc = self._calculator

    def evaluate(
        self, positions: NDArray[np.float64], cell: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64] | None]:
        """Energy, forces and stress, as of `Forces`."""
        atoms = self._atoms
        atoms.set_cell(cell)
        atoms.set_positions(positions)
        stress = atoms.get_stress(voigt=False) if self._has_stress else None
        return atoms.get_potential_energy(force_consistent=True), atoms.get_forces(), stress


def _has_stress(calculator: Calculator, state: State) -> bool:
    return bool(state.pbc.all()) and "stress" in calculator.implemented_properties


def _require_stress(calculator: Calculator, stage: PlannedStage, state: State) -> None:
    if stage.barostat is not None and not _has_stress(calculator, state):
        raise ConfigError(
            f"stage {stage.stage.name} is npt or relaxes the cell, and the potential has no stress or the "
            "structure is not periodic in three directions; expected both, or a fixed cell"
        )


@dataclass(frozen=True)
class AseBackend:
    """`engine=ase`: the potential as an ASE calculator."""

    batches: ClassVar[bool] = False
    features: ClassVar[frozenset[str]] = frozenset()

    def open(
        self, calculator: "MLIPCalculator", states: Sequence[State], seed: int, run_dir: Path
    ) -> OneByOne:
        """Make the engine that moves atoms with this potential."""
        from md.engines.relaxation import WithRelaxation  # torch

        is_graded = calculator.grade_thresholds is not None
        if is_graded:  # at each step it would take a tenth of the time of a small system
            calculator.tells_uncertainty = False

        def open_engine(system: int) -> WithRelaxation:
            engine = AseEngine(calculator, seed + system, calculator.grades if is_graded else None)
            return WithRelaxation(engine, AseForces(calculator))

        return OneByOne(open_engine)
