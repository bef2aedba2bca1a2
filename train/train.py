"""The verb `mlip train`: from labelled frames to `potential.mlip`."""

import json
import logging
import sys
from dataclasses import asdict, dataclass
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import EarlyStopping, EMAWeightAveraging, ModelCheckpoint, TQDMProgressBar
from omegaconf import DictConfig

from mlip.app import application, build_from_config
from mlip.deploy.calculator import select_device
from mlip.deploy.potential import DTYPES, Potential
from mlip.errors import ConfigError
from mlip.models.build import build_force_field, config_to_dict
from mlip.models.nequip import NequIPConfig
from mlip.nn.derivatives import ForceField
from mlip.runs import Run
from train.callbacks import MetricsTable
from train.data import DataConfig, TrainingData, evaluation_loader, load_training_data, training_loader
from train.evaluate import evaluate_frames
from train.losses import LossWeights
from train.metrics import compute_errors
from train.module import Adam, ForceFieldModule
from train.plots import read_metrics, save_learning_curves, save_parity
from train.report import log_errors, write_card, write_training_report

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainerConfig:
    """How long training goes on.

    Attributes:
        max_epochs: Epochs; the learning rate reaches zero at their end.
        max_time: DD:HH:MM:SS after which training stops even so; null has no limit.
        patience: Stop after so many epochs without a better validation loss; null never does.
        gradient_clip: Largest norm of the gradient; null does not clip.
        ema_decay: Decay per step of the averaged weights that are validated and kept.

    Raises:
        ConfigError: A number is out of its range.
    """

    max_epochs: int = 200
    max_time: str | None = None
    patience: int | None = 50
    gradient_clip: float | None = 10.0
    ema_decay: float = 0.99

    def __post_init__(self) -> None:
        if self.max_epochs < 1:
            raise ConfigError(f"found trainer.max_epochs={self.max_epochs}; expected 1 or more")
        if not 0.0 <= self.ema_decay < 1.0:
            raise ConfigError(f"found trainer.ema_decay={self.ema_decay}; expected at least 0 and below 1")


def run_train(config: DictConfig, run: Run) -> None:
    """Train as configured in `conf/train.yaml`."""
    if config.dtype not in DTYPES:
        raise ConfigError(f"found dtype={config.dtype}; expected {' or '.join(DTYPES)}")
    device = select_device(config.device)
    seed_everything(config.seed, verbose=False)
    architecture: NequIPConfig = build_from_config(config.model)
    data_config = DataConfig(**config.data)
    data = load_training_data(data_config, architecture.r_max, config.seed, run.path / "cache")
    force_field = _fresh_force_field(architecture, data, config.dtype)
    logger.info("%d parameters", sum(p.numel() for p in force_field.parameters()))
    _fit(config, run, force_field, data, data_config, device)
    _finish(config, run, architecture, force_field, data, data_config, device)


def _fresh_force_field(architecture: NequIPConfig, data: TrainingData, dtype: str) -> ForceField:
    statistics = data.statistics
    return build_force_field(
        architecture,
        len(statistics.species),
        statistics.avg_num_neighbors,
        [statistics.forces_rms] * len(statistics.species),
        statistics.isolated_energies,
        DTYPES[dtype],
    )


