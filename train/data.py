"""From data files to batches: read, preflight, split, statistics, graphs."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler

from mlip.data.dataset import GraphDataset, species_of
from mlip.data.graph import LabelledGraph, collate
from mlip.data.labels import FORCE_MASK
from mlip.data.preflight import run_preflight
from mlip.data.read import read_frames
from mlip.data.splits import split_frames
from mlip.data.statistics import Statistics, compute_statistics
from mlip.errors import ConfigError, DataError
from mlip.inputs import as_names
from mlip.models.config import ModelConfig
from train.replay import ReplayedFrames

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DataConfig:
    """Which frames train, validate and test.

    Attributes:
        train: A file or a list of files.
        valid: Validation files; null splits them off the training frames.
        test: Files the final errors are computed on; null uses the validation frames.
        valid_fraction: Share split off when `valid` is null; near-duplicates stay on one side.
        num_train: Use only this many training frames, chosen by the seed; null uses all.
        batch_size: Structures per batch.

    Raises:
        ConfigError: A number is out of its range.
    """

    train: str | list[str]
    valid: str | list[str] | None = None
    test: str | list[str] | None = None
    valid_fraction: float = 0.1
    num_train: int | None = None
    batch_size: int = 5

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigError(f"found data.batch_size={self.batch_size}; expected 1 or more")
        if not 0.0 < self.valid_fraction < 1.0:
            raise ConfigError(f"found data.valid_fraction={self.valid_fraction}; expected between 0 and 1")
        if self.num_train is not None and self.num_train < 1:
            raise ConfigError(f"found data.num_train={self.num_train}; expected 1 or more, or null")


@dataclass(frozen=True)
class TrainingData:
    """Graphs of the frames, what was learned from the training part of them, and old frames to mix in."""

    train: GraphDataset
    valid: GraphDataset
    test: GraphDataset
    statistics: Statistics
    replay: ReplayedFrames | None = None


def load_training_data(
    config: DataConfig, architecture: ModelConfig, seed: int, cache: Path, known: Sequence[str] = ()
) -> TrainingData:
    """Read, check and split the frames, build their graphs and compute the statistics.

    Args:
        config: Which files.
        architecture: Its cutoffs decide who is a neighbour.
        seed: Of the split and of `num_train`.
        cache: Folder in which statistics are kept.
        known: Species of the potential besides those of the training frames.

    Raises:
        DataError: The frames would train garbage, or those held out have no energies.
        ConfigError: More training frames are asked for than there are.
    """
    train = read_frames(as_names(config.train))
    valid = read_frames(as_names(config.valid)) if config.valid else []
    test = read_frames(as_names(config.test)) if config.test else []
    preflight = run_preflight([*train, *valid, *test])
    logger.info("%s", preflight)
    preflight.raise_on_errors()
    if not valid:
        split = split_frames(train, fraction=config.valid_fraction, seed=seed)
        train, valid = [train[i] for i in split.train_indices], [train[i] for i in split.valid_indices]
    for purpose, held_out in (("validate", valid), ("test", test)):
        _require_energies(held_out, purpose)
    train = _choose(train, config.num_train, seed)
    logger.info("%d frames train, %d validate, %d test", len(train), len(valid), len(test))
    species = tuple(sorted({*species_of(train), *known}, key=atomic_numbers.__getitem__))
    neighborhood = (architecture.r_max, species, architecture.edge_cutoffs(species))
    train_set = GraphDataset(train, *neighborhood)
    valid_set = GraphDataset(valid, *neighborhood)
    test_set = GraphDataset(test, *neighborhood) if test else valid_set
    return TrainingData(train_set, valid_set, test_set, compute_statistics(train_set, cache))


def training_loader(dataset: GraphDataset, batch_size: int, seed: int) -> DataLoader[LabelledGraph]:
    """Batches in an order that depends on seed and epoch alone, so that a resumed run repeats it."""
    sampler: DistributedSampler[LabelledGraph] = DistributedSampler(
        dataset, num_replicas=1, rank=0, shuffle=True, seed=seed
    )
    return DataLoader(dataset, batch_size=batch_size, sampler=sampler, collate_fn=collate)


def evaluation_loader(dataset: GraphDataset, batch_size: int) -> DataLoader[LabelledGraph]:
    """Batches in the order of the frames."""
    return DataLoader(dataset, batch_size=batch_size, shuffle=False, collate_fn=collate)


def _require_energies(held_out: Sequence[Atoms], purpose: str) -> None:
    """Refuse held-out frames that are all pieces of larger ones: no error of the energy could be told.

    Raises:
        DataError: There are held-out frames, and each has a force mask.
    """
    if held_out and all(FORCE_MASK in atoms.arrays for atoms in held_out):
        raise DataError(
            f"found a {FORCE_MASK} on each of the {len(held_out)} frames that {purpose}; expected frames "
            "without one among them, whose energies can be compared: add some"
        )


def _choose(frames: list[Atoms], number: int | None, seed: int) -> list[Atoms]:
    if number is None:
        return frames
    if number > len(frames):
        raise ConfigError(
            f"found data.num_train={number}; the training frames are {len(frames)} after the split"
        )
    chosen = np.random.default_rng(seed).permutation(len(frames))[:number]
    return [frames[i] for i in sorted(chosen)]
