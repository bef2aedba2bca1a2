"""Memory does not grow with the number of frames: written, read in chunks, cut and converted."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import json, resource, sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
import numpy as np
from md.convert import _write
from md.formats.frame import Unwrapper
from md.formats.extxyz import read_ase
from md.formats.h5md import read_h5md
from md.formats.lammps_dump import read_dump
from md.protocols.stages import Stage, plan_stages
from md.state import State
from md.storage import Storage
from md.trajectory import Trajectory
from md.trajectory_repair import cut_trajectory
from md.trajectory_writer import TrajectoryWriter

ATOMS, FRAMES, FIRST = 20_000, 60, 10
peaks = {}
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
def watch(name, frames):
    for number, _ in enumerate(frames):
        if number in (FIRST, FRAMES - 1):
            peaks.setdefault(name, []).append(peak())
def writes():
    with closing(TrajectoryWriter(path, state, stages, Storage(True, ["Li"], 0.01))) as writer:
        for k in range(FRAMES):
            writer.append(replace(state, steps_done=10 * k), stages[0])
            yield
def reads():
    with Trajectory(path) as trajectory:
        for chunk in trajectory.chunks(1):
            yield trajectory.unwrapped(chunk, trajectory.cells[0]), trajectory.velocities(chunk)
rng = np.random.default_rng(0)
edge = (ATOMS / 0.05) ** (1 / 3)
state = State(
    numbers=np.where(np.arange(ATOMS) % 4, 16, 3),
    masses=np.full(ATOMS, 32.06),
    positions=rng.uniform(-edge, edge, (ATOMS, 3)),
    velocities=rng.normal(size=(ATOMS, 3)),
    cell=np.eye(3) * edge,
    pbc=np.ones(3, dtype=bool),
)
stages = plan_stages([Stage("hold", "nve", temperature_K=300, duration_ps=10, every_ps=0.01)])
folder = Path(sys.argv[1])
path = folder / "t.h5"
def passed_on(name, frames):
    for number, frame in enumerate(frames):
        yield frame
        if number in (FIRST, FRAMES - 1):
            peaks.setdefault(name, []).append(peak())
watch("write", writes())
watch("read", reads())
before = peak()
cut_trajectory(path, 10 * FRAMES)
peaks["cut"] = [before, peak()]
every, unwrapper = slice(None), Unwrapper()
_write(passed_on("to dump", read_h5md(path, every)), folder / "t.dump", [])
dump = read_dump(folder / "t.dump", every, None, None, unwrapper)
_write(passed_on("from dump", dump), folder / "t.extxyz", [])
_write(passed_on("from extxyz", read_ase(folder / "t.extxyz", every, None, unwrapper)), folder / "u.h5", [])
print(json.dumps(peaks))
"""
# Positions of 20,000 atoms in float64 are 0.46 MiB: those of 49 frames, if they were kept, 22 and more.
LARGEST_GROWTH_MIB = 8.0


@pytest.mark.slow
def test_memory_does_not_grow_with_frames(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, timeout=240
    )
    assert ended.returncode == 0, ended.stderr
    peaks = json.loads(ended.stdout)
    assert set(peaks) == {"write", "read", "cut", "to dump", "from dump", "from extxyz"}
    for name, (early, late) in peaks.items():
        assert late - early < LARGEST_GROWTH_MIB, (name, early, late)
    assert Path(tmp_path / "u.h5").stat().st_size > 1e6
