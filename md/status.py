"""How far a run of `mlip md` has got, from its thermo.csv, its log and the ages of its files.

trajectory.h5 is not touched: HDF5 locks a file that is open, and a reader could be in the way of the writer.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from md.engines.record import RunFiles
from md.protocols.read import read_protocol
from md.protocols.stages import PlannedStage, plan_stages
from md.thermo import ThermoRow, last_thermo_row
from mlip.units import FS_PER_NS, SECONDS_PER_DAY

# "2026-11-21 04:12:33,123 INFO    md.engines.loop: stage nvt of 3: nvt 300 K, ..., going on at step 500"
_STAGE_BEGINS = re.compile(
    r"^(\S+ [\d:]+),\d+ INFO +md\.engines\.loop: stage (\S+?)(?: of (\d+))?: (?:.*going on at step (\d+))?"
)
_LOG_TAIL = 2**20


@dataclass(frozen=True)
class SystemStatus:
    """How far one system has got.

    Attributes:
        name: Its folder in `systems/`; empty for the only one of a run.
        state: `done`, `failed`, `begun` or `waiting`.
        stage: Present stage; empty before the first frame.
        stage_step, stage_steps: Steps done of that stage, and all of it.
        step, num_steps: Steps done of the protocol, and all of it.
        time_ps, total_ps: Time simulated, and all of the protocol, ps.
        temperature_K: Temperature of the last frame, K; None before the first.
        target_K: What the thermostat aimed at there, K.
        frame_age_s, checkpoint_age_s: Since the last frame and the last checkpoint, s; None without one.
        ns_per_day: Speed since the stage began or was gone on with; None where it cannot be told yet.
        seconds_left: At that speed, s.
    """

    name: str
    state: str
    stage: str
    stage_step: int
    stage_steps: int
    step: int
    num_steps: int
    time_ps: float
    total_ps: float
    temperature_K: float | None
    target_K: float | None
    frame_age_s: float | None
    checkpoint_age_s: float | None
    ns_per_day: float | None
    seconds_left: float | None


def read_md_status(run_dir: Path, config: Mapping[str, Any]) -> list[SystemStatus]:
    """Look at each system of a run; nothing is written and nothing locked.

    Args:
        run_dir: The run directory.
        config: Its resolved config.

    Raises:
        ConfigError: The protocol in it makes no sense.
    """
    stages = plan_stages(read_protocol(config["protocol"]))
    folders = sorted(path for path in (run_dir / "systems").glob("*") if path.is_dir())
    begins = _stage_begins(run_dir / "log.txt")
    if not folders:
        return [_system_status(run_dir, "", stages, begins)]
    return [_system_status(folder, folder.name, stages, begins) for folder in folders]


def _system_status(
    folder: Path, name: str, stages: list[PlannedStage], begins: Mapping[tuple[int, str], tuple[float, int]]
) -> SystemStatus:
    files = RunFiles(folder)
    row = last_thermo_row(files.thermo)
    step = 0 if row is None else row.step
    stage = _stage_at(stages, step)
    num_steps, last = stages[-1].start_step + stages[-1].num_steps, stages[-1]
    frame_at = files.thermo.stat().st_mtime if row is not None else None
    rate = None
    begin = begins.get((int(name or 0), stage.stage.name))
    if begin is not None and frame_at is not None and frame_at > begin[0]:
        # steps per second
        rate = max(0, step - stage.start_step - begin[1]) / (frame_at - begin[0])
    return SystemStatus(
        name=name,
        state=_state(files, row, num_steps),
        stage="" if row is None else stage.stage.name,
        stage_step=step - stage.start_step,
        stage_steps=stage.num_steps,
        step=step,
        num_steps=num_steps,
        time_ps=0.0 if row is None else row.time_ps,
        total_ps=last.time_ps(last.num_steps),
        temperature_K=None if row is None else row.temperature_K,
        target_K=None if row is None else stage.temperature_K(step - stage.start_step),
        frame_age_s=None if frame_at is None else time.time() - frame_at,
        checkpoint_age_s=_age(files.restart),
        ns_per_day=rate * stage.stage.timestep_fs / FS_PER_NS * SECONDS_PER_DAY if rate else None,
        seconds_left=(num_steps - step) / rate if rate else None,
    )


def _state(files: RunFiles, row: ThermoRow | None, num_steps: int) -> str:
    """What fails leaves its last good structure after its last frame; what goes on writes frames."""
    if row is None:
        return "failed" if files.final.exists() else "waiting"
    if row.step >= num_steps:
        return "done"
    failed = files.final.exists() and files.final.stat().st_mtime >= files.thermo.stat().st_mtime
    return "failed" if failed else "begun"


def _stage_at(stages: list[PlannedStage], step: int) -> PlannedStage:
    """The stage that a step belongs to; its last step is its own."""
    return next((each for each in stages if step <= each.start_step + each.num_steps), stages[-1])


def _stage_begins(log: Path) -> dict[tuple[int, str], tuple[float, int]]:
    """When a system last began or went on with a stage, and at which of its steps."""
    begins = {}
    for line in _tail(log).splitlines():
        found = _STAGE_BEGINS.match(line)
        if found:
            at = time.mktime(time.strptime(found[1], "%Y-%m-%d %H:%M:%S"))
            begins[int(found[3] or 0), found[2]] = (at, int(found[4] or 0))
    return begins


def _tail(path: Path) -> str:
    if not path.exists():
        return ""
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - _LOG_TAIL))
        return stream.read().decode(errors="replace")


def _age(path: Path) -> float | None:
    return time.time() - path.stat().st_mtime if path.exists() else None
