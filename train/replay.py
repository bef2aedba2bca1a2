"""Replay: frames that a potential was trained on before, mixed into its fine-tuning so that it keeps them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Sampler

from mlip.data.dataset import GraphDataset
from mlip.data.graph import LabelledGraph, collate


class ReplayedFrames(Dataset[LabelledGraph]):
    """Old frames with their energies moved to the new level of theory.

    Args:
        dataset: The frames with their own labels.
        shift_changes: (T,) eV, by how much the energy of an atom of each species was moved.
        share: Of the frames of an epoch, the part that is replayed.
    """

    def __init__(self, dataset: GraphDataset, shift_changes: Sequence[float], share: float) -> None:
        self.dataset = dataset
        self.shift_changes = torch.tensor(shift_changes, dtype=torch.float64)
        self.share = share

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> LabelledGraph:
        graph = self.dataset[index]
        return replace(graph, energy=graph.energy + self.shift_changes[graph.species].sum())


class ReplaySampler(Sampler[int]):
    """All new frames once an epoch, and so many old ones that these are a given share of it.

    Old frames come in turn: none comes a second time before all have come once. The order depends on seed and
    epoch alone.

    Args:
        num_new: New frames, indices from 0.
        num_old: Old frames, indices after those of the new ones.
        share: Of the frames of an epoch, the part that is old.
        seed: Of the order.
    """

    def __init__(self, num_new: int, num_old: int, share: float, seed: int) -> None:
        self.num_new, self.num_old, self.seed = num_new, num_old, seed
        self.num_replayed = max(1, round(num_new * share / (1.0 - share)))
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next (Lightning calls this)."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.num_new + self.num_replayed

    def __iter__(self) -> Iterator[int]:
        chosen = np.concatenate([np.arange(self.num_new), self.num_new + self._replayed()])
        generator = np.random.default_rng((self.seed, 1, self.epoch))
        return iter(generator.permutation(chosen).tolist())

    def _replayed(self) -> np.ndarray:
        """This epoch's part of endless rounds through the old frames, each round in an order of its own."""
        first = self.epoch * self.num_replayed
        rounds = range(first // self.num_old, (first + self.num_replayed - 1) // self.num_old + 1)
        order = [np.random.default_rng((self.seed, 0, turn)).permutation(self.num_old) for turn in rounds]
        start = first - rounds.start * self.num_old
        return np.concatenate(order)[start : start + self.num_replayed]


def replay_loader(
    new: GraphDataset, old: ReplayedFrames, batch_size: int, seed: int
) -> DataLoader[LabelledGraph]:
    """Batches of new and old frames, in an order that depends on seed and epoch alone."""
    frames: Dataset[Any] = ConcatDataset([new, old])
    sampler = ReplaySampler(len(new), len(old), old.share, seed)
    return DataLoader(frames, batch_size=batch_size, sampler=sampler, collate_fn=collate)
