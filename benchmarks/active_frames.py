"""Frames of `active.py`: those that begin, and dynamics of the labeler itself as the test."""

import json
import subprocess
import sys
from pathlib import Path

import ase.io
import ase.units
import numpy as np
from ase import Atoms
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution

from md.trajectory import Trajectory
from mlip.labelers.xtb import XtbLabeler

STRUCTURE = "dataset:crystals/Li3PO4_beta.extxyz"
NUM_RATTLED = 24
# 2 fs is short for lithium, phosphorus and oxygen; the test needs no more than frames of the right kind.
TIMESTEP_FS = 2.0
STEPS_BETWEEN = 10


def label_first(folder: Path, seed: int) -> Path:
    """Rattled crystals, labelled."""
    words = ["build", "builder=rattled", f"structure={STRUCTURE}", f"builder.count={NUM_RATTLED}"]
    run_mlip(folder / "rattled", *words, f"seed={seed}")
    return label(folder / "first", folder / "rattled" / "structures.extxyz")


def label(run_dir: Path, structures: Path) -> Path:
    """Labels of GFN1-xTB."""
    run_mlip(run_dir, "label", f"structures={structures}", "workers=1")
    return run_dir / "labelled.extxyz"


def explored_frames(loop: Path) -> list[Atoms]:
    """All stored frames of all explorers, in the order of the loop."""
    frames = []
    for file in sorted(loop.glob("generation_*/explorers/*/trajectory.h5")):
        with Trajectory(file) as trajectory:
            for number in range(len(trajectory)):
                atoms = trajectory.atoms(number)
                frames.append(Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc))
    return frames


def make_test(folder: Path, temperature_K: float, num_frames: int) -> Path:
    """Dynamics by the labeler from the crystal, a frame every 20 fs after as long as is stored; labelled.

    Args:
        folder: Where it is kept; a killed one goes on, with other velocities.
        temperature_K: Of its thermostat.
        num_frames: How many.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "frames.extxyz"
    atoms = ase.io.read(Path(__file__).parents[1] / "datasets" / STRUCTURE.removeprefix("dataset:"))
    stored = ase.io.read(file, ":") if file.exists() else []
    if stored:
        atoms.positions = stored[-1].positions
    rng = np.random.default_rng([round(temperature_K), len(stored)])
    labeler = XtbLabeler(accuracy=1.0)
    atoms.calc = labeler.calculator(atoms, 0.0, folder)
    MaxwellBoltzmannDistribution(atoms, temperature_K=temperature_K, rng=rng)
    dynamics = Langevin(
        atoms, TIMESTEP_FS * ase.units.fs, temperature_K=temperature_K, friction=0.02 / ase.units.fs, rng=rng
    )
    for _ in range(len(stored), 2 * num_frames):
        dynamics.run(STEPS_BETWEEN)
        ase.io.write(file, Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True), append=True)
    late = ase.io.read(file, f"{num_frames}:")
    for atoms in late:
        atoms.info["config_type"] = f"{temperature_K:g} K"
    ase.io.write(folder / "late.extxyz", late)
    return label(folder / "labels", folder / "late.extxyz")


def run_mlip(run_dir: Path, *words: str) -> None:
    """A command as a user gives it; finished ones return at once, killed ones go on."""
    command = [str(Path(sys.executable).with_name("mlip")), *words, f"run_dir={run_dir}"]
    subprocess.run(command, check=True)


def quoted(words: list[str]) -> str:
    """A list of overrides as a value of one."""
    return f"[{','.join(json.dumps(word) for word in words)}]"
