"""Ranks of LAMMPS live as long as the process that calls them, and say in one line why they cannot."""

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import numpy as np
import pytest
from marked_processes import environment_of, marked_processes, wait_until

from mlip.errors import ConfigError, SimulationError
from mlip.native import lammps_ranks
from mlip.native.lammps_ranks import RankedLammps

ARGUMENTS = ("-log", "none", "-screen", "none", "-nocite")
# Prints a line when the ranks are there, and then keeps them busy for longer than any test.
CALLER = """
from mlip.native.lammps_ranks import RankedLammps
lammps = RankedLammps(2, {arguments})
for line in {box}:
    lammps.command(line)
print("ready", flush=True)
lammps.command("run {steps}")
input()
"""
BOX = [
    "units lj",
    "lattice fcc 0.8",
    "region cell block 0 6 0 6 0 6",
    "create_box 1 cell",
    "create_atoms 1 box",
    "mass 1 1",
    "pair_style lj/cut 2.5",
    "pair_coeff * * 1 1",
    "velocity all create 1 1",
    "fix integrate all nve",
]


@pytest.fixture
def ranked(plugin):
    started = []

    def start(ranks=2):
        started.append(RankedLammps(ranks, ARGUMENTS))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture
def mark(monkeypatch):
    """A mark that this process hands to those it starts."""
    value = str(uuid.uuid4())
    for name, content in environment_of(value).items():
        monkeypatch.setenv(name, content)
    return value


@pytest.mark.slow
@pytest.mark.parametrize("steps", [0, 100_000_000])
def test_ranks_end_when_their_caller_is_killed(plugin, steps):
    """Idle ones at once, and those in a run that takes hours."""
    mark = str(uuid.uuid4())
    script = CALLER.format(arguments=ARGUMENTS, box=BOX, steps=steps)
    caller = subprocess.Popen(
        [sys.executable, "-c", script],
        env=environment_of(mark),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with caller:
        assert caller.stdout.readline() == "ready\n"
        assert len(marked_processes(mark, "lammps_ranks")) >= 2
        caller.kill()
        assert wait_until(lambda: not marked_processes(mark), 8 * lammps_ranks.GRACE)


def test_a_killed_rank_is_one_line_and_the_others_end(ranked, mark):
    lammps = ranked()
    for line in BOX:
        lammps.command(line)
    lammps.command("run 0")
    assert np.isfinite(lammps.get_thermo("pe"))
    victim = wait_until(lambda: [pid for pid in marked_processes(mark, "lammps_ranks") if is_rank(pid)])[0]
    os.kill(victim, signal.SIGKILL)
    with pytest.raises(SimulationError, match=r"an MPI rank ended \(mpiexec: exit code \d+\)") as loss:
        lammps.command("run 1000")
    assert "\n" not in str(loss.value)
    assert wait_until(lambda: not marked_processes(mark, "lammps_ranks"), 8 * lammps_ranks.GRACE)


def is_rank(pid):
    """Whether a process is a rank, and neither mpiexec nor its proxy."""
    return Path(f"/proc/{pid}/exe").resolve() == Path(sys.executable).resolve()


def test_closed_ranks_leave_nothing(ranked, mark, monkeypatch, tmp_path):
    """No process, no file, no shared memory; also where TMPDIR is longer than a socket's path may be."""
    temporary = tmp_path / ("long" * 30)
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    lammps = ranked()
    maps = [Path(f"/proc/{pid}/maps").read_text() for pid in marked_processes(mark, "lammps_ranks")]
    shared = {line.split()[-1] for text in maps for line in text.splitlines() if "mpich_shm" in line}
    lammps.close()
    assert not marked_processes(mark, "lammps_ranks")
    assert shared
    assert not [name for name in shared if Path(name).exists()]
    assert not list(temporary.iterdir())


def test_ranks_stay_on_this_computer_inside_a_batch_job(ranked, monkeypatch):
    """There mpiexec asks the batch system, which gives it several computers."""
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("SLURM_JOBID", "1")
    monkeypatch.setenv("SLURM_NNODES", "2")
    monkeypatch.setenv("SLURM_NODELIST", "nowhere[01-02]")
    monkeypatch.setenv("SLURM_TASKS_PER_NODE", "1(x2)")
    assert ranked().extract_box()


def test_what_is_missing_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1})
    with pytest.raises(ConfigError, match=r"found 3 MPI ranks for 2 processor cores; expected at most 2"):
        RankedLammps(3)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(ConfigError, match=r"found no mpiexec beside .*; pip install 'vitreous\[lammps\]'"):
        RankedLammps(2)


def test_ranks_that_do_not_start_say_why(plugin, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.setattr(lammps_ranks, "__name__", "mlip.native.no_such_module")
    with pytest.raises(ConfigError, match=r"the ranks of LAMMPS did not start: .*no_such_module"):
        RankedLammps(2)


def test_a_wrong_argument_of_lammps_is_one_line(plugin):
    with pytest.raises(ConfigError, match="LAMMPS did not start on 2 ranks: Failed to initialize"):
        RankedLammps(2, (*ARGUMENTS, "-nonsense"))
