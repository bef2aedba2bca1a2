"""Pair potentials by name, and where they end: below the shortest distances of the training data."""

import math
from collections.abc import Mapping, Sequence

import torch
from ase.data import atomic_numbers, covalent_radii

from mlip.nn.pair_potential import PairPotential
from mlip.nn.repulsion import Repulsion
from mlip.nn.zbl import ZBL

PAIR_POTENTIALS: dict[str, type[PairPotential]] = {"zbl": ZBL, "repulsion": Repulsion}

# A pair potential ends this much below the data, in A: rounding must not put an edge of the data inside.
MARGIN = 1e-3


def build_pair_potential(
    name: str, species: Sequence[str], cutoffs: Sequence[Sequence[float]]
) -> PairPotential:
    """A pair potential of `PAIR_POTENTIALS`.

    Args:
        name: Its name.
        species: (T,) chemical symbols.
        cutoffs: (T, T) where it ends, A: centre, neighbour.
    """
    numbers = [atomic_numbers[symbol] for symbol in species]
    return PAIR_POTENTIALS[name](numbers, torch.tensor(cutoffs, dtype=torch.float64))


def cutoffs_below_data(
    species: Sequence[str],
    shortest_distances: Mapping[str, float],
    edge_cutoffs: Sequence[Sequence[float]],
) -> tuple[tuple[float, ...], ...]:
    """Cutoffs just below the shortest distance of each pair in the training data: there, nothing changes.

    A pair that the data never show within the model's cutoffs gets the sum of its covalent radii.

    Args:
        species: (T,) chemical symbols.
        shortest_distances: "A-B" -> A, as in `Statistics`.
        edge_cutoffs: (T, T) cutoffs of the model, centre and neighbour, A.

    Returns:
        (T, T) symmetric, A.

    Source: Cordero et al. 2008, 10.1039/b801115j, for the covalent radii (those of ASE).
    """

    def cutoff(a: int, b: int) -> float:
        pair = species[a], species[b]
        seen = min(shortest_distances.get("-".join(names), math.inf) for names in (pair, pair[::-1]))
        bond = sum(float(covalent_radii[atomic_numbers[symbol]]) for symbol in pair)
        return min(seen - MARGIN if math.isfinite(seen) else bond, edge_cutoffs[a][b], edge_cutoffs[b][a])

    types = range(len(species))
    return tuple(tuple(cutoff(a, b) for b in types) for a in types)
