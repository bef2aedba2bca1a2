"""A run that is interrupted, at any step or by kill -9, ends where an unbroken run ends: to the bit."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from md.engines.ase import AseEngine
from md.engines.entrance import first_state
from md.engines.loop import simulate
from md.engines.record import RunFiles
from md.protocols.read import read_protocol
from md.protocols.stages import plan_stages
from md.state import State
from md.trajectory import Trajectory
from mlip.errors import SimulationError

STEP = {"timestep_fs": 4.0, "every_ps": 0.02}
PROTOCOL = {
    "hold": {"ensemble": "nve", "temperature_K": 60, "duration_ps": 0.4, **STEP},
    "cool": {"ensemble": "nvt", "temperature_K": 30, "rate_K_per_ps": 50, **STEP},
    "warm": {"ensemble": "nvt", "temperature_K": 60, "rate_K_per_ps": 50, "thermostat": "langevin", **STEP},
    "press": {"ensemble": "npt", "temperature_K": 60, "duration_ps": 0.6, "pdamp_fs": 400, **STEP},
}
SESSION = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import md.engines.loop as loop
from conftest import SmoothLennardJones
from test_md_restart import run_session
loop.CHECKPOINT_INTERVAL_S = 0.02
run_session(Path({folder!r}), SmoothLennardJones())
"""


def run_session(folder, calculator):
    """Start a run, or go on with the one in `folder`, as `mlip md` does."""
    from ase.build import bulk

    stages = plan_stages(read_protocol(PROTOCOL))
    restart = RunFiles(folder).restart
    atoms = bulk("Ar", "fcc", a=5.3, cubic=True).repeat(2)
    state = State.load(restart) if restart.exists() else first_state(State.from_atoms(atoms), stages, seed=3)
    return simulate(AseEngine(calculator, seed=3), stages, state, folder)


@pytest.mark.slow
def test_kill_and_resume_ends_where_an_unbroken_run_ends(tmp_path, lennard_jones):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    run_session(whole, lennard_jones)
    rng = np.random.default_rng()
    kills = 0
    for _ in range(4):
        kills += run_and_kill(broken, float(rng.uniform(0.0, 0.4)))
    run_session(broken, lennard_jones)
    assert kills > 0
    assert_same_run(whole, broken)


def run_and_kill(folder: Path, delay_s: float) -> bool:
    """Run a session until it has moved on, then kill it; False if it had ended by then."""
    script = SESSION.format(tests=str(Path(__file__).parent), folder=str(folder))
    restart = RunFiles(folder).restart
    before = restart.stat().st_mtime_ns if restart.exists() else 0
    process = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if restart.exists() and restart.stat().st_mtime_ns != before:
            break
        time.sleep(0.01)
    time.sleep(delay_s)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def assert_same_run(whole: Path, broken: Path):
    assert RunFiles(whole).thermo.read_bytes() == RunFiles(broken).thermo.read_bytes()
    assert RunFiles(whole).final.read_text() == RunFiles(broken).final.read_text()
    with Trajectory(RunFiles(whole).trajectory) as one, Trajectory(RunFiles(broken).trajectory) as other:
        assert np.array_equal(one.steps, other.steps)
        assert np.array_equal(one.positions(), other.positions())
        assert np.array_equal(one.images(), other.images())
        assert np.array_equal(one.cells, other.cells)
    last, other_last = State.load(RunFiles(whole).restart), State.load(RunFiles(broken).restart)
    assert np.array_equal(last.positions, other_last.positions)
    assert np.array_equal(last.velocities, other_last.velocities)


@pytest.mark.parametrize(
    "keys",
    [
        {"ensemble": "nve", "temperature_K": 60},
        {"ensemble": "nvt", "temperature_K": (60, 20)},
        {"ensemble": "nvt", "temperature_K": (60, 20), "thermostat": "langevin"},
        {"ensemble": "nvt", "temperature_K": (60, 20), "thermostat": "velocity_rescaling"},
        {"ensemble": "npt", "temperature_K": (60, 20), "barostat": "iso"},
        {"ensemble": "npt", "temperature_K": (60, 20), "barostat": "z"},
        {"ensemble": "npt", "temperature_K": (60, 20), "barostat": "xy"},
        {"ensemble": "npt", "temperature_K": (60, 20), "barostat": "flexible"},
    ],
)
def test_a_checkpoint_inside_a_stage_goes_on_to_the_bit(argon, lennard_jones, plan, tmp_path, keys):
    (stage,) = stages = plan(duration_ps=0.8, timestep_fs=4.0, **keys)
    whole = AseEngine(lennard_jones, seed=3)
    whole.begin(stage, first_state(State.from_atoms(argon), stages, seed=3))
    whole.advance(73)
    whole.checkpoint().save(tmp_path / "restart.npz")
    whole.advance(77)
    resumed = AseEngine(lennard_jones, seed=99)
    resumed.begin(stage, State.load(tmp_path / "restart.npz"))
    assert resumed.state().steps_done == 73
    resumed.advance(77)
    one, other = whole.checkpoint(), resumed.checkpoint()
    for name in ("positions", "velocities", "cell"):
        assert np.array_equal(getattr(one, name), getattr(other, name))
    assert one.internals.keys() == other.internals.keys()
    for name, value in one.internals.items():
        assert np.array_equal(value, other.internals[name])


def test_a_finished_run_given_again_changes_nothing(tmp_path, lennard_jones):
    run_session(tmp_path, lennard_jones)
    thermo = RunFiles(tmp_path).thermo.read_text()
    run_session(tmp_path, lennard_jones)
    assert RunFiles(tmp_path).thermo.read_text() == thermo


def test_a_damaged_restart_file_is_said_to_be_so(tmp_path):
    path = tmp_path / "restart.npz"
    path.write_bytes(b"PK\x03\x04 half of it")
    with pytest.raises(SimulationError, match="cannot read the restart file"):
        State.load(path)
    np.savez(path, something=1)
    with pytest.raises(SimulationError, match="no restart file of this version"):
        State.load(path)