def _fit(
    config: DictConfig,
    run: Run,
    force_field: ForceField,
    data: TrainingData,
    data_config: DataConfig,
    device: torch.device,
) -> None:
    """Train in place; afterwards `force_field` holds the averaged weights of the best epoch."""
    settings: TrainerConfig = build_from_config(config.trainer)
    optimizer: Adam = build_from_config(config.optimizer)
    train_loader = training_loader(data.train, data_config.batch_size, config.seed)
    valid_loader = evaluation_loader(data.valid, data_config.batch_size)
    module = ForceFieldModule(force_field, LossWeights(**config.loss), optimizer, len(train_loader))
    checkpoints = ModelCheckpoint(
        run.path / "checkpoints",
        filename="best",
        monitor="valid/loss",
        save_last=True,
        enable_version_counter=False,
    )
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).handlers.clear()  # Lightning's notes go to log.txt, not to the terminal
        logging.getLogger(name).propagate = True
    callbacks: list[Callback] = [
        checkpoints,
        EMAWeightAveraging(decay=settings.ema_decay, use_buffers=False),
        MetricsTable(run.path / "metrics.csv"),
    ]
    if sys.stderr.isatty():
        callbacks.append(TQDMProgressBar(refresh_rate=5))
    if settings.patience is not None:
        callbacks.append(EarlyStopping("valid/loss", patience=settings.patience))
    trainer = Trainer(
        default_root_dir=run.path,
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=[device.index or 0] if device.type == "cuda" else 1,
        max_epochs=settings.max_epochs,
        max_time=settings.max_time,
        gradient_clip_val=settings.gradient_clip,
        callbacks=callbacks,
        logger=build_from_config(config.logger) if config.logger else False,
        enable_model_summary=False,
        enable_progress_bar=sys.stderr.isatty(),
        inference_mode=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
    )
    last = run.path / "checkpoints" / "last.ckpt"
    trainer.fit(module, train_loader, valid_loader, ckpt_path=last if last.exists() else None)
    best = torch.load(run.path / "checkpoints" / "best.ckpt", weights_only=True, map_location="cpu")
    module.load_state_dict(best["state_dict"])


def _finish(
    config: DictConfig,
    run: Run,
    architecture: NequIPConfig,
    force_field: ForceField,
    data: TrainingData,
    data_config: DataConfig,
    device: torch.device,
) -> None:
    """Errors, card, potential and report."""
    statistics = data.statistics
    force_field = force_field.to(device).eval().requires_grad_(False)
    results = evaluate_frames(force_field, data.test, data_config.batch_size, device)
    errors = compute_errors(results)
    trained_on_stress = "stress" in errors and config.loss.stress > 0.0
    settings = _settings(config, architecture, data)
    potential = Potential(
        config=architecture,
        species=statistics.species,
        dtype=config.dtype,
        avg_num_neighbors=statistics.avg_num_neighbors,
        energy_scales=tuple([statistics.forces_rms] * len(statistics.species)),
        energy_shifts=statistics.isolated_energies,
        weights=force_field.state_dict(),
        reference_structure=data.train.frames[0],
        trained_on_stress=trained_on_stress,
        data={"hash": statistics.data_hash, "num_train": len(data.train), "num_valid": len(data.valid)},
        statistics=statistics.to_dict(),
        errors=errors,
        card=write_card(settings, statistics.to_dict(), errors, trained_on_stress),
    )
    potential.save(run.path / "potential.mlip")
    (run.path / "errors.json").write_text(json.dumps(errors, indent=2))
    curves = save_learning_curves(read_metrics(run.path / "metrics.csv"), run.path)
    write_training_report(run.path / "report.html", settings, errors, curves, save_parity(results, run.path))
    log_errors(errors)
    logger.info("wrote %s and report.html", run.path / "potential.mlip")


def _settings(config: DictConfig, architecture: NequIPConfig, data: TrainingData) -> dict[str, Any]:
    """What the card and the report say of how the potential was made."""
    return {
        "species": " ".join(data.statistics.species),
        "training files": config.data.train,
        "frames": f"{len(data.train)} train, {len(data.valid)} valid",
        **config_to_dict(architecture),
        "dtype": config.dtype,
        "loss weights": ", ".join(f"{k} {v:g}" for k, v in asdict(LossWeights(**config.loss)).items()),
        "seed": config.seed,
    }


main = application(
    "train",
    run_train,
    inputs=("data.train", "data.valid", "data.test"),
    mutable=(
        "trainer.max_epochs",
        "trainer.max_time",
        "trainer.patience",
        "optimizer.lr",
        "logger",
        "device",
    ),
)
