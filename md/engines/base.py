"""What every engine offers, and the loop that takes one through the stages of a protocol.

The loop owns the clock, the files and the checks; an engine moves atoms. A run that is killed goes on from
its last checkpoint, also in the middle of a ramp: velocities are drawn once, at the very start, and a stage
is never begun twice.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import ase.io
from tqdm import tqdm

from md.engines.interrupts import Interrupt, postponed_interrupt
from md.engines.safety import check_state, require_barostat_fits, require_no_overlap
from md.protocols.stages import PlannedStage
from md.state import State, draw_velocities, remove_drift
from md.thermo import Observation, ThermoWriter, cut_thermo, temperature_K, thermo_row
from md.trajectory_writer import TrajectoryWriter, cut_trajectory
from mlip.errors import ConfigError, MlipError, SimulationError

if TYPE_CHECKING:
    from mlip.deploy import MLIPCalculator  # torch: not for `mlip md --help`

logger = logging.getLogger(__name__)

CHECKPOINT_INTERVAL_S = 30.0
# Atoms are checked, and the progress bar moves, at least this often.
STEPS_PER_ADVANCE = 25
_FS_PER_NS = 1e6
_SECONDS_PER_DAY = 86400.0


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


class Backend(Protocol):
    """Settings of an engine (conf/engine/*.yaml) that open it for a potential."""

    def open(self, calculator: "MLIPCalculator", state: State, seed: int, run_dir: Path) -> Engine:
        """Make the engine that moves atoms with this potential.

        Args:
            calculator: The potential.
            state: The atoms that will move.
            seed: Seed of the run.
            run_dir: Directory of the run.
        """


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
    def restart(self) -> Path:
        """The last checkpoint."""
        return self.directory / "restart.npz"

    @property
    def final(self) -> Path:
        """The last structure (after an error: the last good one)."""
        return self.directory / "final.extxyz"


def first_state(state: State, stages: Sequence[PlannedStage], seed: int) -> State:
    """The state a run starts from: velocities drawn at the first stage's temperature.

    A first stage without temperature (NVE) keeps the velocities of the structure.

    Raises:
        ConfigError: There is a single atom, or the structure of such a run does not move.
    """
    if len(state.numbers) < 2:
        raise ConfigError("found one atom; expected at least two: a lone atom has no internal motion")
    start_K = stages[0].start_K
    if start_K is not None:
        return draw_velocities(state, start_K, seed)
    if state.kinetic_energy == 0.0:
        raise ConfigError(
            f"stage {stages[0].stage.name} starts without temperature_K from a structure without velocities; "
            "give temperature_K"
        )
    return state


def simulate(engine: Engine, stages: Sequence[PlannedStage], state: State, directory: Path) -> State:
    """Run the stages of a protocol from a state on; write trajectory, table, checkpoints, final structure.

    Args:
        engine: What moves the atoms.
        stages: All stages of the protocol.
        state: Where to start: a `first_state`, or a checkpoint of an earlier session.
        directory: Where the files go; those of an earlier session are cut back to `state`.

    Returns:
        The final state.

    Raises:
        ConfigError: A stage cannot be run on this cell.
        SimulationError: The run left the physical regime; the last good state is in final.extxyz.
        KeyboardInterrupt: Asked for while it ran; all that was done is in the checkpoint.
    """
    require_no_overlap(state)
    for stage in stages[state.stage :]:
        require_barostat_fits(stage, state)
    files = RunFiles(directory)
    step = stages[state.stage].start_step + state.steps_done
    is_new = state.stage == 0 and state.steps_done == 0
    cut_trajectory(files.trajectory, -1 if is_new else step)
    cut_thermo(files.thermo, -1 if is_new else step)
    with (
        TrajectoryWriter(files.trajectory, state, stages) as trajectory,
        ThermoWriter(files.thermo) as thermo,
    ):
        session = _Session(engine, stages, state, files, trajectory, thermo)
        with session.progress, postponed_interrupt() as session.interrupt:
            session.run()
    ase.io.write(files.final, session.state.to_atoms(), format="extxyz")
    return session.state


class _Session:
    """One session of a run: the present state and where it is written."""

    def __init__(
        self,
        engine: Engine,
        stages: Sequence[PlannedStage],
        state: State,
        files: RunFiles,
        trajectory: TrajectoryWriter,
        thermo: ThermoWriter,
    ) -> None:
        self.engine, self.stages, self.state = engine, stages, state
        self.files, self.trajectory, self.thermo = files, trajectory, thermo
        self.hottest_K = max((max(each.start_K or 0.0, each.end_K or 0.0) for each in stages), default=0.0)
        total = stages[-1].start_step + stages[-1].num_steps
        done = stages[state.stage].start_step + state.steps_done
        self.progress = tqdm(total=total, initial=done, unit="step", disable=None, dynamic_ncols=True)
        self.checkpointed_at = time.monotonic()
        self.interrupt = Interrupt()

    def run(self) -> None:
        """All stages that are not done yet."""
        for stage in self.stages[self.state.stage :]:
            if self.state.stage == stage.index and self.state.steps_done == stage.num_steps:
                continue
            self._begin(stage)
            self._run_stage(stage)

    def _begin(self, stage: PlannedStage) -> None:
        if self.state.stage != stage.index:
            self.state = _enter(self.state, stage)
            require_barostat_fits(stage, self.state)
        self.engine.begin(stage, self.state)
        is_first = stage.index == 0 and self.state.steps_done == 0
        if is_first:
            self._write(stage, self.engine.observe())
        logger.info("stage %s: %s", stage.stage.name, _describe(stage, self.state.steps_done))

    def _run_stage(self, stage: PlannedStage) -> None:
        started_at, first = time.monotonic(), self.state.steps_done
        while self.state.steps_done < stage.num_steps:
            to_frame = stage.steps_per_frame - self.state.steps_done % stage.steps_per_frame
            observation = self._advance(stage, min(to_frame, STEPS_PER_ADVANCE))
            speed = _ns_per_day(stage, self.state.steps_done - first, time.monotonic() - started_at)
            self._show(stage, observation, speed)
            if self.interrupt.asked or time.monotonic() - self.checkpointed_at > CHECKPOINT_INTERVAL_S:
                self._save()
            if self.interrupt.asked:
                raise KeyboardInterrupt
        self._save()
        logger.info("stage %s done at %.3f ns/day", stage.stage.name, speed)

    def _advance(self, stage: PlannedStage, num_steps: int) -> Observation:
        """Integrate, check, and store a frame if one is due; on an error keep the last good state."""
        try:
            self.engine.advance(num_steps)
            after, observation = self.engine.state(), self.engine.observe()
            check_state(after, self.state, stage, self.hottest_K)
        except MlipError as error:  # the potential or the engine may be what refuses the atoms
            ase.io.write(self.files.final, self.state.to_atoms(), format="extxyz")
            raise SimulationError(f"{error}; the last good structure is in {self.files.final}") from None
        self.state = after
        if after.steps_done % stage.steps_per_frame == 0:
            self._write(stage, observation)
        return observation

    def _write(self, stage: PlannedStage, observation: Observation) -> None:
        self.trajectory.append(self.state, stage)
        self.thermo.append(thermo_row(self.state, stage, observation))

    def _save(self) -> None:
        self.engine.checkpoint().save(self.files.restart)
        self.checkpointed_at = time.monotonic()

    def _show(self, stage: PlannedStage, observation: Observation, speed: float) -> None:
        self.progress.set_description(stage.stage.name, refresh=False)
        thermo = f"{temperature_K(self.state, stage):.0f} K, {observation.potential_eV:.3f} eV"
        self.progress.set_postfix_str(f"{thermo}, {speed:.3g} ns/day", refresh=False)
        self.progress.update(stage.start_step + self.state.steps_done - self.progress.n)


def _enter(state: State, stage: PlannedStage) -> State:
    """The end of one stage as the start of the next; drift goes where the next one conserves momentum."""
    entered = State(
        numbers=state.numbers,
        masses=state.masses,
        positions=state.positions,
        velocities=state.velocities,
        cell=state.cell,
        pbc=state.pbc,
        stage=stage.index,
    )
    return remove_drift(entered) if stage.degrees_of_freedom_removed else entered


def _ns_per_day(stage: PlannedStage, num_steps: int, seconds: float) -> float:
    return num_steps * stage.stage.timestep_fs / _FS_PER_NS * _SECONDS_PER_DAY / max(seconds, 1e-9)


def _describe(stage: PlannedStage, steps_done: int) -> str:
    """A line for the log: ensemble, temperatures, length."""
    kelvin = "" if stage.start_K is None else f" {stage.start_K:g} K"
    if stage.start_K != stage.end_K:
        kelvin += f" -> {stage.end_K:g} K"
    length_ps = stage.time_ps(stage.num_steps) - stage.start_time_ps
    going_on = f", going on at step {steps_done}" if steps_done else ""
    return f"{stage.stage.ensemble}{kelvin}, {length_ps:g} ps, {stage.num_steps} steps{going_on}"
