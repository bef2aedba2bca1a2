"""Runs `mlip` commands in processes of their own.

`run_mlip` starts the console script, as a user does. `fork_mlip` is the same command in a forked process, for
many cases.
"""

import os
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path

from forks import FORKS

MLIP = Path(sysconfig.get_path("scripts")) / "mlip"


@dataclass(frozen=True)
class Ended:
    """What a command left: exit code and what it printed."""

    code: int
    stdout: str
    stderr: str

    @property
    def last_line(self):
        return self.stderr.strip().splitlines()[-1] if self.stderr.strip() else ""


def run_mlip(*arguments, cwd, timeout=600, **environment):
    done = subprocess.run(
        [MLIP, *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def fork_mlip(*arguments, cwd, timeout=600):
    with tempfile.TemporaryDirectory() as folder:
        process = start_mlip(*arguments, cwd=cwd, output=Path(folder))
        process.join(timeout)
        if process.is_alive():
            process.kill()
            raise TimeoutError(f"mlip {arguments} took over {timeout} s")
        stdout, stderr = ((Path(folder) / name).read_text() for name in ("stdout", "stderr"))
    return Ended(process.exitcode, stdout, stderr)


def start_mlip(*arguments, cwd, output, checkpoint_every_s=None):
    """Fork a command and return its process; `output` is the folder of its `stdout` and `stderr`."""
    words = [str(each) for each in arguments]
    process = FORKS.Process(target=_main, args=(words, cwd, output, checkpoint_every_s))
    process.start()
    return process


def _main(arguments, cwd, output, checkpoint_every_s):
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(output / name, os.O_WRONLY | os.O_CREAT), descriptor)
    os.chdir(cwd)
    sys.argv = ["mlip", *arguments]
    import torch

    import md.engines.loop
    from mlip.cli import main

    if checkpoint_every_s is not None:
        md.engines.loop.CHECKPOINT_INTERVAL_S = checkpoint_every_s
    torch.set_num_threads(1)
    main()
