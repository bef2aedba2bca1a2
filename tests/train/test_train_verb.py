"""`mlip train` and `mlip eval` on real data: what is learnt, and that the files say the same thing."""

import csv
import json
import lzma

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from cli.cli_process import fork_mlip

from mlip.data.read import read_frames
from mlip.deploy import MLIPCalculator, Potential
from mlip.inputs import resolve_input

SMALL = [
    "model.r_max=3.5",
    "model.num_layers=2",
    "model.l_max=1",
    "model.parity=false",
    "model.num_features=4",
    "model.radial_mlp_width=8",
    "device=cpu",
]


def train(cwd, *overrides):
    ended = fork_mlip("train", *SMALL, *overrides, cwd=cwd)
    assert ended.code == 0, ended.stderr
    return ended


def column(run_dir, name):
    with (run_dir / "metrics.csv").open(newline="") as stream:
        return [float(row[name]) for row in csv.DictReader(stream)]


@pytest.fixture(scope="module")
def lips(tmp_path_factory):
    """Fourteen frames train for as many epochs, four are held out in a file of their own."""
    folder = tmp_path_factory.mktemp("lips")
    frames = ase.io.read(resolve_input("dataset:lips/small_20.extxyz"), ":18")
    ase.io.write(folder / "train.extxyz", frames[:14])
    ase.io.write(folder / "valid.extxyz", frames[14:])
    train(
        folder,
        "data.train=train.extxyz",
        "data.valid=valid.extxyz",
        "data.batch_size=1",
        "optimizer.lr=0.02",
        "trainer.max_epochs=14",
        "trainer.ema_decay=0.9",
        "dtype=float64",
        "run_dir=run",
    )
    return folder


def test_training_on_dft_frames_lowers_the_errors(lips):
    forces = column(lips / "run", "valid/forces_rmse")
    assert forces[-1] < 0.8 * forces[0]
    assert column(lips / "run", "train/loss")[-1] < 0.5 * column(lips / "run", "train/loss")[0]
    errors = json.loads((lips / "run" / "errors.json").read_text())
    frames = read_frames(lips / "valid.extxyz")
    rms = np.sqrt(np.mean(np.concatenate([frame.get_forces() for frame in frames]) ** 2))
    assert errors["forces"]["rmse"] < 0.9 * rms  # better than to predict no force at all
    assert errors["num_frames"] == 4


def test_the_errors_are_those_of_the_best_epoch(lips):
    errors = json.loads((lips / "run" / "errors.json").read_text())
    best = int(np.argmin(column(lips / "run", "valid/loss")))
    assert errors["forces"]["rmse"] == pytest.approx(
        column(lips / "run", "valid/forces_rmse")[best], rel=1e-9
    )
    assert errors["energy"]["rmse"] == pytest.approx(
        column(lips / "run", "valid/energy_rmse")[best], rel=1e-9
    )


def test_a_run_leaves_what_is_promised(lips):
    left = {path.relative_to(lips / "run").as_posix() for path in (lips / "run").rglob("*")}
    assert {"potential.mlip", "checkpoints/best.ckpt", "checkpoints/last.ckpt", "metrics.csv"} <= left
    assert {"errors.json", "report.html", "learning_curves.png", "learning_curves.csv"} <= left
    potential = Potential.load(lips / "run" / "potential.mlip")
    assert potential.species == ("Li", "P", "S")
    assert potential.errors == json.loads((lips / "run" / "errors.json").read_text())
    assert not potential.trained_on_stress
    assert "No stress was in the training data" in potential.card
    assert "train.extxyz" in potential.card


def test_eval_gives_the_errors_of_training_and_predictions_that_ase_reads(lips):
    ended = fork_mlip(
        "eval",
        "potential=run/potential.mlip",
        "data=valid.extxyz",
        "batch_size=3",
        "device=cpu",
        "run_dir=eval",
        cwd=lips,
    )
    assert ended.code == 0, ended.stderr
    errors = json.loads((lips / "eval" / "errors.json").read_text())
    trained = json.loads((lips / "run" / "errors.json").read_text())
    for quantity in ("energy", "forces"):
        for measure in ("mae", "rmse", "max"):
            assert errors[quantity][measure] == pytest.approx(trained[quantity][measure], rel=1e-9)
    predicted, labels = (
        ase.io.read(lips / "eval" / "predictions.extxyz", ":"),
        read_frames(lips / "valid.extxyz"),
    )
    calculator = MLIPCalculator(lips / "run" / "potential.mlip", device="cpu")
    mistakes = []
    for frame, label in zip(predicted, labels, strict=True):
        again = frame.copy()
        again.calc = calculator
        assert frame.get_potential_energy() == pytest.approx(again.get_potential_energy(), abs=1e-6)
        np.testing.assert_allclose(frame.get_forces(), again.get_forces(), atol=1e-6)
        mistakes.append(np.abs(frame.get_forces() - label.get_forces()).mean())
    assert np.mean(mistakes) == pytest.approx(errors["forces"]["mae"], rel=1e-4)


