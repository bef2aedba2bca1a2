"""`logger=wandb` for real, without a network."""

import pytest
from cli.cli_process import run_mlip

pytest.importorskip("wandb")


@pytest.mark.slow
def test_offline_history_is_written(tmp_path):
    ended = run_mlip(
        "train",
        "data.train=dataset:lips/small_20.extxyz",
        "data.num_train=4",
        "model.r_max=3",
        "model.num_layers=1",
        "model.l_max=0",
        "model.num_features=2",
        "model.radial_mlp_width=4",
        "trainer.max_epochs=2",
        "device=cpu",
        "logger=wandb",
        "run_dir=run",
        cwd=tmp_path,
        WANDB_MODE="offline",
    )
    assert ended.code == 0, ended.stderr
    (history,) = (tmp_path / "run").glob("wandb/offline-run-*/run-*.wandb")
    written = history.read_bytes()
    for name in (b"valid/forces_mse", b"train/loss", b"epoch"):
        assert name in written
    assert (tmp_path / "run" / "metrics.csv").exists()
