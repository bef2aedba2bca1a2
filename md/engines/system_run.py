"""One system on its way through the stages of a protocol: its state, its files, its checks."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import ase.io
import numpy as np

from md.engines.base import Place
from md.engines.grade_watch import ExtrapolatingFrames, GradeLimits
from md.engines.guard import Guard
from md.engines.hops import farthest_move
from md.engines.observables import ObservablesTable
from md.engines.safety import require_barostat_fits, require_no_overlap
from md.engines.volume_search import find_volume
from md.groups import mobile_atoms
from md.protocols.relaxation import Relaxation
from md.protocols.stages import PlannedStage
from md.state import State, draw_velocities, remove_drift
from md.storage import Storage
from md.thermo import Observation, Residual, ThermoWriter, cut_thermo, thermo_row
from md.trajectory import Trajectory
from md.trajectory_repair import cut_trajectory
from md.trajectory_writer import TrajectoryWriter
from mlip.errors import ConfigError, DataError, MlipError, SimulationError

NO_LIMITS = GradeLimits()

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunFiles:
    """Names of what a run leaves in its directory."""

    directory: Path

    @property
    def trajectory(self) -> Path:
        """Frames (H5MD)."""
        return self.directory / "trajectory.h5"

    @property
    def thermo(self) -> Path:
        """Table of thermodynamic quantities."""
        return self.directory / "thermo.csv"

    @property
    def observables(self) -> Path:
        """Table of what stages observe."""
        return self.directory / "observables.csv"

    @property
    def restart(self) -> Path:
        """The last checkpoint."""
        return self.directory / "restart.npz"

    @property
    def final(self) -> Path:
        """The last structure (after an error: the last good one)."""
        return self.directory / "final.extxyz"

    @property
    def extrapolating(self) -> Path:
        """Frames of high extrapolation grade, for labelling."""
        return self.directory / "extrapolating.extxyz"


def first_state(state: State, stages: Sequence[PlannedStage], seed: int) -> State:
    """The state a run starts from: velocities drawn at the first stage's temperature.

    A first stage without temperature (NVE) keeps the velocities of the structure; a relaxation has none.

    Raises:
        ConfigError: There is a single atom that may move in dynamics, or the structure of such a run does not
            move.
    """
    mobile = mobile_atoms(state, stages[0])
    if mobile.sum() < 2 and not all(stage.is_relaxation for stage in stages):
        found = "one atom" if mobile.any() else "no atom"
        raise ConfigError(f"found {found} that may move; expected at least two: one has no internal motion")
    if stages[0].is_relaxation:
        return replace(state, velocities=np.zeros_like(state.velocities))
    start_K = stages[0].start_K
    if start_K is not None:
        return draw_velocities(state, start_K, seed, mobile)
    state = replace(state, velocities=mobile[:, None] * state.velocities)
    if state.kinetic_energy == 0.0:
        raise ConfigError(
            f"stage {stages[0].stage.name} starts without temperature_K from a structure without velocities; "
            "give temperature_K"
        )
    return state


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
        self._has_ended = False
        self._volume: float
        self._guard: Guard
        self._observables: ObservablesTable
        self._storage = storage or Storage()
        self._storage.atoms(state.numbers)
        self._steps_between = [self._storage.steps_between(each) for each in stages]
        self.residual: Residual | None = None
        self.announced = -1
        self._seed = seed
        self._trajectory: TrajectoryWriter
        self._thermo: ThermoWriter
        self._extrapolating: ExtrapolatingFrames

    def open(self) -> None:
        """Open the files, cut back to the present state."""
        self.files.directory.mkdir(parents=True, exist_ok=True)
        last = -1 if self.is_new else self.steps_done
        cut_trajectory(self.files.trajectory, last)
        cut_thermo(self.files.thermo, last)
        cut_thermo(self.files.observables, last)
        hottest_K = max(max(each.start_K or 0.0, each.end_K or 0.0) for each in self.stages)
        start = _start_of_run(self.files.trajectory, self.state)
        # the first stored frame was scaled, if the first stage asks for it
        scale = 1.0 if self.is_new else float(self.stages[0].stage.volume or 1.0)
        self._volume = start.volume / scale
        self._observables = ObservablesTable(self.files.observables, self.stages, start)
        self._guard = Guard(start, hottest_K, self._limits)
        self._extrapolating = ExtrapolatingFrames(self.files.extrapolating, self._limits, last)
        self._note_end()
        self._trajectory = TrajectoryWriter(self.files.trajectory, self.state, self.stages, self._storage)
        self._thermo = ThermoWriter(self.files.thermo)

    def close(self) -> None:
        """Close the files; of a protocol that is done, leave the final structure."""
        self._observables.close()
        self._thermo.close()
        self._trajectory.close()
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
        steps = self._steps_between[self.state.stage]
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
            self.state if self.is_new else _enter(self.state, self.stages[self.state.stage + 1], self._seed)
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
            self.write(observation)
        self._extrapolating.note(self.state, self.stage, observation.grades)
        try:
            self._guard.expect(self.state, self.stage, observation)
        except SimulationError as error:
            self.fail(error)

    def accept(self, state: State, observation: Observation) -> None:
        """Take a later state as the present one and store a frame if one is due; else note why not."""
        self._extrapolating.note(state, self.stage, observation.grades)
        try:
            self._guard.check(state, self.state, self.stage, observation)
        except SimulationError as error:
            self.fail(error)
            return
        self.state, self.residual = state, observation.residual
        if state.steps_done % self.stage.steps_per_frame == 0:
            self.write(observation)
        elif state.steps_done % self._steps_between[state.stage] == 0:
            self._trajectory.append_often(state, self.stage)
        if self.is_at_end_of_stage and self.stage.stage.until:
            self._trajectory.close()  # it can be read by nobody else
            self._note_end()
            self._trajectory = TrajectoryWriter(self.files.trajectory, state, self.stages, self._storage)

    def fail(self, error: MlipError) -> None:
        """Stop here, with the last good structure on file."""
        last = f"step {self.steps_done} (stage {self.stage.stage.name})"
        self.failure = f"{error}; the last good structure, of {last}, is in {self.files.final}"
        ase.io.write(self.files.final, self.state.to_atoms(), format="extxyz")

    def write(self, observation: Observation) -> None:
        """Store a frame and a row."""
        self._trajectory.append(self.state, self.stage, observation.potential_eV)
        self._thermo.append(thermo_row(self.state, self.stage, observation))
        self._observables.append(self.state, self.stage)

    def _note_end(self) -> None:
        """Look whether the protocol ends with the present stage, as ions hardly moved in it."""
        until = self.stage.stage.until
        if until is None or not self.is_at_end_of_stage:
            return
        moved = farthest_move(self.files.trajectory, self.stage.index, until.species)
        self._has_ended = moved <= until.moved_A
        text = "the protocol ends here" if self._has_ended else "it goes on"
        logger.info("%s: %s moved up to %.2f A, %s", self.stage.stage.name, until.species, moved, text)


def _start_of_run(trajectory: Path, state: State) -> State:
    """The first stored frame of a run that goes on, or the state that it starts from."""
    if not trajectory.exists():
        return state
    with Trajectory(trajectory) as frames:
        if len(frames) == 0:
            return state
        first = slice(0, 1)
        return replace(state, positions=frames.unwrapped(first)[0], cell=frames.cells[0])


def _enter(state: State, stage: PlannedStage, seed: int) -> State:
    """The end of one stage as the start of the next; drift goes where the next one conserves momentum.

    Into a relaxation atoms come at rest, and out of it with new velocities, other ones than at the start.
    """
    mobile = mobile_atoms(state, stage)
    velocities = 0.0 * state.velocities if stage.is_relaxation else mobile[:, None] * state.velocities
    entered = replace(state, velocities=velocities, stage=stage.index, steps_done=0, internals={})
    if stage.draws_velocities and stage.start_K is not None:
        return draw_velocities(entered, stage.start_K, (seed, stage.index), mobile)
    return remove_drift(entered, mobile) if stage.degrees_of_freedom_removed else entered


def log_end_of_relaxation(name: str, run: SystemRun) -> None:
    """Say in the log whether a relaxation has come to a minimum, and what is left if it has not."""
    user, left = run.stage.stage, run.residual
    if left is None or not isinstance(user, Relaxation):
        return
    found = f"largest force {left.force_eV_A:.2g} eV/A"
    if user.barostat is not None:
        found += f", stress {left.stress_GPa:.2g} GPa"
    if left.is_converged:
        logger.info("stage %s converged after %d steps: %s", name, left.steps, found)
        return
    logger.warning(
        "stage %s is no minimum, not converged in %d steps: %s; expected %g eV/A%s: give more max_steps",
        name,
        left.steps,
        found,
        user.force_tolerance_eV_A,
        "" if user.barostat is None else f" and {user.stress_tolerance_GPa:g} GPa",
    )


def describe(stage: PlannedStage, steps_done: int) -> str:
    """A line for the log: ensemble, temperatures, length."""
    if stage.is_relaxation:
        cell = (
            "fixed cell"
            if stage.barostat is None
            else f"{stage.barostat} at {stage.stage.pressure_GPa:g} GPa"
        )
        going_on = f", going on at step {steps_done}" if steps_done else ""
        return f"relaxation, {cell}, at most {stage.num_steps} steps{going_on}"
    kelvin = "" if stage.start_K is None else f" {stage.start_K:g} K"
    if stage.start_K != stage.end_K:
        kelvin += f" -> {stage.end_K:g} K"
    length_ps = stage.time_ps(stage.num_steps) - stage.start_time_ps
    going_on = f", going on at step {steps_done}" if steps_done else ""
    return f"{stage.stage.ensemble}{kelvin}, {length_ps:g} ps, {stage.num_steps} steps{going_on}"