def test_isolated_atoms_set_the_zero_of_energy(tmp_path):
    with lzma.open(resolve_input("dataset:acac/train_300K.extxyz.xz"), "rt") as stream:
        frames = ase.io.read(stream, ":12", format="extxyz")
    ase.io.write(tmp_path / "acac.extxyz", frames)
    train(
        tmp_path,
        "data.train=[acac.extxyz,dataset:acac/isolated_atoms.extxyz]",
        "data.valid_fraction=0.2",
        "trainer.max_epochs=2",
        "dtype=float64",
        "run_dir=run",
    )
    potential = Potential.load(tmp_path / "run" / "potential.mlip")
    assert potential.statistics["isolated_energies_from"] == "frames"
    for lone in read_frames("dataset:acac/isolated_atoms.extxyz"):
        energy = lone.get_potential_energy()
        lone.calc = MLIPCalculator(tmp_path / "run" / "potential.mlip", device="cpu")
        assert lone.get_potential_energy() == pytest.approx(energy, abs=1e-9)
        assert np.abs(lone.get_forces()).max() == 0.0
    assert potential.normalization.energy_scales[0] == pytest.approx(
        np.sqrt(np.mean(np.concatenate([f.get_forces() for f in frames]) ** 2)), rel=0.2
    )


def test_a_frame_of_one_atom_in_a_periodic_cell_trains(tmp_path):
    """A primitive cell: its only atom sees its own images."""
    frames = []
    for number in range(5):
        crystal = Atoms("Li", cell=(2.9 + 0.1 * number) * (np.ones((3, 3)) - 2 * np.eye(3)) / 2, pbc=True)
        crystal.calc = SinglePointCalculator(
            crystal, energy=-1.9 + 0.01 * number, forces=np.zeros((1, 3)), stress=np.full(6, 0.001 * number)
        )
        frames.append(crystal)
    ase.io.write(tmp_path / "li.extxyz", frames)
    ase.io.write(tmp_path / "valid.extxyz", frames[1:3])
    train(
        tmp_path,
        "data.train=li.extxyz",
        "data.valid=valid.extxyz",
        "loss.forces=0",
        "trainer.max_epochs=2",
        "run_dir=run",
    )
    assert Potential.load(tmp_path / "run" / "potential.mlip").trained_on_stress


def test_a_training_that_diverges_stops_in_one_line_and_keeps_what_it_has(lips, tmp_path):
    ended = fork_mlip(
        "train",
        *SMALL,
        f"data.train={lips}/train.extxyz",
        f"data.valid={lips}/valid.extxyz",
        "optimizer.lr=1e12",
        "optimizer.warmup_epochs=0",
        "trainer.gradient_clip=null",
        "run_dir=run",
        cwd=tmp_path,
    )
    assert ended.code == 1
    assert "Traceback" not in ended.stderr
    assert "training diverged in epoch" in ended.last_line
    assert not (tmp_path / "run" / "potential.mlip").exists()


def test_stress_only_in_the_test_set_is_not_trained(lips, tmp_path):
    """Whether stress was learnt is a matter of the training frames, not of those it is tested on."""
    frame = read_frames(lips / "valid.extxyz")[0]
    with_stress = frame.copy()
    with_stress.calc = SinglePointCalculator(
        with_stress,
        energy=frame.get_potential_energy(),
        forces=frame.get_forces(),
        stress=np.full(6, 0.001),
    )
    ase.io.write(tmp_path / "test.extxyz", with_stress)
    train(
        tmp_path,
        f"data.train={lips}/train.extxyz",
        f"data.valid={lips}/valid.extxyz",
        "data.test=test.extxyz",
        "data.num_train=2",
        "trainer.max_epochs=1",
        "run_dir=run",
    )
    assert "stress" in json.loads((tmp_path / "run" / "errors.json").read_text())
    assert not Potential.load(tmp_path / "run" / "potential.mlip").trained_on_stress
