"""Relaxation of one system with the forces of any engine: FIRE as in `engine=torch`, a batch of one.

One FIRE for all engines: the minimisers of LAMMPS start anew with every piece of a run, and `fix box/relax`
refuses its FIRE; ASE's filters of the cell know neither the area of a plane nor a plane that is turned.
"""

from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from md.engines.base import Engine
from md.engines.torch.fire import INTERNALS, Fire
from md.engines.torch.systems import Systems
from md.protocols.stages import PlannedStage
from md.state import State
from md.thermo import Observation, Residual


class Forces(Protocol):
    """What an engine can say of atoms wherever they are."""

    def begin(self, stage: PlannedStage, state: State) -> None:
        """Take these atoms."""

    def evaluate(
        self, positions: NDArray[np.float64], cell: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64] | None]:
        """Energy in eV, forces (N, 3) in eV/A and stress (3, 3) in eV/A^3, None if there is none.

        Args:
            positions: Unwrapped, shape (N, 3), A.
            cell: Lattice vectors as rows, shape (3, 3), A.
        """


class RelaxationEngine:
    """Takes one system to a minimum."""

    def __init__(self, forces: Forces) -> None:
        """Take the forces from there."""
        self._forces = forces
        self._stage: PlannedStage
        self._start: State
        self._systems: Systems
        self._fire: Fire
        self._stress: NDArray[np.float64] | None = None

    def begin(self, stage: PlannedStage, state: State) -> None:
        """Start a relaxation, or go on inside it if the state has `internals`."""
        self._stage, self._start = stage, state
        self._systems = Systems.of_states([state])
        self._fire = Fire(self._systems, [stage])
        for name in INTERNALS if state.internals else ():
            setattr(self._fire, name, torch.as_tensor(state.internals[f"fire.{name}"]))
        self._forces.begin(stage, state)
        self._evaluate()

    def advance(self, num_steps: int) -> None:
        """Take at most this many steps, none when it has converged."""
        for _ in range(num_steps):
            if self._has_converged:
                return
            self._fire.step(self._systems)
            self._evaluate()

    def state(self) -> State:
        """The present state; one that has converged has done all steps of its stage."""
        return replace(
            self._start,
            positions=self._systems.positions.numpy().copy(),
            velocities=np.zeros_like(self._start.velocities),
            cell=self._systems.cell[0].numpy().copy(),
            steps_done=self._stage.num_steps if self._has_converged else int(self._fire.steps),
            internals={},
        )

    def checkpoint(self) -> State:
        """The present state with all that `begin` needs to go on exactly from here."""
        internals = {f"fire.{name}": getattr(self._fire, name).numpy().copy() for name in INTERNALS}
        return replace(self.state(), internals=internals)

    def observe(self) -> Observation:
        """Energy and stress of the present step, and what is left."""
        return Observation(float(self._systems.energies), float("nan"), self._stress, residual=self.residual)

    @property
    def residual(self) -> Residual:
        """What is left to do."""
        (residual,) = self._fire.residuals(self._systems)
        return residual

    def close(self) -> None:
        """Nothing to let go of."""

    @property
    def _has_converged(self) -> bool:
        return bool(self._fire.has_converged(self._systems))

    def _evaluate(self) -> None:
        systems = self._systems
        positions, cell = systems.positions.numpy(), systems.cell[0].numpy()
        energy, forces, self._stress = self._forces.evaluate(positions, cell)
        systems.energies = torch.tensor([energy], dtype=torch.float64)
        systems.forces = torch.tensor(forces, dtype=torch.float64)
        if self._stress is not None:
            systems.virials = -systems.volumes.view(1, 1, 1) * torch.tensor(self._stress[None])


class WithRelaxation:
    """An engine of dynamics that can relax, too, with the same forces."""

    def __init__(self, dynamics: Engine, forces: Forces) -> None:
        """Take an engine and what says its forces."""
        self._dynamics = self._present = dynamics
        self._relaxation = RelaxationEngine(forces)

    def begin(self, stage: PlannedStage, state: State) -> None:
        """Start a stage of either kind."""
        self._present = self._relaxation if stage.is_relaxation else self._dynamics
        self._present.begin(stage, state)

    def advance(self, num_steps: int) -> None:
        """Move the atoms."""
        self._present.advance(num_steps)

    def state(self) -> State:
        """The present state."""
        return self._present.state()

    def checkpoint(self) -> State:
        """The present state with all that `begin` needs."""
        return self._present.checkpoint()

    def observe(self) -> Observation:
        """Energies and stress of the present step."""
        return self._present.observe()

    def close(self) -> None:
        """Let go of what the engine holds."""
        self._dynamics.close()
