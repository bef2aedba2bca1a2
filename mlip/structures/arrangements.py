"""Arrangements of a few changed sites, each once: those that symmetry maps onto each other are one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from ase.geometry import Cell, get_distances
from numpy.typing import NDArray

from mlip.errors import ConfigError, DataError

VACANT = ""
# Above so many arrangements, equivalent ones counted, some are drawn instead of all listed: a minute's work.
_MAX_LISTED = 2_000_000
# Draws without a new arrangement before all are taken to be found.
_MAX_FRUITLESS = 200


@dataclass(frozen=True)
class Step:
    """One change: a species is put in the place of another; either may be `VACANT`.

    Attributes:
        old: What is on a site before.
        new: What is on it after.
    """

    old: str
    new: str

    def __str__(self) -> str:
        if self.old == VACANT:
            return f"+{self.new}"
        return f"-{self.old}" if self.new == VACANT else f"{self.old}->{self.new}"


@dataclass(frozen=True)
class Sites:
    """Places of a crystal where something may be.

    Attributes:
        species: What is on each, `VACANT` in voids.
        positions: (S, 3), A.
        cell: Of the crystal.
        permutations: (G, S): where each operation of its symmetry takes each site.
        min_distance_A: Of an added atom to all others.
    """

    species: Sequence[str]
    positions: NDArray[np.float64]
    cell: Cell
    permutations: NDArray[np.int64]
    min_distance_A: float

    def candidates(self, step: Step, arrangement: Mapping[int, str]) -> list[int]:
        """Sites where a step can be done after those that led to an arrangement."""
        if step.old != VACANT:
            untouched = (k for k, each in enumerate(self.species) if k not in arrangement)
            return [k for k in untouched if self.species[k] == step.old]
        left = [k for k, each in arrangement.items() if each == VACANT and self.species[k] != step.new]
        voids = [k for k, each in enumerate(self.species) if each == VACANT and k not in arrangement]
        return [k for k in left + voids if self._has_room(k, arrangement)]

    def _has_room(self, site: int, arrangement: Mapping[int, str]) -> bool:
        """Whether an atom on a site is far enough from those added before; voids are from all others."""
        added = [k for k, each in arrangement.items() if each != VACANT]
        if not added:
            return True
        _, lengths = get_distances(
            self.positions[[site]], self.positions[added], cell=self.cell.array, pbc=True
        )
        return bool(lengths.min() >= self.min_distance_A)


def distinct_arrangements(
    sites: Sites, steps: Sequence[Step], max_count: int | None, random: np.random.Generator
) -> Iterator[tuple[dict[int, str], int]]:
    """Find the arrangements that steps lead to, each once.

    Args:
        sites: Of the crystal.
        steps: What is done, one site each.
        max_count: How many at most, drawn at random; None: all.
        random: What draws.

    Yields:
        Changed sites and what is on them, and how many arrangements are equivalent to this one.

    Raises:
        ConfigError: There are too many for all.
        DataError: There is no site for a step.
    """
    walks = prod(len(sites.candidates(step, {})) or 1 for step in steps)
    if walks <= _MAX_LISTED:
        found = _list_all(sites, steps)
        if not found:
            raise DataError(
                f"found no sites for {' '.join(map(str, steps))}; expected an atom to replace or remove, or "
                "a void, for each: try a larger builder.supercell"
            )
        keys = list(found)
        if max_count is not None and max_count < len(keys):
            keys = [keys[k] for k in np.sort(random.choice(len(keys), max_count, replace=False))]
        for key in keys:
            yield dict(key), found[key]
    elif max_count is None:
        raise ConfigError(
            f"found about {walks} arrangements of {' '.join(map(str, steps))}; expected builder.max_count=, "
            "which draws so many"
        )
    else:
        yield from _draw(sites, steps, max_count, random)


_Key = tuple[tuple[int, str], ...]


def _list_all(sites: Sites, steps: Sequence[Step]) -> dict[_Key, int]:
    """Each arrangement once, with its multiplicity: after every step only one of equivalent ones is kept."""
    found: dict[_Key, int] = {(): 1}
    for step in steps:
        longer: dict[_Key, int] = {}
        seen: set[_Key] = set()
        for key in found:
            for site in sites.candidates(step, dict(key)):
                arrangement = dict(key) | {site: step.new}
                as_given = tuple(sorted(arrangement.items()))
                if as_given not in seen:
                    images = _images(sites, arrangement)
                    seen |= images
                    longer[min(images)] = len(images)
        found = longer
    return found


def _draw(
    sites: Sites, steps: Sequence[Step], max_count: int, random: np.random.Generator
) -> Iterator[tuple[dict[int, str], int]]:
    """Arrangements at random, each once."""
    seen: set[_Key] = set()
    fruitless = 0
    while len(seen) < max_count and fruitless < _MAX_FRUITLESS:
        arrangement: dict[int, str] = {}
        for step in steps:
            candidates = sites.candidates(step, arrangement)
            if not candidates:
                break
            arrangement[int(random.choice(candidates))] = step.new
        else:
            images = _images(sites, arrangement)
            if min(images) not in seen:
                seen.add(min(images))
                fruitless = 0
                yield dict(min(images)), len(images)
                continue
        fruitless += 1


def _images(sites: Sites, arrangement: Mapping[int, str]) -> set[_Key]:
    """An arrangement and all that symmetry makes of it."""
    changed = list(arrangement)
    species = list(arrangement.values())
    return {tuple(sorted(zip(row, species, strict=True))) for row in sites.permutations[:, changed].tolist()}
