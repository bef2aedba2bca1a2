"""Fine-tuning: training that starts from a potential instead of from random weights."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import torch
from hydra.core.hydra_config import HydraConfig
from torch import nn

from mlip.data.dataset import GraphDataset
from mlip.data.preflight import run_preflight
from mlip.data.read import read_frames
from mlip.deploy.potential import Potential
from mlip.errors import ConfigError
from mlip.inputs import as_names
from mlip.models.config import ModelConfig
from train.adapters import add_adapters
from train.data import TrainingData
from train.evaluate import evaluate_frames
from train.metrics import compute_errors
from train.new_species import fresh_tensors, with_species
from train.replay import ReplayedFrames
from train.shifts import SHIFTS, refit_shifts

logger = logging.getLogger(__name__)

# What fine-tuning begins well with (docs/finetuning.md).
LEARNING_RATE = 0.005

# Two levels of theory differ by more than this per atom (eV), a usable potential errs by less.
STRANGE_ENERGY = 0.1
FRAMES_CHECKED = 32


@dataclass(frozen=True)
class FinetuneConfig:
    """What of a given potential is trained, and what it must keep.

    Attributes:
        freeze: Parameters that keep their values: names, or patterns with `*`.
        lora_rank: Train changes of this rank of the weight matrices, and nothing else; null trains all.
        refit_shifts: Move the energy shifts of the potential's species to the level of the new data.
        replay: Files of frames the potential was trained on before, to be mixed in; energies at its level.
        replay_weight: Share of the frames of each epoch that is replayed.

    Raises:
        ConfigError: A number is out of its range.
    """

    freeze: list[str] = field(default_factory=list)
    lora_rank: int | None = None
    refit_shifts: bool = True
    replay: str | list[str] | None = None
    replay_weight: float = 0.5

    def __post_init__(self) -> None:
        if self.lora_rank is not None and self.lora_rank < 1:
            raise ConfigError(f"found finetune.lora_rank={self.lora_rank}; expected 1 or more, or null")
        if not 0.0 < self.replay_weight < 1.0:
            raise ConfigError(f"found finetune.replay_weight={self.replay_weight}; expected between 0 and 1")


def require_same_architecture(init: ModelConfig, asked: Mapping[str, Any]) -> None:
    """Refuse settings of `model` on the command line that the given potential contradicts.

    Args:
        init: Architecture of the potential.
        asked: The `model` group of the config; its defaults do not count.

    Raises:
        ConfigError: A setting differs.
    """
    has = {"_target_": f"{type(init).__module__}.{type(init).__qualname__}", **asdict(init)}
    overrides = HydraConfig.get().overrides.task
    given = {".".join(word.split("=")[0].lstrip("+~").split(".")[:2]) for word in overrides}
    for key, value in asked.items():
        if has.get(key) != value and ("model" in given or f"model.{key}" in given):
            raise ConfigError(
                f"found model.{key}={value}; the potential of init has {has.get(key)} and keeps its "
                "architecture: leave model out"
            )
    logger.info("architecture of the potential of init; the settings of model are not used")


def advise_learning_rate(lr: float) -> None:
    """Say so when fine-tuning runs at the learning rate that is made for random weights."""
    given = [override.split("=")[0] for override in HydraConfig.get().overrides.task]
    if not any(key.startswith("optimizer") for key in given):
        logger.warning(
            "optimizer.lr=%g is made for random weights; fine-tuning mostly does better at optimizer.lr=%g",
            lr,
            LEARNING_RATE,
        )


def start_from(
    init: Potential, config: FinetuneConfig, data: TrainingData, batch_size: int, device: torch.device
) -> tuple[Potential, TrainingData]:
    """What fine-tuning starts from.

    Args:
        init: The given potential.
        config: What to train, and what to keep.
        data: New frames, of the potential's species and new ones.
        batch_size: Structures per pass.
        device: Where to compute.

    Returns:
        The potential with new species and refitted shifts, its `errors` those on the test frames; and the
        data with the replayed frames.

    Raises:
        DataError: The replayed frames would train garbage.
    """
    species = data.train.species
    known = [symbol in init.species for symbol in species]
    if not all(known):
        logger.info("new species: %s", ", ".join(s for s, old in zip(species, known, strict=True) if not old))
    larger = with_species(init, species, data.statistics)
    free = ~np.array(known) | config.refit_shifts
    start = refit_shifts(larger, data.train, free, batch_size, device)
    statistics = replace(
        data.statistics,
        isolated_energies=start.normalization.energy_shifts,
        isolated_energies_from="the potential that was fine-tuned, refitted to the data",
    )
    changes = (start.weights[SHIFTS] - larger.weights[SHIFTS]).tolist()
    replay = _read_replay(config, data.train, changes) if config.replay else None
    if replay is not None:
        _check_level(larger, replay.dataset, batch_size, device)
    results = evaluate_frames(start.force_field(device), data.test, batch_size, device)
    start = replace(
        start, config=_with_numbers_of(start), errors=compute_errors(results), card="", uncertainty=None
    )
    return start, replace(data, statistics=statistics, replay=replay)


def _with_numbers_of(start: Potential) -> ModelConfig:
    """Its architecture; numbers that were given for each species are those of all its species now."""
    numbers = start.normalization
    now: dict[str, tuple[float, ...]] = {
        "avg_num_neighbors": numbers.avg_num_neighbors,
        "per_type_energy_scales": numbers.energy_scales,
        "per_type_energy_shifts": numbers.energy_shifts,
    }
    given: dict[str, Any] = {
        name: dict(zip(start.species, values, strict=True))
        for name, values in now.items()
        if isinstance(getattr(start.config, name), Mapping)
    }
    return replace(start.config, **given)


def _read_replay(config: FinetuneConfig, new: GraphDataset, changes: Sequence[float]) -> ReplayedFrames:
    """The old frames; what the shifts moved by moves their energies, too."""
    frames = read_frames(as_names(config.replay))
    preflight = run_preflight(frames)
    logger.info("%s", preflight)
    preflight.raise_on_errors()
    dataset = GraphDataset(frames, new.r_max, new.species, new.edge_cutoffs)
    logger.info(
        "%d replayed frames, %g of each epoch; their energies move with the shifts",
        len(frames),
        config.replay_weight,
    )
    return ReplayedFrames(dataset, changes, config.replay_weight)


def _check_level(init: Potential, old: GraphDataset, batch_size: int, device: torch.device) -> None:
    """Warn where energies to be replayed are not those that the potential was trained on."""
    frames = old.frames[:: max(1, len(old) // FRAMES_CHECKED)]
    some = GraphDataset(frames, old.r_max, old.species, old.edge_cutoffs)
    results = evaluate_frames(init.force_field(device), some, batch_size, device)
    error = compute_errors(results)["energy"]["mae"]
    if error > STRANGE_ENERGY:
        logger.warning(
            "Energies of the replayed frames are %.2g eV/atom from those of the potential: they are not of "
            "the level of theory it was trained on, and will spoil its energies; replay its own data, or "
            "frames labelled by it (mlip eval writes predictions.extxyz).",
            error,
        )


def choose_trained(model: nn.Module, init: Potential, start: Potential, config: FinetuneConfig) -> None:
    """Let only those parameters take gradients that are to be trained; add adapters where they are wanted.

    Args:
        model: The network inside the force field of `start`, changed in place.
        init: The given potential.
        start: What training starts from.
        config: What to train.

    Raises:
        ConfigError: A pattern fits no parameter, nothing is left to train, or new species would stay random.
    """
    parameters = dict(model.named_parameters())
    frozen = {name for pattern in config.freeze for name in _matching(pattern, list(parameters))}
    fresh = {name.removeprefix("model.") for name in fresh_tensors(init.weights, start.weights)}
    if frozen & fresh:
        raise ConfigError(
            f"found {sorted(frozen & fresh)[0]} in finetune.freeze while it holds random numbers of new "
            "species; expected it to be trained: take it out of finetune.freeze"
        )
    for name in frozen:
        parameters[name].requires_grad_(False)
    if config.lora_rank is not None:
        add_adapters(model, config.lora_rank)
        for name in fresh:
            parameters[name].requires_grad_(True)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    if trained == 0:
        raise ConfigError(
            f"found finetune.freeze={config.freeze}, which leaves nothing to train: freeze less"
        )
    logger.info("%d of %d numbers are trained", trained, sum(p.numel() for p in parameters.values()))


def _matching(pattern: str, names: Sequence[str]) -> list[str]:
    found = [name for name in names if fnmatchcase(name, pattern)]
    if not found:
        raise ConfigError(f"found finetune.freeze of {pattern}; expected patterns of {', '.join(names)}")
    return found


def describe(init_file: str, config: FinetuneConfig, data: TrainingData) -> dict[str, str]:
    """What the card and the report say of fine-tuning."""
    trained = "all weights" if config.lora_rank is None else f"changes of rank {config.lora_rank}"
    old = 0 if data.replay is None else len(data.replay)
    return {
        "fine-tuned from": init_file,
        "trained": f"{trained} but {', '.join(config.freeze)}" if config.freeze else trained,
        "replayed": f"{config.replay_weight:g} of each epoch, from {old} old frames" if old else "nothing",
    }
