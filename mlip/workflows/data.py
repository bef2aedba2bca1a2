"""`mlip data ACTION`: look into data sets and stores, join, split and check them."""

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.io
import yaml
from ase import Atoms

from mlip.data.listing import list_shipped, list_store, show_entry, show_store
from mlip.data.merge import make_origin, merge
from mlip.data.partition import split_blocks, split_subsets
from mlip.data.preflight import run_preflight
from mlip.data.read import read_frames
from mlip.data.splits import Split, split_frames
from mlip.data.store import Store
from mlip.errors import ConfigError, DataError
from mlip.inputs import as_names
from mlip.settings import build_settings, suggest

HELP = """mlip data: what is in data sets and stores of labelled frames; join, split and check them.

  mlip data list                                 data sets that ship with Vitreous, with their licences
  mlip data list   store=labels.db               frames and failures by settings and config_type
  mlip data show   store=labels.db [number=3]    settings and failures; or all about one frame
  mlip data merge  data=[a.db,b.db] store=all.db [mixed=true]
  mlip data merge  data=frames.extxyz store=all.db labeler=vasp settings='{xc: PBE, encut_eV: 520}'
  mlip data split  data=all.db out=split [by=block] [valid=0.1] [blocks=10] [seed=0]
  mlip data export data=all.db@labeler=xtb out=frames.extxyz
  mlip data check  data=all.db                   the preflight of mlip train; exit code 1 if it would stop

A store is a file that ends in .db, or postgresql://USER@HOST/NAME. `data` is one or a [list] of stores and
files; STORE@SELECTION takes a part of a store, in ASE's words: 'labels.db@labeler=cp2k,generation<2'. merge
adds no structure twice that has the same settings, and refuses to join different settings without
mixed=true. split writes train.extxyz and valid.extxyz into out: by=block keeps consecutive frames together,
by=config_type (or another key of info) whole subsets, by=twins near-duplicates. Failed frames are only in
list and show.
"""


@dataclass(frozen=True)
class ListAction:
    """Keys of `mlip data list`; without a store the shipped data sets."""

    store: str | None = None

    def run(self) -> list[str]:
        """Lines of a table."""
        return list_shipped() if self.store is None else list_store(Store(self.store))


@dataclass(frozen=True)
class ShowAction:
    """Keys of `mlip data show`."""

    store: str
    number: int | None = None

    def run(self) -> list[str]:
        """Lines about a store, or a frame of it."""
        store = Store(self.store)
        if self.number is None:
            return show_store(store)
        found = list(store.entries(f"id={self.number}"))
        if not found:
            raise DataError(f"{self.store} has no frame of number {self.number}; mlip data list counts them")
        return show_entry(found[0])


@dataclass(frozen=True)
class MergeAction:
    """Keys of `mlip data merge`."""

    data: str | list[str]
    store: str
    labeler: str | None = None
    settings: dict[str, object] | None = None
    mixed: bool = False

    def run(self) -> list[str]:
        """Join stores and files in a store."""
        origin = make_origin(self.labeler, self.settings or {})
        added = merge(self.store, as_names(self.data), origin, self.mixed)
        return [f"{added} new frames are in {self.store}", *list_store(Store(self.store))]


@dataclass(frozen=True)
class SplitAction:
    """Keys of `mlip data split`."""

    data: str | list[str]
    out: str
    by: str = "block"
    valid: float = 0.1
    blocks: int = 10
    seed: int = 0

    def run(self) -> list[str]:
        """Write both sides of a split."""
        frames = read_frames(as_names(self.data))
        split = self._split(frames)
        folder = Path(self.out)
        folder.mkdir(parents=True, exist_ok=True)
        sides = {"train": split.train_indices, "valid": split.valid_indices}
        for name, indices in sides.items():
            ase.io.write(folder / f"{name}.extxyz", [frames[index] for index in indices])
        return [f"{folder / name}.extxyz: {len(indices)} frames" for name, indices in sides.items()]

    def _split(self, frames: Sequence[Atoms]) -> Split:
        if self.by == "block":
            return split_blocks(frames, self.valid, self.blocks, self.seed)
        if self.by == "twins":
            return split_frames(frames, fraction=self.valid, seed=self.seed)
        return split_subsets(frames, self.by, self.valid, self.seed)


@dataclass(frozen=True)
class ExportAction:
    """Keys of `mlip data export`."""

    data: str | list[str]
    out: str

    def run(self) -> list[str]:
        """Write labelled frames to a file, in the format that its name says."""
        frames = read_frames(as_names(self.data))
        ase.io.write(self.out, frames)
        return [f"{self.out}: {len(frames)} frames"]


@dataclass(frozen=True)
class CheckAction:
    """Keys of `mlip data check`."""

    data: str | list[str]

    def run(self) -> list[str]:
        """The preflight table; exit code 1 where training would stop."""
        found = run_preflight(read_frames(as_names(self.data)))
        sys.stdout.write(f"{found}\n")
        found.raise_on_errors()
        return []


ACTIONS: dict[str, Callable[..., Any]] = {
    "list": ListAction,
    "show": ShowAction,
    "merge": MergeAction,
    "split": SplitAction,
    "export": ExportAction,
    "check": CheckAction,
}


def main() -> None:
    """Entry point of the verb.

    Raises:
        ConfigError: The arguments make no sense.
        DataError: Data cannot be read, or should not be used.
    """
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    name, *words = sys.argv[1:] or ["help"]
    if {name, *words} & {"-h", "--help", "help"}:
        sys.stdout.write(HELP)
        return
    if name not in ACTIONS:
        raise ConfigError(f"found mlip data {name}; {suggest(name, tuple(ACTIONS))}")
    action = build_settings(ACTIONS[name], _read_words(words), "")  # type: ignore[arg-type]
    for line in action.run():
        sys.stdout.write(f"{line}\n")


def _read_words(words: Sequence[str]) -> dict[str, Any]:
    """KEY=VALUE, each value in YAML."""
    values = {}
    for word in words:
        key, found, value = word.partition("=")
        if not found:
            raise ConfigError(f"found '{word}'; expected KEY=VALUE, such as store=labels.db")
        try:
            values[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigError(
                f"found {word}; expected a value, a [list] or a {{mapping: of values}}"
            ) from None
    return values
