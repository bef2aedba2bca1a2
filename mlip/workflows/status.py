"""`mlip status`: how far a run has got, whether its process lives or is dead. Reads only."""

import csv
import json
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from md.engines.progress import format_span
from md.status import SystemStatus, read_md_status
from mlip.errors import ConfigError
from mlip.provenance import FILE_NAME, read_provenance
from mlip.runs import is_running
from mlip.workflows.learning.story import tell

HELP = """mlip status: how far a run has got, whether it is running or dead.

  mlip status runs/md
  mlip status runs/seeds          (a sweep: all of its members)
  mlip status runs/md --json      (for programs)

Says of `mlip md` the stage, steps, time simulated, speed, temperature, time left, the ages of the last frame
and checkpoint, and which systems of a batch are done or failed; of `mlip train` the epoch and the best
validation. A run that is dead goes on when its command is given again. Nothing is written.
"""
_MOST_LINES = 24
_LOSS = "valid/loss"


def main() -> None:
    """Entry point of the verb.

    Raises:
        ConfigError: The arguments make no sense, or name no run.
    """
    words = [word.removeprefix("run_dir=") for word in sys.argv[1:]]
    if not words or words[0] in ("-h", "--help", "help"):
        sys.stdout.write(HELP)
        return
    as_json = "--json" in words
    paths = [Path(word) for word in words if word != "--json"]
    if len(paths) != 1 or str(paths[0]).startswith("-") or "=" in str(paths[0]):
        raise ConfigError(
            f"found {' '.join(words)}; expected one run directory: mlip status runs/md [--json]"
        )
    statuses = [read_status(path) for path in find_runs(paths[0])]
    if as_json:
        sys.stdout.write(json.dumps(statuses, indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(line for status in statuses for line in describe(status)) + "\n")


def find_runs(path: Path) -> list[Path]:
    """The run in a directory, or the members of a sweep.

    Raises:
        ConfigError: There is none.
    """
    if (path / FILE_NAME).exists():
        return [path]
    members = sorted(each.parent for each in path.glob(f"*/{FILE_NAME}"))
    if not members:
        what = "holds no run" if path.is_dir() else "is no folder"
        raise ConfigError(f"{path} {what}; expected a run_dir of mlip, which has {FILE_NAME}")
    return members


def read_status(path: Path) -> dict[str, Any]:
    """All that is known of a run.

    Args:
        path: The run directory.

    Returns:
        `run_dir`, `verb`, `state` (finished, running, dead), `host`, `started`, `message` (why it stopped),
        and for some verbs `systems`, `training` or `learning`.
    """
    record = read_provenance(path) or {}
    session = record["sessions"][-1]
    config = record["config"]
    verb = Path(session["command"][0]).name.removeprefix("mlip").strip() or "?"
    state = "finished" if record["state"] == "finished" else "running" if is_running(path) else "dead"
    status: dict[str, Any] = {
        "run_dir": str(path),
        "verb": verb,
        "state": state,
        "host": session["host"],
        "started": session["started"],
        "message": "" if state == "running" else _last_error(path / "log.txt"),
    }
    if "protocol" in config and "structure" in config:
        try:
            systems = read_md_status(path, config)
        except ConfigError as error:  # the run stopped at it, too
            systems, status["message"] = [], str(error)
        if state == "finished":  # a protocol may end before its last stage
            systems = [replace(each, state="done") for each in systems]
        status["systems"] = [asdict(each) for each in systems]
    elif "explorers" in config:
        status["learning"] = tell(path)
    elif "trainer" in config:
        status["training"] = _training(path / "metrics.csv", config["trainer"])
    return status


def describe(status: Mapping[str, Any]) -> list[str]:
    """A status for people, in lines."""
    lines = [f"{status['run_dir']}: mlip {status['verb']}, {_state_line(status)}"]
    systems = [SystemStatus(**each) for each in status.get("systems", ())]
    if len(systems) == 1:
        lines += _system_lines(systems[0], status["state"] == "running")
    elif systems:
        lines += _batch_lines(systems, status["state"] == "running")
    if "training" in status:
        lines += _training_lines(status["training"])
    lines += [f"  {line}" for line in status.get("learning", ())]
    if status["message"]:
        lines.append(f"  {status['message']}")
    elif status["state"] == "dead":
        lines.append("  the same command goes on from the last checkpoint")
    return lines


def _state_line(status: Mapping[str, Any]) -> str:
    if status["state"] == "running":
        return f"running on {status['host']} since {status['started']}"
    if status["state"] == "finished":
        return "finished"
    return f"not running and not finished; last started on {status['host']} at {status['started']}"


def _system_lines(system: SystemStatus, is_running: bool) -> list[str]:
    if not system.stage:
        return ["  no frame yet"]
    lines = [
        f"  stage {system.stage}: step {system.stage_step} of {system.stage_steps}; "
        f"{system.step} of {system.num_steps} in all",
        f"  {system.time_ps:g} of {system.total_ps:g} ps simulated" + _speed(system, is_running),
    ]
    target = "" if system.target_K is None else f" (target {system.target_K:.0f} K)"
    checkpoint = (
        "none yet" if system.checkpoint_age_s is None else f"{format_span(system.checkpoint_age_s)} ago"
    )
    frame = format_span(system.frame_age_s or 0.0)
    lines.append(
        f"  {system.temperature_K:.0f} K{target}; last frame {frame} ago, last checkpoint {checkpoint}"
    )
    return lines


def _batch_lines(systems: list[SystemStatus], is_running: bool) -> list[str]:
    counts = Counter(each.state for each in systems)
    lines = [f"  {len(systems)} systems: " + ", ".join(f"{count} {state}" for state, count in counts.items())]
    for system in systems[:_MOST_LINES]:
        where = f"{system.stage} " if system.stage else ""
        kelvin = "" if system.temperature_K is None else f", {system.temperature_K:.0f} K"
        speed = _speed(system, is_running) if system.state == "begun" else ""
        lines.append(
            f"  {system.name} {system.state}: {where}{system.step} of {system.num_steps} steps{kelvin}{speed}"
        )
    if len(systems) > _MOST_LINES:
        lines.append(f"  ... and {len(systems) - _MOST_LINES} more (--json shows all)")
    return lines


def _speed(system: SystemStatus, is_running: bool) -> str:
    speed = "" if system.ns_per_day is None else f", {system.ns_per_day:.3g} ns/day"
    if is_running and system.seconds_left is not None:
        speed += f", about {format_span(system.seconds_left)} left"
    return speed


def _training(metrics: Path, trainer: Mapping[str, Any]) -> dict[str, Any]:
    """The last epoch and the one with the smallest validation loss of metrics.csv."""
    rows: list[dict[str, str]] = []
    if metrics.exists():
        with metrics.open(newline="") as stream:
            rows = [row for row in csv.DictReader(stream) if row.get(_LOSS)]
    best = min(rows, key=lambda row: float(row[_LOSS])) if rows else {}
    return {
        "epoch": int(rows[-1]["epoch"]) + 1 if rows else 0,
        "max_epochs": trainer.get("max_epochs"),
        "best_epoch": int(best["epoch"]) + 1 if rows else None,
        "best": {key: float(value) for key, value in best.items() if key.startswith("valid/")},
        "age_s": time.time() - metrics.stat().st_mtime if rows else None,
    }


def _training_lines(training: Mapping[str, Any]) -> list[str]:
    if not training["epoch"]:
        return ["  no epoch done yet"]
    best = training["best"]
    errors = ", ".join(f"{key.removeprefix('valid/')} {value:.4g}" for key, value in best.items())
    age = format_span(training["age_s"])
    return [
        f"  epoch {training['epoch']} of {training['max_epochs']}, the last {age} ago",
        f"  best validation in epoch {training['best_epoch']}: {errors}",
    ]


def _last_error(log: Path) -> str:
    """Why the last session stopped, if it said so."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    for line in reversed(lines):
        if " ERROR " in line:
            return line.split(" ERROR ", 1)[1].strip()
        if ": continuing " in line or ": run directory " in line:
            return ""
    return ""
