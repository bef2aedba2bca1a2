"""The verb `mlip train`: from labelled frames to `potential.mlip`."""

import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint, Timer, TQDMProgressBar
from omegaconf import DictConfig

from mlip.app import application
from mlip.deploy.potential import Potential
from mlip.errors import ConfigError
from mlip.inputs import as_names
from mlip.models.build import config_to_dict
from mlip.models.normalization import resolve_normalization
from mlip.nn.derivatives import ForceField
from mlip.nn.kernels.choose import use_kernel
from mlip.nn.short_range import cutoffs_below_data
from mlip.runs import Run
from train.adapters import merge_adapters
from train.callbacks import MetricsTable, Patience
from train.data import TrainingData, evaluation_loader, load_training_data, training_loader
from train.evaluate import evaluate_frames
from train.finetune import advise_learning_rate, choose_trained, describe, start_from
from train.judge import judge
from train.metrics import FrameErrors, compute_errors, whole_frames
from train.module import ForceFieldModule
from train.plots import read_metrics, save_learning_curves, save_parity
from train.replay import replay_loader
from train.report import describe_gain, log_errors, log_pair_cutoffs, write_card, write_training_report
from train.settings import Settings
from train.uncertainty import DescriptorBatches, FittedUncertainty, fit_uncertainty
from train.uncertainty_report import uncertainty_section

logger = logging.getLogger(__name__)


def run_train(config: DictConfig, run: Run) -> None:
    """Train as configured in `conf/train.yaml`."""
    settings = Settings.from_config(config)
    seed_everything(settings.seed, verbose=False)
    init = settings.init
    known = () if init is None else init.species
    data = load_training_data(settings.data, settings.architecture, settings.seed, run.path / "cache", known)
    if init is None:
        untrained = _untrained_potential(settings, data)
        force_field = untrained.untrained_force_field()
        logger.info("%d parameters", sum(p.numel() for p in force_field.parameters()))
    else:
        advise_learning_rate(settings.optimizer.lr)
        untrained, data = _given_potential(settings, init, data)
        settings = replace(settings, architecture=untrained.config)
        force_field = untrained.untrained_force_field()
        force_field.load_state_dict(dict(untrained.weights))
        choose_trained(force_field.model, init, untrained, settings.finetune)
    if untrained.pair_cutoffs is not None:
        log_pair_cutoffs(untrained.pair_cutoffs, untrained.statistics)
    force_field = use_kernel(force_field, settings.kernel)
    _fit(settings, run, force_field, data)
    merge_adapters(force_field)
    _finish(settings, run, untrained, force_field, data)


def _given_potential(
    settings: Settings, init: Potential, data: TrainingData
) -> tuple[Potential, TrainingData]:
    """The potential that is fine-tuned, before that; and the data with the frames that are replayed."""
    start, data = start_from(
        init.astype(settings.dtype), settings.finetune, data, settings.data.batch_size, settings.device
    )
    replayed = {} if data.replay is None else {"num_replay": len(data.replay)}
    start = replace(
        start,
        reference_structure=data.train.frames[0],
        trained_on_stress=init.trained_on_stress or _learns_stress(settings, data),
        data={**_counts(data), **replayed, "finetuned_from": dict(init.data)},
        statistics=data.statistics.to_dict(),
    )
    return start, data


def _untrained_potential(settings: Settings, data: TrainingData) -> Potential:
    """All that a potential is before it has weights: architecture, and scales from the training data."""
    architecture, statistics = settings.architecture, data.statistics
    cutoffs = None
    normalization = resolve_normalization(architecture, statistics)
    if architecture.pair_potential is not None:
        cutoffs = cutoffs_below_data(
            statistics.species, statistics.shortest_distances, normalization.edge_cutoffs
        )
    return Potential(
        config=architecture,
        species=statistics.species,
        dtype=settings.dtype,
        normalization=normalization,
        weights={},
        reference_structure=data.train.frames[0],
        trained_on_stress=_learns_stress(settings, data),
        pair_cutoffs=cutoffs,
        data=_counts(data),
        statistics=statistics.to_dict(),
    )


def _learns_stress(settings: Settings, data: TrainingData) -> bool:
    has_stress = any(bool(data.train[index].has_stress) for index in range(len(data.train)))
    return has_stress and settings.loss.stress > 0.0


def _counts(data: TrainingData) -> dict[str, Any]:
    """What identifies the training data."""
    return {
        "hash": data.statistics.data_hash,
        "num_train": len(data.train),
        "num_valid": len(data.valid),
    }


def _fit(settings: Settings, run: Run, force_field: ForceField, data: TrainingData) -> None:
    """Train in place; afterwards `force_field` holds the averaged weights of the best epoch."""
    batch_size, seed = settings.data.batch_size, settings.seed
    if data.replay is None:
        train_loader = training_loader(data.train, batch_size, seed)
    else:
        train_loader = replay_loader(data.train, data.replay, batch_size, seed)
    valid_loader = evaluation_loader(data.valid, batch_size)
    module = ForceFieldModule(force_field, settings.loss, settings.optimizer, len(train_loader))
    trainer = _trainer(settings, run)
    last = run.path / "checkpoints" / "last.ckpt"
    trainer.fit(module, train_loader, valid_loader, ckpt_path=last if last.exists() else None)
    best_file = run.path / "checkpoints" / "best.ckpt"
    if not best_file.exists():
        raise ConfigError(
            f"found trainer.max_time={settings.trainer.max_time} over before any epoch; expected time for one"
        )
    best = torch.load(best_file, weights_only=True, map_location="cpu")
    module.load_state_dict(best["state_dict"])


