"""Joining data sets in one store, without ever mixing levels of theory by accident."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mlip.data.entry import Entry, Provenance
from mlip.data.read import read_frames
from mlip.data.store import Store
from mlip.database import is_database, is_url, split_selection
from mlip.errors import DataError
from mlip.inputs import resolve_input


def merge(target: str, sources: Sequence[str], origin: Provenance | None = None, mixed: bool = False) -> int:
    """Add the frames of stores and files to a store; what is there already is not added again.

    Args:
        target: The store; made if it is not there.
        sources: Stores, with a selection or without, and files of labelled frames.
        origin: Where the labels of files come from, as files do not say it.
        mixed: Whether frames of different settings may lie in one store. Their energies do not compare.

    Returns:
        How many frames were new.

    Raises:
        DataError: Settings differ and `mixed` is not set, a file has no origin, or something cannot be read.
    """
    entries = [entry for source in sources for entry in _entries(source, origin)]
    there = settings_of(Store(target)) if is_url(target) or Path(target).is_file() else Counter[str]()
    found = there + Counter(entry.provenance.settings_hash for entry in entries)
    if len(found) > 1 and not mixed:
        listed = ", ".join(f"{name} ({count} frames)" for name, count in found.items())
        raise DataError(
            f"found frames of different settings: {listed}; expected one, as their energies do not compare: "
            "select one, as in data='a.db@settings=...', or give mixed=true and train on one at a time"
        )
    return Store(target, create=True).add(entries)


def settings_of(store: Store) -> Counter[str]:
    """How many frames of a store were labelled, or failed, with which settings."""
    return Counter(entry.provenance.settings_hash for entry in store.entries())


def make_origin(labeler: str | None, settings: Mapping[str, object]) -> Provenance | None:
    """Where the labels of files come from, as a user says it; None if they do not."""
    return None if labeler is None else Provenance(labeler, settings)


def _entries(source: str, origin: Provenance | None) -> Iterator[Entry]:
    place, selection = split_selection(source)
    if is_database(place):
        return Store(place).entries(selection)
    if origin is None:
        raise DataError(
            f"{source} does not say what labelled its frames; give labeler=NAME, and settings such as "
            "'settings={xc: PBE, encut_eV: 520}'"
        )
    return (Entry(atoms, origin) for atoms in read_frames(resolve_input(source)))
