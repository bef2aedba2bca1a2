"""Curves of pairs: two atoms alone in a box, from where they overlap to where they part."""

from collections.abc import Iterator, Sequence
from itertools import combinations_with_replacement

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from mlip.errors import ConfigError


def build_pairs(
    *,
    species: Sequence[str],
    distances_A: Sequence[float] = (0.5, 6.0),
    step_A: float = 0.1,
    box_A: float = 20.0,
) -> Iterator[Atoms]:
    """Make dimers of every pair of species, each with itself among them.

    What a potential says of them at distances that no simulation should reach shows whether it repels.

    Args:
        species: Chemical symbols.
        distances_A: The shortest and the longest distance, A.
        step_A: From one distance to the next, A.
        box_A: Edge of the periodic cube around a dimer, A.

    Yields:
        Structures of config_type `pair`; `pair` says which, such as `Li-O`, and `distance_A` how far apart.

    Raises:
        ConfigError: A species is none, or distances make no sense or do not fit into the box.
    """
    unknown = [symbol for symbol in species if symbol not in atomic_numbers]
    if unknown or not species:
        raise ConfigError(f"found builder.species={list(species)}; expected symbols, such as [Li,P,O,N]")
    if len(distances_A) != 2 or not 0 < distances_A[0] <= distances_A[1] or step_A <= 0:
        raise ConfigError(
            f"found builder.distances_A={list(distances_A)}, builder.step_A={step_A}; expected [from, to] "
            "and a step above zero"
        )
    if box_A < 2 * distances_A[1]:
        raise ConfigError(
            f"found builder.box_A={box_A} for distances to {distances_A[1]} A; expected at least twice that, "
            "or images would be closer than the pair"
        )
    distances = np.arange(distances_A[0], distances_A[1] + step_A / 2, step_A)
    ordered = sorted(set(species), key=atomic_numbers.__getitem__)
    for first, second in combinations_with_replacement(ordered, 2):
        for distance in distances:
            atoms = Atoms([first, second], cell=[box_A] * 3, pbc=True)
            atoms.positions = box_A / 2
            atoms.positions[:, 0] += [-distance / 2, distance / 2]
            atoms.info = {
                "config_type": "pair",
                "pair": f"{first}-{second}",
                "distance_A": round(float(distance), 6),
            }
            yield atoms
