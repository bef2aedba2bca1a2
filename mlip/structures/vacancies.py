"""Vacancies at random: a share of the atoms of a species taken out of a structure, or of a part of it."""

from collections.abc import Iterator, Sequence

import numpy as np
from ase import Atoms

from mlip.errors import ConfigError, DataError


def build_vacancies(
    parent: Atoms,
    *,
    species: str,
    concentration_percent: float = 0.8,
    z_A: Sequence[float] | None = None,
    charge_per_vacancy: float = 0.0,
    count: int = 1,
    seed: int = 0,
) -> Iterator[Atoms]:
    """Take atoms out at random.

    Args:
        parent: The structure.
        species: Of which atoms.
        concentration_percent: How many of those in the region, rounded to whole atoms, one at least.
        z_A: From and to: height of the region, A, of positions in the cell; null: all of it.
        charge_per_vacancy: Charge that a vacancy leaves, e: -1 where Li+ goes and a labeler adds a uniform
            background, 0 where a neutral atom goes.
        count: How many structures.
        seed: Of the choice.

    Yields:
        Structures of config_type `vacancies`; `vacancies` says how many atoms are gone, and `charge`, unless
        it is zero, the total charge in e. Atoms keep their order.

    Raises:
        ConfigError: A number makes no sense.
        DataError: No such atom is in the region.

    Source: Wang et al. 2022, the paper on Li || Li3P, Li2S and LiCl: 0.8 % in bulk cells, 1.1 % in the region
        of an interface.
    """
    if not 0 < concentration_percent <= 100 or count < 1:
        raise ConfigError(
            f"found builder.concentration_percent={concentration_percent}, builder.count={count}; expected "
            "above 0 up to 100, and one or more"
        )
    there = np.flatnonzero((np.array(parent.get_chemical_symbols()) == species) & _within(parent, z_A))
    if not len(there):
        raise DataError(
            f"found no {species} in {parent.get_chemical_formula()}"
            f"{'' if z_A is None else f' with z in {list(z_A)} A'}; expected some: see builder.species and "
            "builder.z_A"
        )
    number = max(1, round(concentration_percent / 100 * len(there)))
    random = np.random.default_rng(seed)
    for _ in range(count):
        atoms = parent.copy()
        del atoms[random.choice(there, number, replace=False)]
        atoms.info |= {"config_type": "vacancies", "vacancies": number}
        total = number * charge_per_vacancy + atoms.info.pop("charge", 0.0)
        if total:
            atoms.info["charge"] = total
        yield atoms


def _within(atoms: Atoms, z_A: Sequence[float] | None) -> np.ndarray:
    """Which atoms are at these heights, (N,)."""
    if z_A is None:
        return np.ones(len(atoms), dtype=bool)
    if len(z_A) != 2 or not z_A[0] < z_A[1]:
        raise ConfigError(f"found builder.z_A={list(z_A)}; expected [from, to] in A")
    heights = atoms.get_positions(wrap=True)[:, 2]
    return (heights >= z_A[0]) & (heights < z_A[1])
