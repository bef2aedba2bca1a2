"""Energies of isolated atoms at a new level of theory: what labels say beyond a potential's predictions."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from itertools import compress

import numpy as np
import torch
from numpy.typing import NDArray

from mlip.data.dataset import GraphDataset
from mlip.data.isolated import find_isolated_energies
from mlip.deploy.potential import Potential
from train.evaluate import evaluate_frames
from train.metrics import whole_frames

logger = logging.getLogger(__name__)

SHIFTS = "model.scale_shift.shifts"


def refit_shifts(
    potential: Potential,
    dataset: GraphDataset,
    free: NDArray[np.bool_],
    batch_size: int,
    device: torch.device,
) -> Potential:
    """Move the energy shifts of a potential so that its energies fit new labels, and log by how much.

    The changes are found as isolated-atom energies are from scratch, of (label - prediction) instead of
    labels: exact for species with frames of a lone atom, least squares over the compositions for the others,
    and where these leave a choice as close to equal as possible. Species without a frame keep their shifts.

    Args:
        potential: With weights.
        dataset: Frames with new labels, of the potential's species.
        free: (T,) which species may move.
        batch_size: Structures per pass.
        device: Where to compute.
    """
    counts, missing, lone = _unexplained(potential, dataset, batch_size, device)
    movable = free & (counts.sum(axis=0) > 0)
    if not movable.any():
        return potential
    names = tuple(compress(potential.species, movable))
    counts = counts[:, movable]
    found = find_isolated_energies(counts, missing, lone & counts.any(axis=1), names)
    changes = np.zeros(len(potential.species))
    changes[movable] = found.energies
    old = potential.weights[SHIFTS].to(torch.float64)
    new = old + torch.from_numpy(changes)
    _log_table(potential.species, old.tolist(), new.tolist(), found.source)
    normalization = replace(potential.normalization, energy_shifts=tuple(new.tolist()))
    return replace(potential, normalization=normalization, weights={**potential.weights, SHIFTS: new})


def _unexplained(
    potential: Potential, dataset: GraphDataset, batch_size: int, device: torch.device
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Per frame: atoms of each species, label - prediction in eV, and whether it is a lone atom."""
    results = whole_frames(evaluate_frames(potential.force_field(device), dataset, batch_size, device))
    counts = [[frame.symbols.count(symbol) for symbol in potential.species] for frame in results]
    missing = [(frame.energy[0] - frame.energy[1]) * len(frame.symbols) for frame in results]
    graphs = [dataset[index] for index in range(len(dataset))]
    graphs = [graph for graph in graphs if bool(graph.energy.isfinite())]
    lone = [len(graph.positions) == 1 and graph.edge_index.shape[1] == 0 for graph in graphs]
    return np.array(counts, dtype=np.float64), np.array(missing), np.array(lone)


def _log_table(species: Sequence[str], old: Sequence[float], new: Sequence[float], source: str) -> None:
    lines = [f"{'':<4} {'old (eV)':>14} {'new (eV)':>14} {'change':>12}"]
    lines += [f"{s:<4} {a:14.4f} {b:14.4f} {b - a:12.4f}" for s, a, b in zip(species, old, new, strict=True)]
    logger.info("energy shifts refitted to the new data (%s)\n%s", source, "\n".join(lines))
