"""The loop that takes systems through the stages of their protocols.

It owns the clock and the checkpoints; an engine moves atoms, and a `SystemRun` keeps files and checks. A run
that is killed goes on from its last checkpoint, also in the middle of a ramp: velocities are drawn once, at
the very start, and a stage is never begun twice. Systems enter an engine as others leave it.
"""

import logging
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from md.engines.base import BatchEngine, Engine, OneByOne, Place
from md.engines.interrupts import Interrupt, postponed_interrupt
from md.engines.system_run import SystemRun, describe, log_end_of_relaxation
from md.protocols.stages import PlannedStage
from md.state import State
from md.thermo import Observation, temperature_K
from mlip.errors import MlipError, SimulationError
from mlip.units import FS_PER_NS, SECONDS_PER_DAY

logger = logging.getLogger(__name__)

CHECKPOINT_INTERVAL_S = 30.0
# Atoms are checked, and the progress bar moves, at least this often.
STEPS_PER_ADVANCE = 25


def simulate(engine: Engine, stages: Sequence[PlannedStage], state: State, directory: Path) -> State:
    """Run the stages of a protocol on one system; write trajectory, table, checkpoints, final structure.

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
    run = SystemRun(0, stages, state, directory)
    simulate_systems(OneByOne(lambda system: engine), [run])
    return run.state


def simulate_systems(engine: BatchEngine, runs: Sequence[SystemRun]) -> None:
    """Take systems to the ends of their protocols, as many at once as the engine takes.

    Raises:
        ConfigError: A stage cannot be run on the cell of a system.
        SimulationError: A system left the physical regime; the others were taken to their ends.
        KeyboardInterrupt: Asked for while it ran; all that was done is in the checkpoints.
    """
    waiting, active = deque(runs), list[SystemRun]()
    total, done = sum(run.num_steps for run in runs), sum(run.steps_done for run in runs)
    bar = tqdm(total=total, initial=done, unit="step", disable=None, dynamic_ncols=True)
    with bar, postponed_interrupt() as interrupt:
        try:
            while waiting or active:
                while waiting and (engine.capacity is None or len(active) < engine.capacity):
                    active.append(waiting.popleft())
                    active[-1].open()
                if not any(run.is_done for run in active):
                    _Together(engine, active, bar, interrupt).run()
                for run in [run for run in active if run.is_done]:
                    active.remove(run)
                    run.close()
        finally:
            for run in active:
                run.close()
    _raise_failures(runs)


class _Together:
    """Some systems in an engine, until one of them ends a stage or fails."""

    def __init__(
        self, engine: BatchEngine, runs: Sequence[SystemRun], bar: "tqdm[None]", interrupt: Interrupt
    ) -> None:
        self.engine, self.runs, self.bar, self.interrupt = engine, runs, bar, interrupt
        self.started_at = self.checkpointed_at = time.monotonic()
        self.steps = 0

    def run(self) -> None:
        """Advance from event to event."""
        for run in self.runs:
            run.enter_stage()
        self.engine.begin([Place(run.system, run.stage, run.state) for run in self.runs])
        self._note_starts()
        while not any(run.is_at_end_of_stage or run.failure for run in self.runs):
            self._advance(min(STEPS_PER_ADVANCE, *(run.steps_to_frame for run in self.runs)))
            if self.interrupt.asked or time.monotonic() - self.checkpointed_at > CHECKPOINT_INTERVAL_S:
                self._save()
            if self.interrupt.asked:
                raise KeyboardInterrupt
        self._save()
        for run in self.runs:
            if run.is_at_end_of_stage and run.residual:
                log_end_of_relaxation(self._name(run), run)
            elif run.is_at_end_of_stage:
                logger.info("stage %s done at %.3f ns/day", self._name(run), self._ns_per_day())

    def _note_starts(self) -> None:
        observations = self.engine.observe()
        for run, observation in zip(self.runs, observations, strict=True):
            if run.announced != run.state.stage:
                logger.info("stage %s: %s", self._name(run), describe(run.stage, run.state.steps_done))
                run.announced = run.state.stage
            if run.is_new:
                run.write(observation)

    def _advance(self, num_steps: int) -> None:
        """Integrate and let each system look at what came of it."""
        try:
            self.engine.advance(num_steps)
            found = list(zip(self.runs, self.engine.states(), self.engine.observe(), strict=True))
        except MlipError as error:  # the potential or the engine may be what refuses the atoms
            for run in self.runs:
                run.fail(error)
            return
        done = sum(run.steps_done for run in self.runs)
        for run, state, observation in found:
            run.accept(state, observation)
        self.steps += num_steps
        self.bar.update(sum(run.steps_done for run in self.runs) - done)
        self._show(found[0][2])

    def _save(self) -> None:
        """Checkpoints of all that are well; they go on from there."""
        if all(run.failure for run in self.runs):
            return
        for run, state in zip(self.runs, self.engine.checkpoints(), strict=True):
            if not run.failure:
                state.save(run.files.restart)
                run.state = state
        self.checkpointed_at = time.monotonic()

    def _show(self, observation: Observation) -> None:
        first = self.runs[0]
        if len(self.runs) == 1:
            self.bar.set_description(first.stage.stage.name, refresh=False)
            now = f"{temperature_K(first.state, first.stage):.0f} K"
            if observation.residual is not None:
                now = f"{observation.residual.force_eV_A:.2g} eV/A"
            thermo = f"{now}, {observation.potential_eV:.3f} eV"
        else:
            self.bar.set_description(f"{len(self.runs)} systems", refresh=False)
            mean = sum(temperature_K(run.state, run.stage) for run in self.runs) / len(self.runs)
            thermo = f"{mean:.0f} K"
        self.bar.set_postfix_str(f"{thermo}, {self._ns_per_day():.3g} ns/day", refresh=True)

    def _ns_per_day(self) -> float:
        """Of all systems together."""
        simulated_fs = self.steps * sum(run.stage.stage.timestep_fs for run in self.runs)
        seconds = max(time.monotonic() - self.started_at, 1e-9)
        return simulated_fs / FS_PER_NS * SECONDS_PER_DAY / seconds

    def _name(self, run: SystemRun) -> str:
        return run.stage.stage.name if len(self.runs) == 1 else f"{run.stage.stage.name} of {run.system}"


def _raise_failures(runs: Sequence[SystemRun]) -> None:
    failed = [run for run in runs if run.failure]
    if not failed:
        return
    if len(runs) == 1:
        raise SimulationError(failed[0].failure)
    numbers = ", ".join(str(run.system) for run in failed)
    raise SimulationError(f"systems {numbers} of {len(runs)} stopped; the first: {failed[0].failure}")
