"""What a recipe of a training set says: parents, and the subsets that are made of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from mlip.errors import ConfigError
from mlip.inputs import datasets_folder
from mlip.settings import build_settings, suggest

RECIPE = "recipe.yaml"
_FULL = "full"


@dataclass(frozen=True)
class Parent:
    """A structure to begin from.

    Attributes:
        file: What holds it; `dataset:NAME/FILE` for a shipped one.
        index: Which frame of it.
        repeat: Supercell that is taken of it.
    """

    file: str
    index: int = 0
    repeat: list[int] = field(default_factory=lambda: [1, 1, 1])


@dataclass(frozen=True)
class Subset:
    """A part of a training set: all that one builder, or one protocol of dynamics, makes.

    Attributes:
        builder: Of `mlip build`; give this or `protocol`.
        protocol: Of `mlip md`, run for each parent with the potential of the command.
        parents: Names of parents; for a builder of two, both at once; for one that needs none, none.
        of: Another, earlier subset, whose frames are the parents.
        options: Of the builder.
        variants: Options for each of several times that it builds, beside `options`.
        overrides: Of `mlip md`, as on a command line.
        paper: How many frames the paper has.
        paper_parents: Of how many parents; `count` is `paper` scaled to those that are here.
        count: How many frames are wanted; null: as `paper`, or all that can be made.
    """

    builder: str | None = None
    protocol: str | None = None
    parents: list[str] = field(default_factory=list)
    of: str | None = None
    options: dict[str, object] = field(default_factory=dict)
    variants: list[dict[str, object]] = field(default_factory=lambda: [{}])
    overrides: list[str] = field(default_factory=list)
    paper: int | None = None
    paper_parents: int | None = None
    count: int | None = None

    @property
    def asked(self) -> int | None:
        """How many frames are wanted of the parents that there are; None: all that can be made."""
        if self.count is not None or self.paper is None:
            return self.count
        share = len(self.parents) / self.paper_parents if self.paper_parents else 1.0
        return round(self.paper * share)


@dataclass(frozen=True)
class Recipe:
    """How a training set is made.

    Attributes:
        name: Of the data set.
        source: Paper that it follows.
        missing: What of the paper's set cannot be made here.
        parents: Name to structure.
        subsets: Name to part, in the order in which they are made.
    """

    name: str
    source: str
    missing: str
    parents: dict[str, Parent]
    subsets: dict[str, Subset]


def find_recipe(dataset: str) -> Path:
    """The file of a recipe: `datasets/NAME/recipe.yaml`, or a path to one of a user's own.

    Raises:
        ConfigError: There is none.
    """
    own = Path(dataset).expanduser()
    if own.suffix == ".yaml" and own.is_file():
        return own
    shipped = {file.parent.name: file for file in sorted(datasets_folder().glob(f"*/{RECIPE}"))}
    if dataset not in shipped:
        raise ConfigError(
            f"found dataset={dataset}; {suggest(dataset, tuple(shipped))}, or the path of a recipe.yaml"
        )
    return shipped[dataset]


def read_recipe(file: Path, size: str = _FULL) -> Recipe:
    """Read a recipe in one of its sizes.

    Args:
        file: A YAML file.
        size: `full`, or a name under its `sizes`, whose keys take the place of those of the same name.

    Raises:
        ConfigError: It cannot be read, has no such size, or says something that makes no sense.
    """
    try:
        content: Any = OmegaConf.load(file)
        sizes = content.pop("sizes", {})
        if size != _FULL and size not in sizes:
            raise ConfigError(f"found size={size}; expected one of {', '.join([_FULL, *sizes])}")
        merged = OmegaConf.merge(content, sizes[size] if size != _FULL else {})
        plain: Any = OmegaConf.to_container(merged, resolve=True)
    except (YAMLError, OmegaConfBaseException, AttributeError) as error:
        raise ConfigError(
            f"{file} cannot be read ({' '.join(str(error).split())}); expected a recipe"
        ) from None
    parents = _read_all(Parent, plain.pop("parents", {}), "parents")
    subsets = _read_all(Subset, plain.pop("subsets", {}), "subsets")
    name = file.parent.resolve().name if file.name == RECIPE else file.stem
    header = {key: " ".join(str(plain.pop(key, "")).split()) for key in ("source", "missing")}
    if plain:
        raise ConfigError(
            f"found {next(iter(plain))} in {file}; expected source, missing, parents, subsets, sizes"
        )
    _check(parents, subsets)
    return Recipe(name, **header, parents=parents, subsets=subsets)


def _read_all(kind: type, mappings: Mapping[str, Any], group: str) -> dict[str, Any]:
    """Parts of a recipe by name; a size leaves one out by null."""
    return {
        str(name): build_settings(kind, values, f"{group}.{name}")
        for name, values in mappings.items()
        if values is not None
    }


def _check(parents: Mapping[str, Parent], subsets: Mapping[str, Subset]) -> None:
    earlier: list[str] = []
    for name, subset in subsets.items():
        if (subset.builder is None) == (subset.protocol is None):
            raise ConfigError(
                f"found subsets.{name} with builder={subset.builder}, protocol={subset.protocol}; "
                "expected one of them"
            )
        unknown = [parent for parent in subset.parents if parent not in parents]
        if unknown:
            raise ConfigError(
                f"found {unknown[0]} in subsets.{name}.parents; {suggest(unknown[0], tuple(parents))}"
            )
        if subset.of is not None and (subset.of not in earlier or subset.parents):
            raise ConfigError(
                f"found subsets.{name}.of={subset.of}; expected an earlier subset, and no parents"
            )
        earlier.append(name)
