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

from md.engines.base import BatchEngine, Engine, OneByOne
from md.engines.interrupts import Interrupt, postponed_interrupt
from md.engines.progress import Progress, ns_per_day
from md.engines.stage_log import describe, log_end_of_relaxation
from md.engines.system_run import SystemRun
from md.protocols.stages import PlannedStage
from md.state import State
from md.thermo import Observation
from mlip.errors import MlipError, SimulationError

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
    with Progress(runs) as bar, postponed_interrupt() as interrupt:
        try:
            while waiting or active:
                while waiting and (engine.capacity is None or len(active) < engine.capacity):
                    waiting[0].open()
                    active.append(waiting.popleft())
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
        self, engine: BatchEngine, runs: Sequence[SystemRun], bar: Progress, interrupt: Interrupt
    ) -> None:
        self.engine, self.runs, self.bar, self.interrupt = engine, runs, bar, interrupt
        self.started_at = self.checkpointed_at = time.monotonic()
        self.steps = 0
        self.is_torn = False

    def run(self) -> None:
        """Advance from event to event."""
        for run in self.runs:
            run.enter_stage()
        if any(run.failure for run in self.runs):
            return
        self.engine.begin([run.place for run in self.runs])
        self._note_starts()
        while not (self.is_torn or any(run.is_at_end_of_stage or run.failure for run in self.runs)):
            self._advance(min(STEPS_PER_ADVANCE, *(run.steps_to_frame for run in self.runs)))
            if self.interrupt.asked or time.monotonic() - self.checkpointed_at > CHECKPOINT_INTERVAL_S:
                self._save()
            if self.interrupt.asked:
                raise KeyboardInterrupt
        self._save()
        for run in self.runs:
            if run.is_at_end_of_stage and run.residual:
                log_end_of_relaxation(self._name(run), run.stage, run.residual)
            elif run.is_at_end_of_stage:
                logger.info("stage %s done at %.3f ns/day", self._name(run), self._ns_per_day())

    def _note_starts(self) -> None:
        observations = self.engine.observe()
        for run, observation in zip(self.runs, observations, strict=True):
            if run.announced != run.state.stage:
                logger.info("stage %s: %s", self._name(run), describe(run.stage, run.state.steps_done))
                run.announced = run.state.stage
            run.expect(observation)

    def _advance(self, num_steps: int) -> None:
        """Integrate and let each system look at what came of it."""
        try:
            found = self._moved(num_steps)
        except MlipError as error:  # the potential or the engine may be what refuses the atoms
            self._blame(error, num_steps)
            return
        done = sum(run.steps_done for run in self.runs)
        for run, (state, observation) in zip(self.runs, found, strict=True):
            run.accept(state, observation)
        self.steps += num_steps
        self.bar.update(sum(run.steps_done for run in self.runs) - done)
        observations = [observation for _, observation in found]
        self.bar.show(self.runs, observations, self._steps_per_s())

    def _moved(self, num_steps: int) -> list[tuple[State, Observation]]:
        """States after some steps; those of several can be begun again from, should one of them fail."""
        self.engine.advance(num_steps)
        states = self.engine.states() if len(self.runs) == 1 else self.engine.checkpoints()
        return list(zip(states, self.engine.observe(), strict=True))

    def _blame(self, error: MlipError, num_steps: int) -> None:
        """Find who failed: of several, each takes the steps again, alone, from where all were well."""
        self.is_torn = True
        if len(self.runs) == 1:
            self.runs[0].fail(error)
            return
        for run in self.runs:
            try:
                self.engine.begin([run.place])
                ((state, observation),) = self._moved(num_steps)
            except MlipError as its_own:
                run.fail(its_own)
            else:
                run.accept(state, observation)
                self.bar.update(num_steps)

    def _save(self) -> None:
        """Checkpoints to go on from; of several also of one that failed, from when it was well."""
        if len(self.runs) == 1 and not self.runs[0].failure:
            (self.runs[0].state,) = self.engine.checkpoints()
        for run in self.runs:
            if not run.failure or (len(self.runs) > 1 and not run.is_new):
                run.state.save(run.files.restart)
        self.checkpointed_at = time.monotonic()

    def _steps_per_s(self) -> float:
        """Steps that each system does in a second."""
        return self.steps / max(time.monotonic() - self.started_at, 1e-9)

    def _ns_per_day(self) -> float:
        """Of all systems together."""
        return sum(ns_per_day(run, self._steps_per_s()) for run in self.runs)

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
