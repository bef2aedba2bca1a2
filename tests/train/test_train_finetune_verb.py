"""`mlip train init=...`: from the command to an ordinary potential that is better on the new data."""

import json
import random
import time
from dataclasses import replace

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from cli.cli_process import fork_mlip, start_mlip
from structures import random_structure

from mlip.data.read import read_frames
from mlip.deploy import MLIPCalculator, Potential

NEW_LEVEL = {"Li": -190.0, "P": -180.0, "S": -270.0, "O": -430.0}
SHORT = ["device=cpu", "dtype=float64", "data.batch_size=2", "trainer.patience=null", "optimizer.lr=0.005"]


def label(atoms, calculator, moved):
    """A frame with the calculator's labels, its energy moved per atom."""
    frame = atoms.copy()
    frame.calc = calculator
    energy = frame.get_potential_energy() + sum(moved[symbol] for symbol in frame.get_chemical_symbols())
    forces, stress = frame.get_forces(), frame.get_stress()
    frame.calc = SinglePointCalculator(frame, energy=energy, forces=forces, stress=stress)
    return frame


def teacher_of(potential, path):
    """The same architecture with other weights: a new level of theory."""
    generator = torch.Generator().manual_seed(5)
    weights = {
        name: tensor + 0.15 * torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
        if "layers" in name
        else tensor
        for name, tensor in potential.weights.items()
    }
    replace(potential, weights=weights).save(path)
    return MLIPCalculator(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, potential_file):
    """A given potential, its old data, and data of another level of theory."""
    folder = tmp_path_factory.mktemp("finetune")
    (folder / "init.mlip").write_bytes(potential_file.read_bytes())
    teacher = teacher_of(Potential.load(potential_file), folder / "teacher.mlip")
    own = MLIPCalculator(potential_file)
    frames = [random_structure("triclinic", seed) for seed in range(14)]
    new = [label(atoms, teacher, NEW_LEVEL) for atoms in frames]
    ase.io.write(folder / "new.extxyz", new[:10])
    ase.io.write(folder / "valid.extxyz", new[10:])
    ase.io.write(
        folder / "old.extxyz", [label(atoms, own, dict.fromkeys(NEW_LEVEL, 0.0)) for atoms in frames]
    )
    oxides = []
    for atoms in frames[:6]:
        atoms.symbols[:2] = "O"
        atoms.calc = SinglePointCalculator(atoms, energy=-3000.0, forces=0.1 * atoms.positions)
        oxides.append(atoms)
    ase.io.write(folder / "oxides.extxyz", oxides)
    return folder


def finetune(cwd, *overrides, init="init.mlip", code=0):
    common = [f"init={init}", "data.train=new.extxyz", "data.valid=valid.extxyz", *SHORT]
    ended = fork_mlip("train", *common, *overrides, cwd=cwd)
    assert ended.code == code, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended


@pytest.fixture(scope="module")
def finetuned(folder):
    ended = finetune(folder, "trainer.max_epochs=8", "run_dir=run")
    return folder, ended, Potential.load(folder / "run" / "potential.mlip")


def test_errors_before_and_after_are_stated(finetuned):
    folder, ended, potential = finetuned
    errors = json.loads((folder / "run" / "errors.json").read_text())
    calculator = MLIPCalculator(folder / "init.mlip")
    mistakes = []
    for frame in read_frames(folder / "valid.extxyz"):
        again = frame.copy()
        again.calc = calculator
        mistakes.append(np.abs(again.get_forces() - frame.get_forces()).mean())
    before, after = 1000 * np.mean(mistakes), 1000 * errors["forces"]["mae"]
    assert after < 0.8 * before
    said = f"forces MAE {before:.4g} -> {after:.4g} meV/A (factor {before / after:.2f})"
    assert said in ended.stderr
    assert said in potential.card
    assert "What fine-tuning won" in (folder / "run" / "report.html").read_text()


@pytest.mark.slow
def test_the_learning_rate_from_scratch_is_remarked_upon(finetuned, tmp_path):
    folder, ended, _ = finetuned
    assert "made for random weights" not in ended.stderr
    without = [word for word in SHORT if not word.startswith("optimizer")]
    command = ["init=init.mlip", "data.train=new.extxyz", "data.valid=valid.extxyz", "trainer.max_epochs=1"]
    ended = fork_mlip("train", *command, *without, f"run_dir={tmp_path}/run", cwd=folder)
    assert ended.code == 0, ended.stderr
    assert "optimizer.lr=0.02 is made for random weights" in ended.stderr


