"""Dynamics in torch: systems of different size, ensemble, temperature and time step advance together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from md.engines.base import Place
from md.engines.torch.integrator import OF_ATOMS, Integrator
from md.engines.torch.potential import BatchedPotential
from md.engines.torch.systems import Systems
from md.protocols.stages import PlannedStage
from md.state import State
from md.thermo import Observation, Residual
from mlip.data.graph import species_index
from mlip.deploy import MLIPCalculator
from mlip.errors import ConfigError


class TorchEngine:
    """Moves many systems at once, on the device of the potential."""

    capacity: int | None = None

    def __init__(self, calculator: MLIPCalculator, seed: int = 0) -> None:
        """Take the forces from a potential.

        Args:
            calculator: The potential.
            seed: Of the run, for Langevin; that of a system is this plus its number.
        """
        self._calculator, self._seed = calculator, seed
        self._states: list[State] = []
        self._stages: list[PlannedStage] = []
        self._steps = 0
        self._integrator: Integrator

    def begin(self, places: Sequence[Place]) -> None:
        """Start stages of systems, or go on inside those whose states have `internals`."""
        states = [place.state for place in places]
        self._states, self._steps = states, 0
        self._stages = [place.stage for place in places]
        device = self._calculator.device
        numbers = [species_index(state.to_atoms(), self._calculator.species) for state in states]
        pbc = torch.as_tensor(np.stack([state.pbc for state in states]), device=device)
        self._integrator = Integrator(
            systems=Systems.of_states(states, device),
            stages=self._stages,
            steps_done=[state.steps_done for state in states],
            seeds=[self._seed + place.system for place in places],
            evaluate=BatchedPotential(
                self._calculator, torch.as_tensor(np.concatenate(numbers), device=device), pbc
            ),
        )
        self._integrator.restore(_joined(self._integrator.internals(), states))
        self._integrator.start()

    def advance(self, num_steps: int) -> None:
        """Integrate all systems by this many steps; targets follow the ramps of their stages."""
        for _ in range(num_steps):
            self._integrator.step()
        self._steps += num_steps

    def states(self) -> list[State]:
        """The present states, without the integrators' variables."""
        systems = self._integrator.systems
        sizes = systems.offsets.diff().tolist()
        positions = systems.positions.cpu().split(sizes)
        velocities = systems.velocities.cpu().split(sizes)
        return [
            replace(
                state,
                positions=where.numpy().copy(),
                velocities=motion.numpy().copy(),
                cell=cell.numpy().copy(),
                steps_done=stage.num_steps if is_over else state.steps_done + self._steps,
                internals={},
            )
            for state, stage, where, motion, cell, is_over in zip(
                self._states,
                self._stages,
                positions,
                velocities,
                systems.cell.cpu(),
                self._have_converged(),
                strict=True,
            )
        ]

    def checkpoints(self) -> list[State]:
        """The present states with all that `begin` needs to go on exactly from here."""
        sizes = self._integrator.systems.offsets.diff().tolist()
        internals = {
            name: each.cpu().split(sizes) if name.startswith(OF_ATOMS) else each.cpu().unbind()
            for name, each in self._integrator.internals().items()
        }
        return [
            replace(state, internals={name: each[k].numpy().copy() for name, each in internals.items()})
            for k, state in enumerate(self.states())
        ]

    def close(self) -> None:
        """Nothing to let go of."""

    def observe(self) -> list[Observation]:
        """Energies and stresses of the present step."""
        systems = self._integrator.systems
        stresses = -systems.virials / systems.volumes.view(-1, 1, 1)
        numbers = zip(
            systems.energies.tolist(),
            self._integrator.conserved().tolist(),
            stresses.cpu().numpy(),
            self._states,
            strict=True,
        )
        return [
            Observation(energy, conserved, stress if state.pbc.all() else None, residual)
            for (energy, conserved, stress, state), residual in zip(numbers, self._residuals(), strict=True)
        ]

    def _have_converged(self) -> list[bool]:
        """Which systems have come to the end of a relaxation."""
        return [residual is not None and residual.is_converged for residual in self._residuals()]

    def _residuals(self) -> list[Residual | None]:
        fire = self._integrator.fire
        if fire is None:
            return [None] * len(self._states)
        found = fire.residuals(self._integrator.systems)
        return [
            each if stage.is_relaxation else None for each, stage in zip(found, self._stages, strict=True)
        ]


@dataclass(frozen=True)
class TorchBackend:
    """`engine=torch`: many systems at once, on the device of the potential."""

    batches: ClassVar[bool] = True

    def open(
        self, calculator: MLIPCalculator, states: Sequence[State], seed: int, run_dir: Path
    ) -> TorchEngine:
        """Make the engine that moves atoms with this potential.

        Raises:
            ConfigError: Several systems, and a potential that takes one.
        """
        if len(states) > 1 and calculator.path.suffix != ".mlip":
            raise ConfigError(
                f"found {calculator.path.name} for {len(states)} systems at once; expected a .mlip file: "
                "deployed files take one structure"
            )
        return TorchEngine(calculator, seed)


def _joined(fresh: dict[str, torch.Tensor], states: Sequence[State]) -> dict[str, torch.Tensor]:
    """The internals of all systems: those that a state brings, else those of an integrator at rest."""
    sizes, joined = [len(state.numbers) for state in states], {}
    for name, each in fresh.items():
        is_of_atoms = name.startswith(OF_ATOMS)
        at_rest = each.split(sizes) if is_of_atoms else each.unbind()
        rows = [
            torch.as_tensor(state.internals[name]).to(row) if name in state.internals else row
            for state, row in zip(states, at_rest, strict=True)
        ]
        joined[name] = torch.cat(rows) if is_of_atoms else torch.stack(rows)
    return joined
