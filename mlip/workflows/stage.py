"""A verb as a stage of a workflow: run as a user would, in a process and a run directory of its own.

The process holds an end of a pipe to the workflow: killed with -9, the workflow takes its stages along, and
the same command finds their run directories free.
"""

import json
import logging
import os
import runpy
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlip.errors import ConfigError, MlipError
from mlip.runs import is_running

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_LOOKS = 0.2


def run_verb(command: Sequence[str], folder: Path, environment: Mapping[str, str] = os.environ) -> None:
    """Run a verb, or go on with it; one that is finished returns at once.

    Args:
        command: The verb and its overrides, without `run_dir`.
        folder: Its run directory.
        environment: Its environment variables.

    Raises:
        MlipError: It ended with an error, which it has printed.
    """
    arguments = [*command, f"run_dir={folder}"]
    logger.info("\n$ mlip %s", shlex.join(arguments))
    while is_running(folder):  # the stage of a workflow that was killed just now
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    watched, held = os.pipe()
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "mlip.workflows.stage", str(watched), *arguments],
            check=False,
            env=dict(environment),
            pass_fds=[watched],
        )
    finally:
        os.close(watched)
        os.close(held)
    if ended.returncode != 0:
        raise MlipError(
            f"mlip {command[0]} ended with exit code {ended.returncode}; see {folder / 'log.txt'}"
        )


def as_job(command: Sequence[str], job: Mapping[str, Any] | None) -> list[str]:
    """A command that a launcher of Hydra takes to a job: a sweep of one member, in the folder of the sweep.

    Args:
        command: The verb and its overrides.
        job: `launcher`, such as `submitit_slurm`, and its options; the command stays as it is without any.

    Raises:
        ConfigError: There are options and no launcher.
    """
    if not job:
        return list(command)
    if "launcher" not in job:
        raise ConfigError(
            f"found job={dict(job)}; expected its launcher, too, such as launcher:submitit_slurm"
        )
    options = {f"hydra.launcher.{key}": value for key, value in job.items() if key != "launcher"}
    verb, *overrides = command
    return [verb, "--multirun", f"hydra/launcher={job['launcher']}", *as_overrides(options), *overrides]


def as_overrides(keys: Mapping[str, Any] | None) -> list[str]:
    """Keys of a verb as overrides for its command line."""
    return [
        f"{key}={each if isinstance(each, str) else json.dumps(each)}" for key, each in (keys or {}).items()
    ]


def main() -> None:
    """What the process of a stage does: the command `mlip`, until the workflow has ended."""
    watched = int(sys.argv.pop(1))
    threading.Thread(target=_end_with_workflow, args=(watched,), daemon=True).start()
    runpy.run_module("mlip.cli", run_name="__main__", alter_sys=True)


def _end_with_workflow(watched: int) -> None:
    os.read(watched, 1)  # nothing is ever written: it returns when the other end is closed
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
