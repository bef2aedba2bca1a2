"""Dynamics in torch: systems of different size, ensemble, temperature and time step advance together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from md.engines.base import Place
from md.engines.torch.bias import Biases
from md.engines.torch.capacity import fitting_systems
from md.engines.torch.chunks import Chunks
from md.engines.torch.integrator import OF_ATOMS, Integrator
from md.engines.torch.neighbors import Neighbors, PatientNeighbors
from md.engines.torch.potential import BatchedPotential
from md.engines.torch.recording import Action, Recording, cuda_graph
from md.engines.torch.systems import Systems
from md.protocols.stages import PlannedStage
from md.state import State
from md.thermo import Observation, Residual
from mlip.data.graph import species_index
from mlip.deploy import MLIPCalculator
from mlip.errors import ConfigError

_ANCHORS = "anchors"


class TorchEngine:
    """Moves many systems at once, on the device of the potential.

    Attributes:
        capacity: How many systems it takes at once; None if as many as there are.
    """

    def __init__(
        self,
        calculator: MLIPCalculator,
        seed: int = 0,
        capacity: int | None = None,
        patient: bool | None = None,
        record: Callable[[Action], Action] | None = None,
    ) -> None:
        """Take the forces from a potential.

        Args:
            calculator: The potential.
            seed: Of the run, for stochastic baths; that of a system is this plus its number.
            capacity: As among the attributes.
            patient: Whether to wait for the device only after some steps; None does so on a GPU.
            record: Makes a replay of a step, for patient engines; None takes each step anew.
        """
        self._calculator, self._seed, self.capacity = calculator, seed, capacity
        self._patient = calculator.device.type != "cpu" if patient is None else patient
        self._record = record
        self._chunks: Chunks | None = None
        self._states: list[State] = []
        self._anchors: list[NDArray[np.float64] | None] = []
        self._stages: list[PlannedStage] = []
        self._steps = 0
        self._integrator: Integrator
        self._potential: BatchedPotential

    def begin(self, places: Sequence[Place]) -> None:
        """Start stages of systems, or go on inside those whose states have `internals`."""
        states = [place.state for place in places]
        self._states, self._steps = states, 0
        self._stages = [place.stage for place in places]
        device = self._calculator.device
        numbers = [species_index(state.to_atoms(), self._calculator.species) for state in states]
        pbc = torch.as_tensor(np.stack([state.pbc for state in states]), device=device)
        species = torch.as_tensor(np.concatenate(numbers), device=device)
        kind = PatientNeighbors if self._patient else Neighbors
        neighbors = kind(self._calculator, species, pbc)
        self._potential = potential = BatchedPotential(self._calculator, neighbors)
        self._anchors = [_anchors_of(place) for place in places]
        anchors = [None if each is None else torch.as_tensor(each, device=device) for each in self._anchors]
        biases = Biases(places, anchors)

        def evaluate(systems: Systems) -> None:
            potential(systems)
            biases(systems)

        self._integrator = Integrator(Systems.of_states(states, device), places, self._seed, evaluate)
        self._integrator.restore(_joined(self._integrator.internals(), states))
        self._integrator.start()
        if isinstance(neighbors, PatientNeighbors):
            self._chunks = self._chunks_of(neighbors)

    def _chunks_of(self, neighbors: PatientNeighbors) -> Chunks:
        stepper = self._integrator
        if self._record is not None:
            return Chunks(Recording(stepper, neighbors, self._record), stepper.systems, neighbors)
        return Chunks(stepper, stepper.systems, neighbors)

    def advance(self, num_steps: int) -> None:
        """Integrate all systems by this many steps; targets follow the ramps of their stages."""
        if self._chunks is not None:
            self._chunks.advance(num_steps)
        else:
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
        found = []
        for k, (state, anchors) in enumerate(zip(self.states(), self._anchors, strict=True)):
            own = {name: each[k].numpy().copy() for name, each in internals.items()}
            tethers = {} if anchors is None else {_ANCHORS: anchors}
            found.append(replace(state, internals=own | tethers))
        return found

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
            self._grades(),
            strict=True,
        )
        return [
            Observation(energy, conserved, stress if state.pbc.all() else None, grades, residual)
            for (energy, conserved, stress, state, grades), residual in zip(
                numbers, self._residuals(), strict=True
            )
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

    def _grades(self) -> list[np.ndarray] | list[None]:
        """Extrapolation grades of the atoms of each system."""
        grades = self._potential.grades()
        if grades is None:
            return [None] * len(self._states)
        return np.split(grades, self._integrator.systems.offsets[1:-1].tolist())


@dataclass(frozen=True)
class TorchBackend:
    """`engine=torch`: many systems at once, on the device of the potential.

    Attributes:
        max_systems: How many at once; None takes as many as fit.
        cuda_graph: Whether steps on a GPU are recorded once and replayed.
    """

    batches: ClassVar[bool] = True
    features: ClassVar[frozenset[str]] = frozenset(
        {
            "frozen",
            "tethered",
            "thermostat_groups",
            "bias",
            "npt with velocity_rescaling",
            "barostat=orthorhombic",
        }
    )
    max_systems: int | None = None
    cuda_graph: bool = False

    def __post_init__(self) -> None:
        if self.max_systems is not None and self.max_systems < 1:
            raise ConfigError(f"found engine.max_systems={self.max_systems}; expected 1 or more, or null")

    def open(
        self, calculator: MLIPCalculator, states: Sequence[State], seed: int, run_dir: Path
    ) -> TorchEngine:
        """Make the engine that moves atoms with this potential.

        Raises:
            ConfigError: Several systems, and a potential that takes one; a CUDA graph without a GPU.
        """
        if self.cuda_graph and calculator.device.type != "cuda":
            raise ConfigError(
                f"found engine.cuda_graph=true with device={calculator.device}; expected a CUDA device"
            )
        if len(states) > 1 and calculator.path.suffix != ".mlip":
            raise ConfigError(
                f"found {calculator.path.name} for {len(states)} systems at once; expected a .mlip file: "
                "deployed files take one structure"
            )
        capacity = self.max_systems or fitting_systems(calculator, states)
        return TorchEngine(calculator, seed, capacity, record=cuda_graph if self.cuda_graph else None)


def _anchors_of(place: Place) -> NDArray[np.float64] | None:
    """Where atoms with tethers stood when the stage started, (n, 3) A."""
    return place.state.internals.get(_ANCHORS, place.state.positions) if place.stage.stage.tethered else None


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
