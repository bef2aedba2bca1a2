"""From DFT stresses to a run at constant pressure, all by commands."""

import csv
import json
from dataclasses import replace

import ase.io
import numpy as np
import pytest
from cli.cli_process import fork_mlip

from mlip.data.read import read_frames
from mlip.deploy import MLIPCalculator, Potential


@pytest.fixture(scope="module")
def lithium(tmp_path_factory):
    """A potential of metallic lithium, trained on energies, forces and stresses for a few seconds."""
    folder = tmp_path_factory.mktemp("lithium")
    ended = fork_mlip(
        "train",
        "data.train=dataset:li_metal/train.extxyz.xz",
        "data.num_train=30",
        "data.valid_fraction=0.1",
        "data.batch_size=2",
        "model.r_max=4",
        "model.num_layers=1",
        "model.l_max=1",
        "model.parity=false",
        "model.num_features=4",
        "model.radial_mlp_width=8",
        "loss.stress=10",
        "optimizer.lr=0.02",
        "trainer.max_epochs=6",
        "trainer.ema_decay=0.9",
        "device=cpu",
        "run_dir=run",
        cwd=folder,
    )
    assert ended.code == 0, ended.stderr
    return folder


def test_stress_is_learnt_and_the_potential_says_so(lithium):
    with (lithium / "run" / "metrics.csv").open(newline="") as stream:
        stress = [float(row["valid/stress_rmse"]) for row in csv.DictReader(stream)]
    assert stress[-1] < 0.7 * stress[0]
    errors = json.loads((lithium / "run" / "errors.json").read_text())
    assert errors["stress"]["unit"] == "eV/A^3"
    assert (lithium / "run" / "parity_stress.png").exists()
    potential = Potential.load(lithium / "run" / "potential.mlip")
    assert potential.trained_on_stress
    assert "extrapolations" not in potential.card


def test_errors_of_stress_are_those_of_the_calculator(lithium):
    frames = [frame for frame in read_frames("dataset:li_metal/test.extxyz.xz") if len(frame) <= 64][:5]
    ase.io.write(lithium / "test.extxyz", frames)
    command = ["eval", "potential=run/potential.mlip", "data=test.extxyz", "batch_size=2", "device=cpu"]
    ended = fork_mlip(*command, "run_dir=eval", cwd=lithium)
    assert ended.code == 0, ended.stderr
    calculator = MLIPCalculator(lithium / "run" / "potential.mlip", device="cpu")
    differences = []
    for frame in frames:
        label = frame.get_stress(voigt=False)
        frame.calc = calculator
        differences.append(frame.get_stress(voigt=False) - label)
    errors = json.loads((lithium / "eval" / "errors.json").read_text())["stress"]
    assert errors["mae"] == pytest.approx(np.abs(differences).mean(), rel=1e-4)
    assert errors["max"] == pytest.approx(np.abs(differences).max(), rel=1e-4)


def run_npt(folder, run_dir, potential="run/potential.mlip"):
    """A short run at constant pressure of a small cell of the training data."""
    frames = [frame for frame in read_frames("dataset:li_metal/train.extxyz.xz") if 8 <= len(frame) <= 64]
    ase.io.write(folder / "cell.extxyz", frames[0].copy())
    ended = fork_mlip(
        "md",
        f"potential={potential}",
        "structure=cell.extxyz",
        "protocol=npt",
        "protocol.npt.temperature_K=200",
        "protocol.npt.duration_ps=0.04",
        "protocol.npt.every_ps=0.01",
        "device=cpu",
        f"run_dir={run_dir}",
        cwd=folder,
    )
    assert ended.code == 0, ended.stderr
    return ended


@pytest.mark.slow
def test_the_potential_runs_at_constant_pressure(lithium):
    ended = run_npt(lithium, "md")
    assert "extrapolations" not in ended.stderr
    with (lithium / "md" / "thermo.csv").open(newline="") as stream:
        volumes = [float(row["volume_A3"]) for row in csv.DictReader(stream)]
    assert len(volumes) == 5
    assert np.ptp(volumes) > 1e-4


@pytest.mark.slow
def test_without_stress_in_training_a_constant_pressure_run_warns(lithium):
    potential = Potential.load(lithium / "run" / "potential.mlip")
    replace(potential, trained_on_stress=False).save(lithium / "blind.mlip")
    ended = run_npt(lithium, "blind", "blind.mlip")
    assert "no stress was in the training data: volumes are extrapolations" in ended.stderr
