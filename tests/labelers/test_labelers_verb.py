"""`mlip label` as a user meets it: files, kills, errors, Parsl's workers."""

import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import read, write
from cli.cli_process import MLIP, fork_mlip, run_mlip

from mlip.data.store import Store

SLEEPY = """
import os, time
from pathlib import Path
from ase.calculators.lj import LennardJones

class Sleepy(LennardJones):
    def calculate(self, *arguments):
        computed = Path("COMPUTED")
        with computed.open("a") as stream:
            stream.write(f"{os.getpid()}\\n")
        end = time.monotonic() + 60
        while len(set(computed.read_text().split())) < 2 and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(0.5)
        super().calculate(*arguments)
"""


def write_frames(file: Path, count: int, **info) -> None:
    frames = []
    for k in range(count):
        atoms = bulk("Cu", a=3.6 + 0.02 * k)
        atoms.info |= {"config_type": "bulk", "energy": 1e9} | info
        frames.append(atoms)
    write(file, frames)


@pytest.fixture
def sleepy(tmp_path):
    """Arguments for a calculator that waits until two processes are at work; and its environment."""
    (tmp_path / "sleepy.py").write_text(SLEEPY.replace("COMPUTED", str(tmp_path / "computed")))
    words = ["labeler=ase", "labeler.calculator_class=sleepy.Sleepy"]
    return words, {"PYTHONPATH": str(tmp_path)}


def test_structures_become_labels(tmp_path):
    write_frames(tmp_path / "frames.extxyz", 3)
    words = ["labeler=ase", "labeler.calculator_class=ase.calculators.emt.EMT"]
    ended = fork_mlip("label", "structures=frames.extxyz", "run_dir=run", *words, cwd=tmp_path)
    assert ended.code == 0, ended.stderr
    frames = read(tmp_path / "run" / "labelled.extxyz", ":")
    assert len(frames) == 3
    assert all(abs(frame.get_potential_energy()) < 1 for frame in frames)
    assert all(frame.info["labeler"] == "ase" and frame.info["config_type"] == "bulk" for frame in frames)
    assert {"labels.db", "provenance.json"} <= {path.name for path in (tmp_path / "run").iterdir()}
    assert not (tmp_path / "run" / "failed.extxyz").exists()
    again = fork_mlip(
        "label", "structures=frames.extxyz", "run_dir=other", "store=run/labels.db", *words, cwd=tmp_path
    )
    assert "3 are in the store, 0 to compute" in again.stderr


@pytest.mark.slow
def test_kill_loses_only_frames_in_work(sleepy, tmp_path):
    words, environment = sleepy
    write_frames(tmp_path / "frames.extxyz", 6)
    command = ["label", "structures=frames.extxyz", "workers=2", "run_dir=run", *words]
    process = subprocess.Popen(
        [MLIP, *command],
        cwd=tmp_path,
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 200
    while count_stored(tmp_path) < 2 and process.poll() is None and time.monotonic() < end:
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)
    stored, computed = count_stored(tmp_path), len(computed_by(tmp_path))
    assert 2 <= stored < 6
    assert computed <= stored + 4  # two in work, two that were done just then
    ended = run_mlip(*command, cwd=tmp_path, **environment)
    assert ended.code == 0, ended.stderr
    assert len(read(tmp_path / "run" / "labelled.extxyz", ":")) == 6
    assert len(computed_by(tmp_path)) == computed + 6 - stored
    assert not (tmp_path / "run" / "work").exists()


def computed_by(folder: Path) -> list[str]:
    """Processes that started frames, one a frame."""
    return (folder / "computed").read_text().split()


def count_stored(folder: Path) -> int:
    store = folder / "run" / "labels.db"
    return len(list(Store(str(store)).entries())) if store.exists() else 0


@pytest.mark.slow
def test_two_workers_of_parsl_share_the_frames(sleepy, tmp_path):
    words, environment = sleepy
    write_frames(tmp_path / "frames.extxyz", 4)
    ended = run_mlip(
        "label",
        "structures=frames.extxyz",
        "cluster=local",
        "run_dir=run",
        *words,
        cwd=tmp_path,
        **environment,
    )
    assert ended.code == 0, ended.stderr
    assert len(read(tmp_path / "run" / "labelled.extxyz", ":")) == 4
    assert len(computed_by(tmp_path)) == 4
    assert len(set(computed_by(tmp_path))) == 2


def test_frames_that_fail_are_kept_apart(tmp_path):
    lithium = Atoms("Li2", positions=[[0, 0, 0], [0, 0, 3.0]], cell=[6, 6, 6], pbc=True)
    molten = Atoms("LiO", positions=[[0, 0, 0], [0, 0, 1.7]], cell=[6, 6, 6], pbc=True)
    write(tmp_path / "frames.extxyz", [lithium, molten])
    words = ["labeler.max_iterations=8", "structures=frames.extxyz", "run_dir=run"]
    ended = fork_mlip("label", *words, cwd=tmp_path)
    assert ended.code == 0, ended.stderr
    (labelled,) = read(tmp_path / "run" / "labelled.extxyz", ":")
    (failed,) = read(tmp_path / "run" / "failed.extxyz", ":")
    assert labelled.get_chemical_formula() == "Li2"
    assert np.isfinite(labelled.get_stress()).all()
    assert "SCF not converged in 8 cycles" in failed.info["failure"]
    assert failed.calc is None
    assert (tmp_path / "run" / "work" / failed.info["files"]).is_dir()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["labeler=cp2k", "labeler.command=no_such_cp2k"], "labeler.valence.Cu"),
        (["labeler=vasp"], "labeler.command=..."),
        (["labeler=lammps", "labeler.species=[Cu]", "labeler.commands=[pair_style zero 5]"], "+1 e"),
        (["workers=0"], "workers=0"),
        (["cluster=slurm"], "cluster.partition"),
        (["labeler=orca"], "orca"),
    ],
)
def test_mistakes_become_one_line(words, message, tmp_path):
    write_frames(tmp_path / "frames.extxyz", 1, charge=1)
    ended = fork_mlip("label", "structures=frames.extxyz", "run_dir=run", *words, cwd=tmp_path)
    assert ended.code == 1
    assert message in ended.last_line
    assert "Traceback" not in ended.stderr
