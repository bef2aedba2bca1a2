"""`mlip md` killed twenty times at random moments: the trajectory is readable after each kill, and whole."""

import signal
import time

import numpy as np
import pytest
from ase.io import write
from cli.cli_process import fork_mlip, start_mlip
from structures import random_structure

from md.trajectory import Trajectory

KILLS = 20
STEPS = {"all": 10, "often": 2}
RAMP = "{ensemble:nvt,temperature_K:[2000,1500],duration_ps:0.24,every_ps:0.002,timestep_fs:0.2}"
COMMAND = [
    "md",
    "potential=random.mlip",
    "structure=cell.extxyz",
    "engine=torch",
    "device=cpu",
    "dtype=float64",
    "kernel=reference",
    "protocol=nvt",
    "protocol.nvt.temperature_K=2000",
    "protocol.nvt.thermostat=langevin",
    "protocol.nvt.duration_ps=0.24",
    "protocol.nvt.every_ps=0.002",
    "protocol.nvt.timestep_fs=0.2",
    f"+protocol.cool={RAMP}",
    "velocities=true",
    "often.species=Li",
    "often.every_ps=0.0004",
]


@pytest.mark.slow
def test_twenty_kills_leave_the_trajectory_of_an_unbroken_run(tmp_path, potential_file):
    (tmp_path / "random.mlip").write_bytes(potential_file.read_bytes())
    write(tmp_path / "cell.extxyz", random_structure("triclinic", seed=1))
    rng = np.random.default_rng()
    kills, furthest = 0, 0
    while kills < KILLS:
        killed = start_and_kill(tmp_path, at_once=kills % 4 == 3, delay_s=float(rng.uniform(0.0, 0.6)))
        assert killed, f"the run ended after {kills} kills: make it longer"
        kills += 1
        furthest = max(furthest, check_readable(tmp_path / "broken" / "trajectory.h5"))
    assert furthest > 300
    for name in ("broken", "whole"):
        ended = fork_mlip(*COMMAND, f"run_dir={name}", cwd=tmp_path, timeout=240)
        assert ended.code == 0, ended.stderr
    assert_same_files(tmp_path / "whole", tmp_path / "broken")


def start_and_kill(folder, at_once, delay_s):
    """Kill a session some time after it began to move atoms, or `at_once`; False if it had ended by then."""
    (folder / "output").mkdir(exist_ok=True)
    restart = folder / "broken" / "restart.npz"
    before = restart.stat().st_mtime_ns if restart.exists() else 0
    process = start_mlip(
        *COMMAND, "run_dir=broken", cwd=folder, output=folder / "output", checkpoint_every_s=0.1
    )
    deadline = time.monotonic() + 60
    while not at_once and process.is_alive() and time.monotonic() < deadline:
        if restart.exists() and restart.stat().st_mtime_ns != before:
            break
        time.sleep(0.005)
    time.sleep(delay_s)
    process.kill()
    process.join(60)
    return process.exitcode == -signal.SIGKILL


def check_readable(path):
    """All frames up to the last are there, once and in order; returns the last step."""
    if not path.exists():
        return 0
    for particles, stride in STEPS.items():
        with Trajectory(path, particles) as trajectory:
            assert np.array_equal(trajectory.steps, stride * np.arange(len(trajectory)))
            assert np.isfinite(trajectory.unwrapped()).all()
            assert np.abs(trajectory.velocities()).max(initial=0.0) < 1.0
            last = int(trajectory.steps[-1]) if len(trajectory) else 0
    return last


def assert_same_files(one, other):
    assert (one / "thermo.csv").read_bytes() == (other / "thermo.csv").read_bytes()
    assert (one / "final.extxyz").read_bytes() == (other / "final.extxyz").read_bytes()
    for particles in STEPS:
        with (
            Trajectory(one / "trajectory.h5", particles) as first,
            Trajectory(other / "trajectory.h5", particles) as second,
        ):
            assert first.steps[-1] == 2400
            assert np.array_equal(first.steps, second.steps)
            assert np.array_equal(first.times_ps, second.times_ps)
            assert np.array_equal(first.positions(), second.positions())
            assert np.array_equal(first.images(), second.images())
            assert np.array_equal(first.velocities(), second.velocities())
            assert np.array_equal(first.cells, second.cells)
