"""One system on its way through the stages of a protocol: its state, its files, its checks."""

import logging
from collections.abc import Sequence
from pathlib import Path

import ase.io

from md.engines.base import Place
from md.engines.entrance import state_entering
from md.engines.grade_watch import GradeLimits
from md.engines.guard import Guard
from md.engines.hops import farthest_move
from md.engines.record import Record, RunFiles
from md.engines.safety import require_barostat_fits, require_no_overlap
from md.engines.volume_search import find_volume
from md.protocols.stages import PlannedStage
from md.state import State
from md.storage import Storage
from md.thermo import Observation, Residual
from mlip.errors import DataError, MlipError, SimulationError

NO_LIMITS = GradeLimits()

logger = logging.getLogger(__name__)


class SystemRun:
    """A system, from where it starts or goes on to the end of its protocol or to its failure.

    Attributes:
        system: Its number among all systems of the run.
        stages: All stages of its protocol.
        state: The present state.
        files: What it leaves.
        failure: Why it stopped before the end; empty if it did not.
        residual: What is left to do for a relaxation, seen last.
        announced: The last stage that the log says has begun.
    """

    def __init__(
        self,
        system: int,
        stages: Sequence[PlannedStage],
        state: State,
        directory: Path,
        limits: GradeLimits = NO_LIMITS,
        storage: Storage | None = None,
        seed: int = 0,
    ) -> None:
        """Look at the start; files are opened by `open`.

        Args:
            system: Its number.
            stages: All stages of the protocol.
            state: Where to start: a `first_state`, or a checkpoint of an earlier session.
            directory: Where the files go; those of an earlier session are cut back to `state`.
            limits: Of the extrapolation grade.
            storage: What is stored beside the positions of all atoms.
            seed: Of the velocities after a relaxation.

        Raises:
            ConfigError: A stage cannot be run on this cell, or what is to be stored is not there.
            SimulationError: Two atoms overlap.
        """
        require_no_overlap(state)
        for stage in stages[state.stage :]:
            require_barostat_fits(stage, state)
        self.system, self.stages, self.state = system, stages, state
        self.files = RunFiles(directory)
        self.failure = ""
        self._limits = limits
        self._known: State | None = None
        self.residual: Residual | None = None
        self.announced = -1
        self._has_ended = False
        self._seed = seed
        self._storage = storage or Storage()
        self._storage.atoms(state.numbers)
        for stage in stages:
            self._storage.steps_between(stage)
        self._record: Record
        self._guard: Guard
        self._volume: float

    def open(self) -> None:
        """Open the files, cut back to the present state."""
        self._record = Record(self.files, self.stages, self.state, self._storage, self._limits)
        hottest_K = max(max(each.start_K or 0.0, each.end_K or 0.0) for each in self.stages)
        start = self._record.start
        # the first stored frame was scaled, if the first stage asks for it
        scale = 1.0 if self.is_new else float(self.stages[0].stage.volume or 1.0)
        self._volume = start.volume / scale
        self._guard = Guard(start, hottest_K, self._limits)
        self._note_end()

    def close(self) -> None:
        """Close the files; of a protocol that is done, leave the final structure."""
        self._record.close()
        if self.is_done and not self.failure:
            ase.io.write(self.files.final, self.state.to_atoms(), format="extxyz")

    @property
    def stage(self) -> PlannedStage:
        """The present stage."""
        return self.stages[self.state.stage]

    @property
    def place(self) -> Place:
        """Where it stands, for an engine."""
        return Place(self.system, self.stage, self.state)

    @property
    def is_new(self) -> bool:
        """Whether nothing has moved yet."""
        return self.state.stage == 0 and self.state.steps_done == 0

    @property
    def is_done(self) -> bool:
        """Whether there is nothing more to do, for better or worse."""
        return bool(self.failure) or self._has_ended or self.steps_done == self.num_steps

    @property
    def steps_done(self) -> int:
        """Steps since the start of the run."""
        return self.stage.start_step + self.state.steps_done

    @property
    def num_steps(self) -> int:
        """Steps of the whole run."""
        return self.stages[-1].start_step + self.stages[-1].num_steps

    @property
    def steps_to_frame(self) -> int:
        """Steps until the next frame, of all atoms or of species stored often; stages end with one."""
        steps = self._storage.steps_between(self.stage)
        return steps - self.state.steps_done % steps

    @property
    def is_at_end_of_stage(self) -> bool:
        """Whether the present stage is done."""
        return self.state.steps_done == self.stage.num_steps

    def enter_stage(self) -> None:
        """Go from a stage that is done into the next one.

        A search that found no volume is a failure of this system alone.

        Raises:
            ConfigError: The next stage cannot be run on this cell.
        """
        if not self.is_at_end_of_stage and not self.is_new:
            return
        entered = (
            self.state
            if self.is_new
            else state_entering(self.state, self.stages[self.state.stage + 1], self._seed)
        )
        stage = self.stages[entered.stage]
        try:
            self.state = entered if stage.stage.volume is None else entered.scaled(self._volume_of(stage))
        except DataError as error:
            self.fail(error)
            return
        require_barostat_fits(self.stage, self.state)

    def _volume_of(self, stage: PlannedStage) -> float:
        """What a stage wants to start with, A^3."""
        wanted = stage.stage.volume
        if isinstance(wanted, str):
            pressure = stage.stage.pressure_GPa if stage.stage.ensemble == "npt" else 0.0
            return find_volume(self.files.thermo, self.stages, wanted, pressure)
        return float(wanted or 1.0) * self._volume

    def expect(self, observation: Observation) -> None:
        """Look at where a stage starts or goes on; the very first state is stored."""
        if self.is_new:
            self._record.write(self.state, self.stage, observation)
        self._record.note_grades(self.state, self.stage, observation)
        try:
            self._guard.expect(self.state, self.stage, observation)
        except SimulationError as error:
            self.fail(error)
        self._note_known(observation)

    def accept(self, state: State, observation: Observation) -> None:
        """Take a later state as the present one and store a frame if one is due; else note why not."""
        self._record.note_grades(state, self.stage, observation)
        try:
            self._guard.check(state, self.state, self.stage, observation)
        except SimulationError as error:
            self.fail(error)
            return
        self.state, self.residual = state, observation.residual
        self._note_known(observation)
        self._record.write_if_due(state, self.stage, observation)
        self._note_end()

    def fail(self, error: MlipError) -> None:
        """Stop here, with the last good structure on file, and the last state to go on from."""
        last = f"step {self.steps_done} (stage {self.stage.stage.name})"
        self.failure = f"{error}; the last good structure, of {last}, is in {self.files.final}"
        ase.io.write(self.files.final, self.state.to_atoms(), format="extxyz")
        if self._known is not None:
            self._known.save(self.files.known)

    def _note_known(self, observation: Observation) -> None:
        if not self.failure and self._limits.knows(observation.grades):
            self._known = self.state

    def _note_end(self) -> None:
        """Look whether the protocol ends with the present stage, as ions hardly moved in it."""
        until = self.stage.stage.until
        if until is None or not self.is_at_end_of_stage:
            return
        with self._record.lent_trajectory(self.state) as trajectory:
            moved = farthest_move(trajectory, self.stage.index, until.species)
        self._has_ended = moved <= until.moved_A
        text = "the protocol ends here" if self._has_ended else "it goes on"
        logger.info("%s: %s moved up to %.2f A, %s", self.stage.stage.name, until.species, moved, text)
