"""The verb `mlip build`: structures made of structures, for labelling or to start molecular dynamics from."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ase.io
from ase import Atoms
from ase.io.formats import string2index
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from mlip.data.read import read_structures
from mlip.errors import ConfigError, DataError
from mlip.inputs import as_names
from mlip.runs import Run
from mlip.structures.builders import build
from mlip.structures.lineage import record_file
from mlip.whole_files import whole_file

logger = logging.getLogger(__name__)

FILE_NAME = "structures.extxyz"


def run_build(config: DictConfig, run: Run) -> None:
    """Build structures as configured in `conf/build.yaml`.

    Raises:
        ConfigError: Settings that make no sense.
        DataError: A structure cannot be read, or nothing can be built of it.
    """
    parents = read_parents(as_names(config.structure), ":" if config.index is None else config.index)
    kinds = write_structures(build_chosen(config.builder, parents, config.seed), run.path / FILE_NAME)
    for line in table_of_kinds(kinds):
        logger.info(line)
    logger.info("%d structures are in %s", sum(kinds.values()), run.path / FILE_NAME)


def build_chosen(options: DictConfig, parents: Sequence[Atoms], seed: int) -> Iterator[Atoms]:
    """Build with the builder that the command chose.

    Args:
        options: Its group of the config.
        parents: What it builds of.
        seed: Of everything that is random.

    Raises:
        ConfigError: Options make no sense, or nothing came of them.
        DataError: Nothing can be built of these parents.
    """
    name = HydraConfig.get().runtime.choices["builder"]
    settings: Any = OmegaConf.to_container(options, resolve=True)
    made = 0
    for made, atoms in enumerate(build(name, settings, parents, seed), start=1):  # noqa: B007
        yield atoms
    if not made:
        raise ConfigError(f"builder={name} made no structure; expected at least one: see its options")


def read_parents(names: Sequence[str], index: int | str = ":") -> list[Atoms]:
    """Read structures to build of; each knows in its lineage which frame of which file it was.

    Args:
        names: Files, or `dataset:NAME/FILE` of shipped ones.
        index: Which frames of each, in ASE's notation.

    Raises:
        DataError: A file is missing, empty or unreadable.
    """
    parents = []
    for name in names:
        frames = read_structures(name)
        for number in _numbers_of(index, len(frames), name):
            record_file(frames[number], name, number)
            parents.append(frames[number])
    return parents


def _numbers_of(index: int | str, count: int, name: str) -> list[int]:
    """Which of so many frames an index means."""
    chosen = string2index(str(index))
    if isinstance(chosen, str):
        raise ConfigError(f"found index={index}; expected a frame or a range, such as 0, -1 or 100::10")
    numbers = list(range(count))
    try:
        return numbers[chosen] if isinstance(chosen, slice) else [numbers[chosen]]
    except IndexError:
        raise DataError(f"{name} holds {count} frames; found index={index}") from None


def write_structures(structures: Iterator[Atoms], file: Path) -> Counter[tuple[str, str]]:
    """Write structures to an extxyz file that is whole or not there.

    Returns:
        How many there are of each config_type and formula.
    """
    kinds: Counter[tuple[str, str]] = Counter()
    with whole_file(file) as temporary, temporary.open("w") as stream:
        for atoms in tqdm(structures, unit="structure", disable=None, dynamic_ncols=True):
            ase.io.write(stream, atoms, format="extxyz")
            kinds[str(atoms.info.get("config_type", "")), atoms.get_chemical_formula("metal")] += 1
    return kinds


def table_of_kinds(kinds: Counter[tuple[str, str]]) -> list[str]:
    """Lines of a table: config_type, formula, count."""
    width = max(len(kind) for kind, _ in kinds)
    return [f"{kind:<{width}}  {count:>6}  {formula}" for (kind, formula), count in kinds.items()]
