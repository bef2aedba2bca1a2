"""Point defects: atoms replaced, removed and added, in every way that symmetry tells apart."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from mlip.errors import ConfigError, DataError
from mlip.structures.arrangements import VACANT, Sites, Step, distinct_arrangements
from mlip.structures.symmetry import find_operations, permute_sites
from mlip.structures.voids import find_voids


def build_defects(
    parent: Atoms,
    *,
    supercell: Sequence[int] = (1, 1, 1),
    replace: Sequence[Sequence[str]] = (),
    remove: Sequence[str] = (),
    add: Sequence[str] = (),
    charge: float = 0.0,
    max_count: int | None = None,
    min_distance_A: float = 1.5,
    tolerance_A: float = 0.01,
    seed: int = 0,
) -> Iterator[Atoms]:
    """Make a defect in every symmetry-distinct way, or in so many of them, drawn at random.

    Args:
        parent: A crystal.
        supercell: How often it is repeated before, along each lattice vector.
        replace: Pairs of species, from and to: one atom each.
        remove: Species: one atom each.
        add: Species: one atom each, in the largest voids or where another species was removed.
        charge: Of the cell by the defect, e; a labeler adds a uniform background. A parent's own is added.
        max_count: How many structures at most; null: all.
        min_distance_A: Of an added atom to all others, A.
        tolerance_A: How far atoms may be from where symmetry has them.
        seed: Of what is drawn.

    Yields:
        Structures of config_type `defect`; `defect` says what was done, such as `O->N +Li`, `multiplicity`
        how many arrangements of the supercell are this one, but for symmetry, and `charge`, unless it is
        zero, the total charge in e.

    Raises:
        ConfigError: There is nothing to do, or too much to list and no `max_count`.
        DataError: The parent lacks an atom or a void for it, or its symmetry is not clear.

    Source: Seth et al. 2025 (10.1021/acsmaterialsau.4c00117): O->N +Li, O->N -Li -O and -P +5 Li.
    """
    steps = _read_steps(replace, remove, add)
    if len(supercell) != 3 or min(supercell) < 1 or (max_count is not None and max_count < 1):
        raise ConfigError(
            f"found builder.supercell={list(supercell)}, builder.max_count={max_count}; expected three whole "
            "numbers above zero, and one or more"
        )
    crystal, sites = _find_sites(parent, supercell, bool(add), min_distance_A, tolerance_A)
    random = np.random.default_rng(seed)
    for arrangement, multiplicity in distinct_arrangements(sites, steps, max_count, random):
        atoms = _arranged(crystal, sites, arrangement)
        atoms.info |= {"config_type": "defect", "defect": " ".join(map(str, steps))}
        atoms.info["multiplicity"] = multiplicity
        total = charge + atoms.info.pop("charge", 0.0)
        if total:
            atoms.info["charge"] = total
        yield atoms


def _read_steps(replace: Sequence[Sequence[str]], remove: Sequence[str], add: Sequence[str]) -> list[Step]:
    if not all(len(pair) == 2 for pair in replace):
        raise ConfigError(f"found builder.replace={list(replace)}; expected pairs, such as [[O,N]]")
    steps = [Step(*pair) for pair in replace]
    steps += [Step(symbol, VACANT) for symbol in remove] + [Step(VACANT, symbol) for symbol in add]
    if not steps:
        raise ConfigError(
            "found no defect; expected builder.replace=[[O,N]], builder.remove=[Li] or builder.add=[Li], or "
            "several of them"
        )
    unknown = {each for step in steps for each in (step.old, step.new)} - {VACANT, *atomic_numbers}
    if unknown:
        raise ConfigError(f"found the species {', '.join(sorted(unknown))}; expected chemical symbols")
    return steps


def _find_sites(
    parent: Atoms, supercell: Sequence[int], voids_too: bool, min_distance_A: float, tolerance_A: float
) -> tuple[Atoms, Sites]:
    """The supercell, and its sites: those of the atoms first, then voids."""
    voids = np.empty((0, 3))
    if voids_too:
        voids, _ = find_voids(parent, min_distance_A, find_operations(parent, tolerance_A))
        if not len(voids):
            raise DataError(
                f"found no void in {parent.get_chemical_formula()} with room of {min_distance_A} A; expected "
                "one: lower builder.min_distance_A"
            )
    crystal = parent.repeat(supercell)
    shifts = np.array(list(np.ndindex(*supercell)))
    tiled = (voids[None] + shifts[:, None]).reshape(-1, 3) / np.array(supercell)
    fractional = np.concatenate([crystal.get_scaled_positions(), tiled])
    operations = find_operations(crystal, tolerance_A)
    permutations = permute_sites(crystal, fractional, operations, tolerance_A)
    species = [*crystal.get_chemical_symbols(), *[VACANT] * len(tiled)]
    return crystal, Sites(
        species, fractional @ crystal.cell.array, crystal.cell, permutations, min_distance_A
    )


def _arranged(crystal: Atoms, sites: Sites, arrangement: Mapping[int, str]) -> Atoms:
    """The crystal with other species on some sites; added atoms come last."""
    atoms = crystal.copy()
    gone = [site for site, species in arrangement.items() if species == VACANT]
    for site, species in arrangement.items():
        if species != VACANT and site < len(crystal):
            atoms.symbols[site] = species
    for site, species in sorted(arrangement.items()):
        if site >= len(crystal):
            atoms += Atoms(species, positions=[sites.positions[site]])
    del atoms[gone]
    return atoms
