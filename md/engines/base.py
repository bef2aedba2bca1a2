"""What every engine offers to the loop that takes systems through the stages of a protocol."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from md.protocols.stages import PlannedStage
from md.state import State
from md.thermo import Observation

if TYPE_CHECKING:
    from mlip.deploy import MLIPCalculator  # torch: not for `mlip md --help`


class Engine(Protocol):
    """Moves atoms through one stage at a time."""

    def begin(self, stage: PlannedStage, state: State) -> None:
        """Start a stage from a state, or go on inside it if the state has `internals`."""

    def advance(self, num_steps: int) -> None:
        """Integrate this many steps; the target temperature follows the stage's ramp."""

    def state(self) -> State:
        """The present state, without the integrator's variables."""

    def checkpoint(self) -> State:
        """The present state with all that `begin` needs to go on exactly from here."""

    def observe(self) -> Observation:
        """Energies and stress of the present step."""

    def close(self) -> None:
        """Let go of what the engine holds; it moves no atoms from then on."""


@dataclass(frozen=True)
class Place:
    """Where one system of several stands.

    Attributes:
        system: Its number among all systems of the run.
        stage: Its present stage.
        state: Its present state.
    """

    system: int
    stage: PlannedStage
    state: State


class BatchEngine(Protocol):
    """Moves several systems at once, each through a stage of its own.

    Attributes:
        capacity: How many systems it takes at once; None if as many as there are.
    """

    capacity: int | None

    def begin(self, places: Sequence[Place]) -> None:
        """Take these systems in the place of those before; as `Engine.begin` for each."""

    def advance(self, num_steps: int) -> None:
        """Integrate all systems by this many steps; target temperatures follow the ramps of their stages."""

    def states(self) -> list[State]:
        """The present states, in the order of `begin`, without the integrators' variables."""

    def checkpoints(self) -> list[State]:
        """The present states with all that `begin` needs to go on exactly from here."""

    def observe(self) -> list[Observation]:
        """Energies and stresses of the present step."""

    def close(self) -> None:
        """Let go of what the engine holds; it moves no atoms from then on."""


class OneByOne:
    """Engines that move one system as an engine of many: one system after the other."""

    capacity: int | None = 1

    def __init__(self, open_engine: Callable[[int], Engine]) -> None:
        """Take a function that makes the engine of a system, by its number."""
        self._open = open_engine
        self._system: int | None = None
        self._engine: Engine

    def begin(self, places: Sequence[Place]) -> None:
        """Take one system."""
        (place,) = places
        if self._system != place.system:
            self.close()
            self._engine, self._system = self._open(place.system), place.system
        self._engine.begin(place.stage, place.state)

    def advance(self, num_steps: int) -> None:
        """Integrate this many steps."""
        self._engine.advance(num_steps)

    def states(self) -> list[State]:
        """The present state."""
        return [self._engine.state()]

    def checkpoints(self) -> list[State]:
        """The present checkpoint."""
        return [self._engine.checkpoint()]

    def observe(self) -> list[Observation]:
        """Energies and stress of the present step."""
        return [self._engine.observe()]

    def close(self) -> None:
        """Close the engine of the present system."""
        if self._system is not None:
            self._engine.close()
            self._system = None


class Backend(Protocol):
    """Settings of an engine (conf/engine/*.yaml) that open it for a potential.

    Attributes:
        batches: Whether it moves several systems at once.
        features: Which of `Stage.needs` it knows.
    """

    batches: ClassVar[bool]
    features: ClassVar[frozenset[str]]

    def open(
        self, calculator: "MLIPCalculator", states: Sequence[State], seed: int, run_dir: Path
    ) -> BatchEngine:
        """Make the engine that moves atoms with this potential.

        Args:
            calculator: The potential.
            states: The systems that will move, by their numbers.
            seed: Seed of the run; that of a system is this plus its number.
            run_dir: Directory of the run.
        """