def test_what_was_given_is_kept_and_recorded(finetuned):
    folder, ended, potential = finetuned
    init = Potential.load(folder / "init.mlip")
    assert "the settings of model are not used" in ended.stderr
    assert potential.config == init.config
    assert potential.pair_cutoffs == init.pair_cutoffs
    assert potential.normalization.energy_scales == init.normalization.energy_scales
    assert potential.data["finetuned_from"] == init.data
    assert "| fine-tuned from | init.mlip |" in potential.card
    inputs = json.loads((folder / "run" / "provenance.json").read_text())["inputs"]
    assert "init.mlip" in inputs


def test_shifts_are_at_the_new_level_and_logged(finetuned):
    _, ended, potential = finetuned
    old = (-1.0, 2.0, -3.0)
    for new, before, symbol in zip(
        potential.normalization.energy_shifts, old, potential.species, strict=True
    ):
        assert new - before == pytest.approx(NEW_LEVEL[symbol], abs=0.5)  # the teacher's network differs, too
        assert f"{symbol:<4} {before:14.4f} {new:14.4f} {new - before:12.4f}" in ended.stderr


@pytest.mark.slow
def test_shifts_may_be_kept_the_dtype_may_change_and_the_model_may_be_said_again(folder, tmp_path):
    finetune(
        folder,
        "finetune.refit_shifts=false",
        "dtype=float32",
        "model.l_max=2",
        "model.r_max=4",
        "trainer.max_epochs=1",
        f"run_dir={tmp_path}/run",
    )
    potential = Potential.load(tmp_path / "run" / "potential.mlip")
    assert potential.normalization.energy_shifts == (-1.0, 2.0, -3.0)
    assert potential.dtype == "float32"
    assert potential.weights["model.species_embedding"].dtype == torch.float32


@pytest.mark.slow
def test_frozen_parts_are_as_they_were(folder, tmp_path):
    finetune(
        folder,
        'finetune.freeze=[species_embedding,"layers.0.*"]',
        "trainer.max_epochs=2",
        f"run_dir={tmp_path}/run",
    )
    before = Potential.load(folder / "init.mlip").weights
    after = Potential.load(tmp_path / "run" / "potential.mlip").weights
    for name in before:
        if not name.startswith("model.scale_shift"):
            frozen = "species_embedding" in name or "layers.0" in name or "frequencies" in name
            assert torch.equal(before[name], after[name]) == frozen, name


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adam", "schedule_free"])
def test_adapters_are_merged_into_an_ordinary_potential(folder, tmp_path, optimizer):
    ended = finetune(
        folder,
        "finetune.lora_rank=1",
        f"optimizer={optimizer}",
        "trainer.max_epochs=3",
        f"run_dir={tmp_path}/run",
    )
    before = Potential.load(folder / "init.mlip").weights
    after = Potential.load(tmp_path / "run" / "potential.mlip").weights
    assert before.keys() == after.keys()
    assert torch.equal(before["model.species_embedding"], after["model.species_embedding"])
    name = "model.layers.0.radial_mlp.weights.0"
    assert torch.linalg.matrix_rank(after[name] - before[name], rtol=1e-9) == 1
    # What was validated with adapters is what the merged potential predicts.
    rows = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    column = rows[0].split(",").index("valid/forces_rmse")
    best = min(float(row.split(",")[column]) for row in rows[1:])
    errors = json.loads((tmp_path / "run" / "errors.json").read_text())
    assert errors["forces"]["rmse"] == pytest.approx(best, rel=1e-9)
    assert "changes of rank 1" in Potential.load(tmp_path / "run" / "potential.mlip").card
    assert "numbers are trained" in ended.stderr


