"""Builders by the names that the config has for them, and what surrounds each: checks, seeds, lineage."""

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms

from mlip.errors import ConfigError, DataError
from mlip.settings import check_options, suggest
from mlip.structures.lineage import read_lineage, record_builder


@dataclass(frozen=True)
class Builder:
    """A function `(*parents, seed, **options)` that yields structures.

    Options are keyword-only; `seed` is there only where something is drawn at random. Each structure says in
    `info["config_type"]` what kind it is, and in further keys of `info` what a user may want to select by.

    Attributes:
        module: Where the function is; imported when it is asked for.
        function: Its name.
        parents: How many structures it takes at once: 1 takes one after another of those given.
    """

    module: str
    function: str
    parents: int = 1


# Name in `conf/builder/` -> what builds.
BUILDERS = {
    "defects": Builder("mlip.structures.defects", "build_defects"),
    "glass": Builder("mlip.structures.glass", "build_glass", parents=0),
    "interface": Builder("mlip.structures.interfaces", "build_interface", parents=2),
    "lipon": Builder("mlip.structures.glass", "build_lipon"),
    "pairs": Builder("mlip.structures.pairs", "build_pairs", parents=0),
    "rattled": Builder("mlip.structures.rattle", "build_rattled"),
    "slabs": Builder("mlip.structures.slabs", "build_slabs"),
    "strained": Builder("mlip.structures.strain", "build_strained"),
    "subcells": Builder("mlip.structures.subcells", "build_subcells"),
    "vacancies": Builder("mlip.structures.vacancies", "build_vacancies"),
    "volumes": Builder("mlip.structures.strain", "build_volumes"),
}


def build(
    name: str, options: Mapping[str, Any], parents: Sequence[Atoms] = (), seed: int = 0
) -> Iterator[Atoms]:
    """Build structures.

    Args:
        name: A builder of `BUILDERS`.
        options: Its own keywords, as in `conf/builder/NAME.yaml`; those left out keep their defaults.
        parents: What it builds of; with several and a builder of one, each has its turn and its own seed.
        seed: Of everything that is random: the same seed gives the same structures.

    Yields:
        Structures that know their `lineage`, without labels, velocities and constraints.

    Raises:
        ConfigError: The name or an option makes no sense, or a package that the builder needs is not there.
        DataError: The parents are too few, too many, or nothing that this can be built of.
    """
    function = find_builder(name)
    check_options(function, options, "builder")
    keywords = inspect.signature(function).parameters
    defaults = {key: each.default for key, each in keywords.items() if each.kind is each.KEYWORD_ONLY}
    chosen = {key: options.get(key, default) for key, default in defaults.items() if key != "seed"}
    for turn, together in enumerate(_turns(name, parents)):
        drawn = np.random.SeedSequence([seed, turn]).generate_state(1)
        seeded = {"seed": int(drawn[0])} if "seed" in keywords else {}
        made_by = {"builder": name, "options": chosen, **seeded}
        blank = [_without_results(parent) for parent in together]
        for index, atoms in enumerate(function(*blank, **chosen, **seeded)):
            record_builder(atoms, together, made_by | {"index": index})
            yield atoms


def find_builder(name: str) -> Callable[..., Iterator[Atoms]]:
    """The function behind a name of `BUILDERS`.

    Raises:
        ConfigError: There is none, or it needs a package that is not there.
    """
    if name not in BUILDERS:
        raise ConfigError(f"found builder={name}; {suggest(name, tuple(BUILDERS))}")
    builder = BUILDERS[name]
    try:
        return getattr(importlib.import_module(builder.module), builder.function)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"builder={name} needs the package {error.name}, which is not there; install vitreous[structures]"
        ) from None


def _turns(name: str, parents: Sequence[Atoms]) -> Iterator[tuple[Atoms, ...]]:
    """Parents that a builder takes together, one group after another."""
    count = BUILDERS[name].parents
    if count == 1 and parents:
        yield from ((parent,) for parent in parents)
    elif count == len(parents):
        yield tuple(parents)
    elif count == 2 and (pairs := _pairs_of_files(parents)):
        yield from pairs
    else:
        wanted = (
            "no structure",
            "at least one structure",
            "two structures, or two files of as many each or of one",
        )[count]
        raise DataError(f"found {len(parents)} structures for builder={name}; expected {wanted}: structure=")


def _pairs_of_files(parents: Sequence[Atoms]) -> list[tuple[Atoms, Atoms]]:
    """Frames of two files, first with first and so on, or the only one of a file with each of the other."""
    files: list[list[Atoms]] = []
    last: tuple[str, int] | None = None
    for atoms in parents:
        step = (read_lineage(atoms) or [{}])[-1]
        place = str(step.get("file")), int(step.get("frame", 0))
        if last is None or place[0] != last[0] or place[1] <= last[1]:
            files.append([])
        files[-1].append(atoms)
        last = place
    if len(files) != 2 or (len(files[0]) != len(files[1]) and 1 not in map(len, files)):
        return []
    longer = max(map(len, files))
    first, second = (each * longer if len(each) == 1 else each for each in files)
    return list(zip(first, second, strict=True))


def _without_results(parent: Atoms) -> Atoms:
    """A parent as builders see it: what belongs to it and not to its children is gone, its charge stays."""
    atoms = parent.copy()
    atoms.calc = None
    atoms.set_constraint()
    atoms.arrays.pop("momenta", None)
    atoms.info = {key: parent.info[key] for key in ("charge",) if key in parent.info}
    return atoms
