"""Thresholds, reliability, and what `mlip train`, `mlip eval`, `mlip deploy` make of them on real frames."""

import json
import re

import ase.io
import numpy as np
import pytest
import torch
from ase.calculators.singlepoint import SinglePointCalculator
from cli.cli_process import fork_mlip
from structures import SPECIES, random_structure

import train.uncertainty
from mlip.data.dataset import GraphDataset
from mlip.data.graph import collate
from mlip.deploy import MLIPCalculator, Potential
from mlip.inputs import resolve_input
from mlip.models.grade_fit import fit_grade
from train.reliability import measure_reliability
from train.thresholds import conformal_quantile, describe_thresholds, find_thresholds
from train.uncertainty import DescriptorBatches

SMALL = [
    "model.r_max=3.5",
    "model.num_layers=2",
    "model.l_max=1",
    "model.parity=false",
    "model.num_features=4",
    "model.radial_mlp_width=8",
    "device=cpu",
]


def test_the_conformal_quantile_by_hand():
    assert conformal_quantile(np.arange(1.0, 20.0)) == 19.0  # ceil(0.95 * 20) = 19th of 19
    assert conformal_quantile(np.arange(1.0, 101.0)) == 96.0  # ceil(0.95 * 101) = 96th
    assert conformal_quantile(np.arange(1.0, 19.0)) == np.inf


def test_the_conformal_quantile_covers():
    rng = np.random.default_rng(0)
    draws = rng.standard_t(2, size=(4000, 41)) ** 2
    covered = [row[-1] <= conformal_quantile(row[:-1]) for row in draws]
    assert np.mean(covered) == pytest.approx(0.95 + 0.5 / 41, abs=0.02)


def held_out(rng, number, low, high, error_of):
    grades = rng.uniform(low, high, size=number)
    return grades, np.abs(rng.normal(size=number)) * error_of(grades)


def test_stop_is_where_errors_pass_three_times_those_of_validation():
    rng = np.random.default_rng(0)
    valid = held_out(rng, 2000, 0.2, 1.0, lambda g: 0.1 + 0.0 * g)
    far = held_out(rng, 6000, 1.0, 12.0, lambda g: 0.1 * g)  # 3 x at g = 3
    found = find_thresholds(*valid, *far)
    assert found.select == 1.5
    assert found.stop == pytest.approx(3.0, abs=0.5)
    assert found.how["stop_is_calibrated"]
    assert "3 x" in describe_thresholds(found)


def test_select_rises_with_the_grades_of_validation_and_stop_says_when_it_is_a_guess():
    rng = np.random.default_rng(0)
    valid = held_out(rng, 2000, 0.2, 6.0, lambda g: 0.1 + 0.0 * g)
    found = find_thresholds(*valid, np.array([]), np.array([]))
    assert found.select == pytest.approx(np.quantile(valid[0], 0.999))
    assert found.stop == pytest.approx(2.0 * found.select)
    assert not found.how["stop_is_calibrated"]
    assert "not calibrated" in describe_thresholds(found)


def test_reliability_tells_right_deviations_from_wrong_ones():
    rng = np.random.default_rng(0)
    deviations = rng.lognormal(size=5000)
    errors = deviations * rng.normal(size=5000)
    right = measure_reliability(errors, deviations)
    assert right.within_one == pytest.approx(0.683, abs=0.02)
    assert right.within_two == pytest.approx(0.954, abs=0.01)
    np.testing.assert_allclose(right.expected, right.observed, rtol=0.15)
    too_small = measure_reliability(errors, 0.5 * deviations)
    assert too_small.within_one == pytest.approx(0.383, abs=0.02)
    assert right.negative_log_likelihood < too_small.negative_log_likelihood
    assert right.negative_log_likelihood < right.negative_log_likelihood_uniform
    assert measure_reliability(np.zeros(3), np.zeros(3)) is None


def test_descriptors_computed_again_give_the_grade_of_kept_ones(small_force_field, monkeypatch):
    force_field = small_force_field()
    frames = []
    for seed in range(6):
        atoms = random_structure("triclinic", seed=seed)
        atoms.calc = SinglePointCalculator(atoms, energy=0.0, free_energy=0.0, forces=np.zeros((12, 3)))
        frames.append(atoms)
    dataset = GraphDataset(frames, 4.0, SPECIES)

    def fit(kept_bytes):
        monkeypatch.setattr(train.uncertainty, "KEPT_BYTES", kept_bytes)
        batches = DescriptorBatches(force_field, [dataset], 2, torch.device("cpu"))
        return fit_grade(batches, len(SPECIES)), batches

    (kept, batches), (again, streamed) = fit(1 << 20), fit(500)
    assert batches._kept is not None
    assert streamed._kept is None
    torch.testing.assert_close(again.maps, kept.maps, rtol=1e-9, atol=1e-9)
    expected = force_field(*collate([dataset[0], dataset[1]]).inputs).descriptors
    torch.testing.assert_close(next(iter(batches)).descriptors, expected)