@pytest.mark.slow
def test_new_species_with_replay_killed_and_given_again(folder, tmp_path):
    """Adapters, fresh rows, the turn of the old frames and averaged weights come back."""
    command = [
        "train",
        "init=init.mlip",
        "data.train=oxides.extxyz",
        "data.valid=oxides.extxyz",
        "finetune.replay=old.extxyz",
        "finetune.replay_weight=0.4",
        "finetune.lora_rank=2",
        "trainer.max_epochs=8",
        *SHORT,
    ]
    ended = fork_mlip(*command, f"run_dir={tmp_path}/whole", cwd=folder)
    assert ended.code == 0, ended.stderr
    assert "new species: O" in ended.stderr
    table, dice, kills = tmp_path / "run" / "metrics.csv", random.Random(1), 0
    for rows in (2, 5):
        process = start_mlip(*command, f"run_dir={tmp_path}/run", cwd=folder, output=tmp_path)
        while process.is_alive() and (not table.exists() or len(table.read_text().splitlines()) < rows):
            time.sleep(0.01)
        time.sleep(dice.uniform(0.0, 0.05))
        kills += process.is_alive()
        process.kill()
        process.join()
    assert kills >= 1
    ended = fork_mlip(*command, f"run_dir={tmp_path}/run", cwd=folder)
    assert ended.code == 0, ended.stderr
    rows = [
        np.loadtxt(path, delimiter=",", skiprows=1) for path in (table, tmp_path / "whole" / "metrics.csv")
    ]
    np.testing.assert_allclose(
        *rows, rtol=1e-9
    )  # stress is a small sum of large numbers: not to the last bit
    weights = [Potential.load(tmp_path / name / "potential.mlip").weights for name in ("run", "whole")]
    for name in weights[0]:
        torch.testing.assert_close(weights[0][name], weights[1][name], rtol=1e-10, atol=1e-10)
    potential = Potential.load(tmp_path / "run" / "potential.mlip")
    assert potential.species == ("Li", "O", "P", "S")
    assert potential.data["num_replay"] == 14
    assert "0.4 of each epoch, from 14 old frames" in potential.card
    oxide = read_frames(folder / "oxides.extxyz")[0].copy()
    oxide.calc = MLIPCalculator(tmp_path / "run" / "potential.mlip")
    assert np.isfinite(oxide.get_forces()).all()


@pytest.mark.slow
def test_lone_atoms_of_the_new_data_keep_their_energies(folder, tmp_path):
    lone = Atoms("Li", cell=[20, 20, 20], pbc=True)
    lone.calc = SinglePointCalculator(lone, energy=-191.25, forces=np.zeros((1, 3)))
    ase.io.write(tmp_path / "lone.extxyz", lone)
    finetune(
        folder,
        f"data.train=[new.extxyz,{tmp_path}/lone.extxyz]",
        "trainer.max_epochs=2",
        f"run_dir={tmp_path}/run",
    )
    lone.calc = MLIPCalculator(tmp_path / "run" / "potential.mlip")
    assert lone.get_potential_energy() == pytest.approx(-191.25, abs=1e-9)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.l_max=1"], "found model.l_max=1; the potential of init has 2 and keeps its architecture"),
        (
            ["model=allegro_S"],
            "found model._target_=mlip.models.allegro.AllegroConfig; the potential of init has",
        ),
        (
            ["+model.avg_num_neighbors={Li: 9}"],
            "found model.avg_num_neighbors={'Li': 9}; the potential of init",
        ),
        (["model=nequip"], "the potential of init has"),
        (
            ["finetune.freeze=[layers]"],
            "found finetune.freeze of layers; expected patterns of species_embedding",
        ),
        (["finetune.lora_rank=0"], "found finetune.lora_rank=0; expected 1 or more, or null"),
        (["finetune.replay=old.extxyz", "finetune.replay_weight=1"], "expected between 0 and 1"),
        (["finetune.replay=nowhere.extxyz"], "found no file nowhere.extxyz"),
        (["finetune.rank=2"], "found no setting finetune.rank"),
    ],
)
def test_bad_settings_are_one_line(folder, tmp_path, overrides, message):
    ended = finetune(folder, *overrides, f"run_dir={tmp_path}/run", code=1)
    assert message in ended.last_line


def test_settings_of_finetuning_without_a_potential_are_one_line(folder, tmp_path):
    ended = finetune(folder, "finetune.lora_rank=2", f"run_dir={tmp_path}/run", init="null", code=1)
    assert "found settings of finetune without init" in ended.last_line


def test_another_potential_in_its_place_is_refused(finetuned, tmp_path):
    folder, _, potential = finetuned
    for name in ("new.extxyz", "valid.extxyz", "init.mlip"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    finetune(tmp_path, "trainer.max_epochs=1", "run_dir=run")
    potential.save(tmp_path / "init.mlip")
    ended = finetune(tmp_path, "trainer.max_epochs=2", "run_dir=run", code=1)
    assert "holds a run on another content of init.mlip" in ended.last_line


@pytest.mark.slow
def test_replayed_energies_of_another_level_are_warned_of(folder, tmp_path):
    short = ["trainer.max_epochs=1", "finetune.replay_weight=0.1"]
    ended = finetune(folder, "finetune.replay=new.extxyz", *short, f"run_dir={tmp_path}/other")
    assert "eV/atom from those of the potential" in ended.stderr
    ended = finetune(folder, "finetune.replay=old.extxyz", *short, f"run_dir={tmp_path}/own")
    assert "from those of the potential" not in ended.stderr
