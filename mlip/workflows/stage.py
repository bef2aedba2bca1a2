"""A verb as a stage of a workflow: run as a user would, in a process and a run directory of its own.

The process holds an end of a pipe to the workflow: killed with -9, the workflow takes its stages along, and
the same command finds their run directories free.
"""

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

from mlip.errors import MlipError
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
