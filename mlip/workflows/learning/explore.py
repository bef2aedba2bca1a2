"""Explorers: dynamics that go on until the potential no longer knows the atoms."""

import logging
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from md.engines.record import RunFiles
from md.protocols.stages import PlannedStage
from md.state import State
from mlip.errors import MlipError
from mlip.workflows.learning.legs import BROKE, DONE, PASSED, STOPPED, Leg, last_legs
from mlip.workflows.learning.plan import Plan
from mlip.workflows.learning.records import Generation, Record, potential_before, read_frames_of
from mlip.workflows.stage import as_job, run_verb

logger = logging.getLogger(__name__)

# What a run says of itself in its log, up to the advice.
_STOPPED = re.compile(r" ERROR +stopped: (.+?)(?:; expected|$)", re.MULTILINE)


def explore(plan: Plan, generation: Generation) -> Record:
    """Take each explorer on with the newest potential; those that have passed with it rest.

    Raises:
        MlipError: Dynamics failed for another reason than what the potential does not know.
    """
    before = last_legs(generation)
    made = potential_before(generation)[1]
    legs = {k: leg for k, leg in before.items() if leg.ended == PASSED and leg.potential == made}
    tasks = [_task(plan, generation, name, before.get(name)) for name in plan.explorers if name not in legs]
    with ThreadPoolExecutor(plan.at_once) as pool:
        legs |= {task.name: leg for task, leg in zip(tasks, pool.map(_Task.run, tasks), strict=True)}
    for task in tasks:
        logger.info("%s %s", task.name, legs[task.name].reason)
    reason = "; ".join(f"{task.name} {legs[task.name].reason}" for task in tasks) or "all have passed"
    return {"potential": made, "explorers": {k: asdict(v) for k, v in legs.items()}, "reason": reason}


def explorer_folder(generation: Generation, name: str) -> Path:
    """Run directory of its dynamics."""
    return generation.path / "explorers" / name


@dataclass(frozen=True)
class _Task:
    """What an explorer is to do in a generation; fields as of `Leg`."""

    generation: Generation
    name: str
    words: list[str]
    job: Mapping[str, object] | None
    stages: list[PlannedStage]
    potential: int
    turn: int
    restart: str
    from_ps: float

    def run(self) -> Leg:
        """Do it, if it is not done."""
        return Leg(**self.generation.once(f"explorers/{self.name}", lambda: asdict(self._move())))

    def _move(self) -> Leg:
        files = RunFiles(explorer_folder(self.generation, self.name))
        restart = [f"restart={self.generation.run_dir / self.restart}"] if self.restart else []
        try:
            run_verb(as_job(["md", *self.words, *restart], self.job), files.directory)
        except MlipError:
            why = _why_it_stopped(files)
            if why is None:
                raise
            return self._failed(files, why)
        total_ps = self._total_ps
        reason = f"ran from {self.from_ps:.4g} to {total_ps:.4g} ps"
        return self._leg(files, DONE if self.restart else PASSED, total_ps, "", reason)

    def _failed(self, files: RunFiles, why: str) -> Leg:
        """The leg of an explorer that the potential, or physics, did not let go on."""
        known_ps, restart = self.from_ps, self.restart
        if files.known.exists():
            known = State.load(files.known)
            known_ps = self.stages[known.stage].time_ps(known.steps_done)
            restart = str(files.known.relative_to(self.generation.run_dir))
        ended = STOPPED if "extrapolation grade" in why else BROKE
        reason = f"{ended} {known_ps - self.from_ps:.4g} ps after {self.from_ps:.4g} ps: {why}"
        return self._leg(files, ended, known_ps, restart, reason)

    def _leg(self, files: RunFiles, ended: str, known_ps: float, restart: str, reason: str) -> Leg:
        frames = read_frames_of(files.extrapolating)
        return Leg(
            ended=ended,
            potential=self.potential,
            turn=self.turn,
            from_ps=self.from_ps,
            known_ps=known_ps,
            total_ps=self._total_ps,
            frames=len(frames),
            highest_grade=max((frame.info["max_grade"] for frame in frames), default=0.0),
            restart=restart,
            reason=reason,
        )

    @property
    def _total_ps(self) -> float:
        return self.stages[-1].time_ps(self.stages[-1].num_steps)


def _task(plan: Plan, generation: Generation, name: str, before: Leg | None) -> _Task:
    """Go on where the explorer was stopped; else begin, each time with other velocities."""
    explorer = plan.explorers[name]
    potential, made = potential_before(generation)
    restart = before.restart if before is not None and before.is_stuck else ""
    turn = 0 if before is None else before.turn + (not restart)
    seed = plan.seed + 1000 * turn + list(plan.explorers).index(name)
    limits = plan.grade.at(generation.number)
    words = [
        f"device={explorer.device or plan.device}",
        *explorer.words(),
        f"potential={potential}",
        f"seed={seed % 2**31}",
        *(f"grade.{key}={limit}" for key, limit in limits.items()),
    ]
    from_ps = before.known_ps if before is not None and restart else 0.0
    stages = explorer.stages()
    return _Task(generation, name, words, explorer.job, stages, made, turn, restart, from_ps)


def _why_it_stopped(files: RunFiles) -> str | None:
    """Why dynamics stopped, up to the advice.

    None where nothing moved, or where it was ended from outside: that is no discovery.
    """
    log = files.directory / "log.txt"
    if not files.final.exists() or not log.exists():
        return None
    said = _STOPPED.findall(log.read_text(errors="replace"))
    return said[-1] if said else None