@pytest.fixture(scope="module")
def lips(tmp_path_factory):
    """Ten frames train, four validate; four more with rattled copies are held out."""
    folder = tmp_path_factory.mktemp("graded")
    frames = ase.io.read(resolve_input("dataset:lips/small_20.extxyz"), ":18")
    parts = {"train": frames[:10], "valid": frames[10:14], "test": frames[14:]}
    for name, part in parts.items():
        ase.io.write(folder / f"{name}.extxyz", part)
    files = [f"data.{name}={name}.extxyz" for name in parts]
    ended = fork_mlip(
        *("train", *SMALL, *files, "data.batch_size=2", "optimizer.lr=0.02"),
        *("trainer.max_epochs=4", "dtype=float64", "run_dir=run"),
        cwd=folder,
    )
    assert ended.code == 0, ended.stderr
    return folder


def test_training_ends_with_a_grade_that_its_frames_keep_below_one(lips):
    calculator = MLIPCalculator(lips / "run" / "potential.mlip", device="cpu")
    for atoms in ase.io.read(lips / "train.extxyz", ":"):
        atoms.calc = calculator
        atoms.get_potential_energy()
        assert atoms.calc.results["extrapolation_grade"].max() <= 1.01 + 1e-6


def test_a_rattled_structure_has_higher_grades_and_uncertainties(lips):
    calculator = MLIPCalculator(lips / "run" / "potential.mlip", device="cpu")
    found = []
    for stdev in (0.0, 0.15, 0.4):
        atoms = ase.io.read(lips / "test.extxyz", 0)
        atoms.rattle(stdev, seed=1)
        atoms.calc = calculator
        atoms.get_potential_energy()
        known = atoms.calc.results
        found.append((known["extrapolation_grade"].mean(), known["force_uncertainty"].mean()))
    assert found == sorted(found)
    assert found[-1][0] > 1.5 * found[0][0]
    assert found[-1][1] > 1.5 * found[0][1]


def test_log_card_and_report_say_how_thresholds_were_found(lips):
    potential = Potential.load(lips / "run" / "potential.mlip")
    fitted = potential.uncertainty
    assert fitted.select >= 1.5
    assert fitted.stop > fitted.select
    assert fitted.calibration["num_valid"] == 4
    assert fitted.calibration["thresholds"]["num_valid_atoms"] == 4 * 83
    assert fitted.calibration["thresholds"]["num_other_held_out_atoms"] == 4 * 83
    assert set(fitted.calibration["forces"]) == {"all", "Li", "P", "S"}
    assert re.search(r"grade fitted in \d+\.\d s: select above", (lips / "run" / "log.txt").read_text())
    assert f"stop above {fitted.stop:.2f}" in potential.card
    report = (lips / "run" / "report.html").read_text()
    assert "What the potential knows of its limits" in report
    assert {"reliability.png", "reliability.csv", "grade_forces.png", "grade_forces.csv"} <= {
        path.name for path in (lips / "run").iterdir()
    }


def test_eval_writes_the_grades_that_the_calculator_gives(lips):
    ended = fork_mlip(
        *("eval", "potential=run/potential.mlip", "data=test.extxyz", "batch_size=3", "device=cpu"),
        "run_dir=eval",
        cwd=lips,
    )
    assert ended.code == 0, ended.stderr
    assert "rank correlation" in ended.stderr + ended.stdout
    calculator = MLIPCalculator(lips / "run" / "potential.mlip", device="cpu")
    for frame in ase.io.read(lips / "eval" / "predictions.extxyz", ":"):
        again = frame.copy()
        again.calc = calculator
        again.get_potential_energy()
        known = again.calc.results
        for name in ("extrapolation_grade", "force_uncertainty"):
            np.testing.assert_allclose(frame.arrays[name], known[name], atol=1e-6)
        assert frame.info["energy_uncertainty"] == pytest.approx(known["energy_uncertainty"], rel=1e-6)
    said = json.loads((lips / "eval" / "uncertainty.json").read_text())
    assert set(said["rank_correlation_with_force_error"]) == {"grade", "force_uncertainty"}
    assert said["num_atoms"] == 4 * 83
    assert {"grade_forces.png", "reliability.png"} <= {path.name for path in (lips / "eval").iterdir()}


def test_deploy_with_grade(lips):
    ended = fork_mlip("deploy", "potential=run/potential.mlip", "grade=true", "device=cpu", cwd=lips)
    assert ended.code == 0, ended.stderr
    frames = ase.io.read(lips / "test.extxyz", ":2")
    grades = []
    for path in (lips / "run" / "potential.mlip", lips / "runs" / "deploy" / "potential.nequip.pth"):
        calculator = MLIPCalculator(path, device="cpu")
        calculator.calculate(frames[0])
        grades.append(calculator.results["extrapolation_grade"])
    np.testing.assert_allclose(grades[1], grades[0], rtol=1e-9)
