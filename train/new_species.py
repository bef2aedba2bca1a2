"""A potential that learns elements it did not know: room for them in its weights and per-species numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from mlip.data.statistics import Statistics
from mlip.deploy.potential import Potential
from mlip.models.normalization import Normalization
from mlip.nn.short_range import cutoffs_below_data

SCALES_AND_SHIFTS = "model.scale_shift."

Table = tuple[tuple[float, ...], ...]


def with_species(potential: Potential, species: tuple[str, ...], statistics: Statistics) -> Potential:
    """The potential among more species; on structures of its own species it predicts what it did.

    Weights of the new species are fresh, drawn from torch's random numbers. Neighbours and scales of the new
    species come from the data, unless all old species share one number, which they then share, too.

    Args:
        potential: Knows a part of `species`.
        species: All species, sorted by atomic number.
        statistics: Of data with all of `species`.
    """
    if species == potential.species:
        return potential
    old, places = potential.normalization, [species.index(symbol) for symbol in potential.species]
    edge_cutoffs = _keep(potential.config.edge_cutoffs(species), old.edge_cutoffs, places)
    normalization = Normalization(
        avg_num_neighbors=_more(old.avg_num_neighbors, statistics.num_neighbors_by_species, places),
        energy_scales=_more(old.energy_scales, statistics.forces_rms_by_species, places),
        energy_shifts=_more(old.energy_shifts, dict.fromkeys(species, 0.0), places),  # fitted afterwards
        edge_cutoffs=edge_cutoffs,
    )
    pair_cutoffs = potential.pair_cutoffs
    if pair_cutoffs is not None:
        from_data = cutoffs_below_data(species, statistics.shortest_distances, edge_cutoffs)
        pair_cutoffs = _keep(from_data, pair_cutoffs, places)
    larger = replace(potential, species=species, normalization=normalization, pair_cutoffs=pair_cutoffs)
    fresh = larger.untrained_force_field().state_dict()
    weights = {name: insert(potential.weights[name], fresh[name], places, len(species)) for name in fresh}
    return replace(larger, weights=weights)


def fresh_tensors(old: Mapping[str, Tensor], new: Mapping[str, Tensor]) -> list[str]:
    """Names of the weights in which new species have random rows; scales and shifts come from the data."""
    return [
        name for name in new if new[name].shape != old[name].shape and not name.startswith(SCALES_AND_SHIFTS)
    ]


def insert(old: Tensor, fresh: Tensor, places: Sequence[int], num_species: int) -> Tensor:
    """Write a per-species weight into that of more species, at the places of the old ones.

    Dimensions that differ run over the species, or over all pairs of them, centre-major.

    Args:
        old: Of T species.
        fresh: Of `num_species`; keeps its values for the new ones.
        places: (T,) where the old species are among all.
        num_species: All of them.
    """
    pairs = [centre * num_species + neighbor for centre in places for neighbor in places]
    rows = [
        list(range(size)) if size == larger else list(places) if larger == num_species else pairs
        for size, larger in zip(old.shape, fresh.shape, strict=True)
    ]
    merged = fresh.to(old.dtype).clone()
    merged[torch.meshgrid(*map(torch.tensor, rows), indexing="ij")] = old
    return merged


def _more(old: Sequence[float], of_data: Mapping[str, float], places: Sequence[int]) -> tuple[float, ...]:
    """Numbers of all species: the old ones kept, new ones from the data or what all old ones share."""
    new = [old[0]] * len(of_data) if len(set(old)) == 1 else list(of_data.values())
    for place, value in zip(places, old, strict=True):
        new[place] = value
    return tuple(new)


def _keep(new: Table, old: Table, places: Sequence[int]) -> Table:
    """The new table with the old pairs as they were."""
    rows = [list(row) for row in new]
    for i, row in zip(places, old, strict=True):
        for j, value in zip(places, row, strict=True):
            rows[i][j] = value
    return tuple(tuple(row) for row in rows)
