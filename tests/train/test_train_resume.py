"""Kill a training and give its command again: the same table and the same weights, to the last bit."""

import csv
import random
import shutil
import time
import zipfile

import pytest
import torch
from cli.cli_process import fork_mlip, start_mlip

EPOCHS = 20
TRAIN = [
    "train",
    "data.train=dataset:lips/small_20.extxyz",
    "data.num_train=6",
    "data.batch_size=2",
    "model.r_max=3",
    "model.num_layers=1",
    "model.l_max=1",
    "model.parity=false",
    "model.num_features=4",
    "model.radial_mlp_width=8",
    "device=cpu",
]


def rows_of(run_dir):
    path = run_dir / "metrics.csv"
    if not path.exists():
        return []
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def weights_of(run_dir):
    with zipfile.ZipFile(run_dir / "potential.mlip") as archive:
        return archive.read("weights.safetensors")


def train(cwd, run_dir, *overrides):
    ended = fork_mlip(*TRAIN, f"run_dir={run_dir}", *overrides, cwd=cwd)
    assert ended.code == 0, ended.stderr
    return ended


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    train(folder, "run", f"trainer.max_epochs={EPOCHS}")
    return folder / "run"


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_a_killed_training_goes_on_as_if_nothing_had_happened(tmp_path, unbroken, seed):
    kill_and_go_on(tmp_path, seed)
    assert_same_result(tmp_path / "run", unbroken)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        ["optimizer=schedule_free", "loss.final_energy=100"],
        ["optimizer=schedule_free", "loss=huber", "dtype=float64"],
    ],
    ids=" ".join,
)
def test_every_optimizer_and_schedule_survives_a_kill(tmp_path, settings):
    train(tmp_path, "unbroken", f"trainer.max_epochs={EPOCHS}", *settings)
    kill_and_go_on(tmp_path, 5, *settings)
    assert_same_result(tmp_path / "run", tmp_path / "unbroken")


def assert_same_result(run_dir, other):
    assert (run_dir / "metrics.csv").read_bytes() == (other / "metrics.csv").read_bytes()
    assert weights_of(run_dir) == weights_of(other)


def kill_and_go_on(tmp_path, seed, *settings):
    """Train to the end in `run`, killed at least twice on the way."""
    dice = random.Random(seed)
    kills = 0
    for _ in range(3):
        rows = len(rows_of(tmp_path / "run"))
        wanted = rows + dice.randint(0, 2)
        process = start_mlip(
            *TRAIN, "run_dir=run", f"trainer.max_epochs={EPOCHS}", *settings, cwd=tmp_path, output=tmp_path
        )
        while process.is_alive() and len(rows_of(tmp_path / "run")) < wanted:
            time.sleep(0.01)
        time.sleep(dice.uniform(0.0, 0.15))
        kills += process.is_alive()
        process.kill()
        process.join()
    assert kills >= 2
    train(tmp_path, "run", f"trainer.max_epochs={EPOCHS}", *settings)


def test_more_epochs_continue_a_finished_run(tmp_path, unbroken):
    shutil.copytree(unbroken, tmp_path / "run")
    train(tmp_path, "run", f"trainer.max_epochs={EPOCHS + 2}")
    rows = rows_of(tmp_path / "run")
    assert [int(row["epoch"]) for row in rows] == list(range(EPOCHS + 2))
    assert rows[:EPOCHS] == rows_of(unbroken)
    assert float(rows[EPOCHS]["lr"]) > float(rows[EPOCHS - 1]["lr"])  # the cosine now ends later
    assert weights_of(tmp_path / "run") != weights_of(unbroken)


@pytest.mark.slow
def test_a_new_learning_rate_is_used_when_a_run_goes_on(tmp_path, unbroken):
    rates = {}
    for rate in (0.01, 0.001):
        shutil.copytree(unbroken, tmp_path / str(rate))
        train(tmp_path, rate, f"trainer.max_epochs={EPOCHS + 4}", f"optimizer.lr={rate}")
        rates[rate] = [float(row["lr"]) for row in rows_of(tmp_path / str(rate))]
    assert rates[0.01][:EPOCHS] == rates[0.001][:EPOCHS]
    assert rates[0.001][EPOCHS:] == pytest.approx([rate / 10 for rate in rates[0.01][EPOCHS:]])


def epoch_of(checkpoint):
    return torch.load(checkpoint, weights_only=True)["epoch"]


@pytest.mark.slow
def test_a_longer_patience_is_used_when_a_run_goes_on(tmp_path):
    """With so large a rate validation gets worse from some epoch on; each patience stops at its own epoch."""
    wild = ["optimizer.lr=10", "optimizer.warmup_epochs=0", "trainer.ema_decay=0", "trainer.max_epochs=40"]
    train(tmp_path, "run", "trainer.patience=2", *wild)
    stopped = len(rows_of(tmp_path / "run"))
    assert stopped < 20
    checkpoints = tmp_path / "run" / "checkpoints"
    assert epoch_of(checkpoints / "last.ckpt") == stopped - 1  # a run killed on a plateau stays on it
    assert epoch_of(checkpoints / "best.ckpt") == stopped - 3
    train(tmp_path, "run", "trainer.patience=6", *wild)
    assert len(rows_of(tmp_path / "run")) >= stopped + 4


@pytest.mark.slow
def test_time_that_is_up_before_the_first_epoch_is_one_line_and_more_time_goes_on(tmp_path):
    few = [*TRAIN, "run_dir=run", "trainer.max_epochs=2"]
    ended = fork_mlip(*few, "trainer.max_time=00:00:00:00", cwd=tmp_path)
    assert ended.code == 1
    assert "Traceback" not in ended.stderr
    assert "trainer.max_time=00:00:00:00" in ended.last_line
    ended = fork_mlip(*few, "trainer.max_time=00:00:10:00", cwd=tmp_path)
    assert ended.code == 0, ended.stderr
    assert len(rows_of(tmp_path / "run")) == 2