def _trainer(settings: Settings, run: Run) -> Trainer:
    """Lightning's loop with our checkpoints, averaging, table and stopping rules."""
    limits = settings.trainer
    folder = run.path / "checkpoints"
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).handlers.clear()  # Lightning's notes go to log.txt, not to the terminal
        logging.getLogger(name).propagate = True
    callbacks: list[Callback] = [
        ModelCheckpoint(folder, "best", monitor="valid/loss", enable_version_counter=False),
        ModelCheckpoint(folder, "last", enable_version_counter=False),  # of every epoch, better or not
        settings.optimizer.average(limits.ema_decay),
        MetricsTable(run.path / "metrics.csv"),
    ]
    if sys.stderr.isatty():
        callbacks.append(TQDMProgressBar(refresh_rate=5))
    if limits.max_time is not None:
        callbacks.append(Timer(limits.max_time, interval="epoch"))
    if limits.patience is not None:
        callbacks.append(Patience("valid/loss", patience=limits.patience))
    device = settings.device
    return Trainer(
        default_root_dir=run.path,
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=[device.index or 0] if device.type == "cuda" else 1,
        max_epochs=limits.max_epochs,
        gradient_clip_val=limits.gradient_clip,
        callbacks=callbacks,
        logger=settings.logger,
        enable_model_summary=False,
        enable_progress_bar=sys.stderr.isatty(),
        inference_mode=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
    )


def _finish(
    settings: Settings, run: Run, untrained: Potential, force_field: ForceField, data: TrainingData
) -> None:
    """Errors, grade, card, potential and report."""
    force_field = force_field.to(settings.device).eval().requires_grad_(False)
    results = evaluate_frames(force_field, data.test, settings.data.batch_size, settings.device)
    errors = compute_errors(results)
    said = _what_was_done(settings, data)
    if untrained.errors:
        said["errors before and after"] = describe_gain(untrained.errors, errors)
    trained = replace(untrained, weights=force_field.state_dict(), errors=errors, uncertainty=None)
    trained.save(run.path / "potential.mlip")  # the weights are safe whatever follows
    fitted = _fit_uncertainty(settings, force_field, data, results)
    said["extrapolation grade"] = fitted.thresholds
    card = write_card(said, untrained.statistics, errors, untrained.trained_on_stress, untrained.pair_cutoffs)
    replace(trained, card=card, uncertainty=fitted.uncertainty).save(run.path / "potential.mlip")
    (run.path / "errors.json").write_text(json.dumps(errors, indent=2))
    curves = save_learning_curves(read_metrics(run.path / "metrics.csv"), run.path)
    write_training_report(
        run.path / "report.html",
        said,
        errors,
        curves,
        save_parity(results, run.path),
        untrained.errors,
        uncertainty_section(
            fitted, judge(whole_frames(results), fitted.uncertainty, trained.species), run.path
        ),
    )
    log_errors(errors)
    if untrained.errors:
        logger.info("fine-tuning: %s", said["errors before and after"])
    logger.info("wrote %s and report.html", run.path / "potential.mlip")


def _fit_uncertainty(
    settings: Settings, force_field: ForceField, data: TrainingData, results: Sequence[FrameErrors]
) -> FittedUncertainty:
    """Grade and expected errors, from all frames that trained; calibrated on those that did not."""
    batch_size, device = settings.data.batch_size, settings.device
    trained_on = [data.train] if data.replay is None else [data.train, data.replay.dataset]
    batches = DescriptorBatches(force_field, trained_on, batch_size, device)
    species = data.train.species
    if data.test is data.valid:
        return fit_uncertainty(force_field, batches, species, valid=results, test=[])
    valid = evaluate_frames(force_field, data.valid, batch_size, device)
    return fit_uncertainty(force_field, batches, species, valid, test=results)


def _what_was_done(settings: Settings, data: TrainingData) -> dict[str, Any]:
    """What the card and the report say of how the potential was made."""
    return {
        "species": " ".join(data.statistics.species),
        "training files": ", ".join(as_names(settings.data.train)),
        "frames": f"{len(data.train)} train, {len(data.valid)} valid",
        **({} if settings.init is None else describe(settings.init_file, settings.finetune, data)),
        **config_to_dict(settings.architecture),
        "dtype": settings.dtype,
        "loss": str(settings.loss),
        "optimizer": str(settings.optimizer),
        "seed": settings.seed,
    }


main = application(
    "train",
    run_train,
    inputs=("init", "finetune.replay", "data.train", "data.valid", "data.test"),
    mutable=(
        "trainer.max_epochs",
        "trainer.max_time",
        "trainer.patience",
        "optimizer.lr",
        "logger",
        "device",
        "kernel",
    ),
)
