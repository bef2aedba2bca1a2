"""Errors worked out by hand, the table of epochs across a resume."""

import csv
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mlip.errors import MlipError
from train.callbacks import MetricsTable
from train.metrics import FrameErrors, compute_errors
from train.plots import save_parity
from train.report import error_tables


def frame_errors(subset, symbols, energy_error, force_errors, stress_error=None):
    forces = np.zeros((2, len(symbols), 3))
    forces[1] = force_errors
    stress = None if stress_error is None else np.stack([np.zeros((3, 3)), np.full((3, 3), stress_error)])
    return FrameErrors(
        subset, symbols, np.array([-4.0, -4.0 + energy_error]), forces, stress, np.zeros((len(symbols), 1))
    )


def test_errors_by_hand():
    bulk = frame_errors("bulk", ["Li", "S"], 0.003, [[0.1, 0.0, 0.0], [0.0, -0.2, 0.0]], stress_error=0.01)
    slab = frame_errors("slab", ["Li"], -0.001, [[0.0, 0.0, 0.3]])
    errors = compute_errors([bulk, slab])
    assert errors["num_frames"] == 2
    assert errors["energy"]["mae"] == pytest.approx(0.002)
    assert errors["energy"]["rmse"] == pytest.approx(math.sqrt((9e-6 + 1e-6) / 2))
    assert errors["energy"]["max"] == pytest.approx(0.003)
    assert errors["energy"]["unit"] == "eV/atom"
    assert errors["forces"]["mae"] == pytest.approx(0.6 / 9)
    assert errors["forces"]["rmse"] == pytest.approx(math.sqrt((0.01 + 0.04 + 0.09) / 9))
    assert errors["forces"]["max"] == pytest.approx(0.3)
    assert errors["stress"]["mae"] == pytest.approx(0.01)
    assert errors["by_subset"]["slab"]["forces"]["mae"] == pytest.approx(0.1)
    assert "stress" not in errors["by_subset"]["slab"]
    assert errors["by_species"]["S"]["forces"]["mae"] == pytest.approx(0.2 / 3)
    assert errors["by_species"]["Li"]["forces"]["rmse"] == pytest.approx(math.sqrt((0.01 + 0.09) / 6))


def test_a_report_has_a_row_for_each_subset():
    bulk = [frame_errors("bulk", ["Li"], 0.003, [[0.1, 0.0, 0.0]], stress_error=0.01) for _ in range(2)]
    slab = frame_errors("slab", ["Li"], -0.001, [[0.0, 0.0, 0.3]])
    whole, by_subset = error_tables(compute_errors([*bulk, slab]))
    assert [row[0] for row in whole.rows] == ["energy", "forces", "stress", "forces, Li"]
    assert [row[:2] for row in by_subset.rows] == [["bulk", 2], ["slab", 1]]
    assert by_subset.header[2] == "energy MAE"
    assert by_subset.rows[0][2:] == pytest.approx([3.0, 3.0, 100 / 3, 100 / math.sqrt(3), 10.0, 10.0])
    assert by_subset.rows[1][2:4] == pytest.approx([1.0, 1.0])
    assert by_subset.rows[1][6:] == [None, None]
    assert len(error_tables(compute_errors(bulk))) == 1


def test_parity_of_energies_is_within_a_composition(tmp_path):
    """Compositions tens of eV apart would hide every error."""
    lithium = frame_errors("bulk", ["Li"], 0.003, [[0.1, 0.0, 0.0]])
    sulfide = frame_errors("slab", ["Li", "S", "Li"], -0.002, [[0.0] * 3] * 3)
    sulfide.energy[:] -= 50.0
    higher = replace(sulfide, symbols=["S", "Li", "Li"], energy=sulfide.energy + 1.0)
    save_parity([lithium, sulfide, higher], tmp_path)
    with (tmp_path / "parity_energy.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["subset"] for row in rows] == ["bulk", "slab", "slab"]
    assert [float(row["label_meV/atom"]) for row in rows] == pytest.approx([0.0, -500.0, 500.0])
    assert [float(row["prediction_meV/atom"]) for row in rows] == pytest.approx([3.0, -502.0, 498.0])


def epoch(number, **metrics):
    """What the table sees of Lightning's trainer at the end of an epoch."""
    return SimpleNamespace(
        current_epoch=number,
        max_epochs=9,
        callback_metrics={name.replace("__", "/"): torch.tensor(value) for name, value in metrics.items()},
        optimizers=[SimpleNamespace(param_groups=[{"lr": 0.1}])],
    )


def write_epochs(path, numbers, loss):
    table = MetricsTable(path)
    table.on_train_start(epoch(numbers[0]), None)
    for number in numbers:
        table.on_train_epoch_end(epoch(number, train__loss=loss, train__forces_mse=0.25), None)


def test_mean_squares_become_roots(tmp_path):
    write_epochs(tmp_path / "metrics.csv", [0], 1.0)
    (row,) = csv.DictReader((tmp_path / "metrics.csv").read_text().splitlines())
    assert float(row["train/forces_rmse"]) == pytest.approx(0.5)
    assert float(row["train/loss"]) == pytest.approx(1.0)
    assert "train/forces_mse" not in row


def test_a_resumed_run_writes_no_epoch_twice(tmp_path):
    path = tmp_path / "metrics.csv"
    write_epochs(path, [0, 1, 2, 3], 1.0)
    write_epochs(path, [2, 3, 4], 7.0)
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [(row["epoch"], float(row["train/loss"])) for row in rows] == [
        ("0", 1.0),
        ("1", 1.0),
        ("2", 7.0),
        ("3", 7.0),
        ("4", 7.0),
    ]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_and_leaves_the_table_alone(tmp_path, value):
    write_epochs(tmp_path / "metrics.csv", [0], 1.0)
    before = (tmp_path / "metrics.csv").read_text()
    with pytest.raises(MlipError, match=r"diverged in epoch 1.*lower optimizer\.lr"):
        MetricsTable(tmp_path / "metrics.csv").on_train_epoch_end(epoch(1, valid__loss=value), None)
    assert (tmp_path / "metrics.csv").read_text() == before
