"""Rattled structures: every atom displaced at random from where it was."""

from collections.abc import Iterator

import numpy as np
from ase import Atoms

from mlip.errors import ConfigError


def build_rattled(
    parent: Atoms, *, deviation_A: float = 0.1, count: int = 10, seed: int = 0
) -> Iterator[Atoms]:
    """Displace each coordinate of each atom by a normal deviate.

    Args:
        parent: The structure.
        deviation_A: Standard deviation of each Cartesian coordinate, A.
        count: How many structures.
        seed: Of the deviates.

    Yields:
        Structures of config_type `rattled`; the mean displacement is zero.

    Raises:
        ConfigError: A number is not above zero.
    """
    if deviation_A <= 0 or count < 1:
        raise ConfigError(
            f"found builder.deviation_A={deviation_A}, builder.count={count}; expected both above zero"
        )
    random = np.random.default_rng(seed)
    for _ in range(count):
        displacements = random.normal(scale=deviation_A, size=(len(parent), 3))
        atoms = parent.copy()
        atoms.positions += displacements - displacements.mean(axis=0)
        atoms.info["config_type"] = "rattled"
        yield atoms
