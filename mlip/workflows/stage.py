"""A verb as a stage of a workflow: run as a user would, in a process and a run directory of its own."""

import logging
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlip.errors import MlipError

logger = logging.getLogger(__name__)


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
    logger.info("\n$ mlip %s", " ".join(arguments))
    ended = subprocess.run([sys.executable, "-m", "mlip.cli", *arguments], check=False, env=dict(environment))
    if ended.returncode != 0:
        raise MlipError(
            f"mlip {command[0]} ended with exit code {ended.returncode}; see {folder / 'log.txt'}"
        )
