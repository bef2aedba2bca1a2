"""Reading labelled frames: extxyz (plain, .xz, .gz), ASE databases, VASP output, anything that ASE reads."""

import bz2
import gzip
import logging
import lzma
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.io import read
from ase.io.formats import string2index

from mlip.data.labels import KeysRead, Labels, attach_labels
from mlip.data.store import Store
from mlip.database import is_database, is_url, split_selection
from mlip.errors import DataError
from mlip.inputs import as_names, resolve_input

logger = logging.getLogger(__name__)

_OPENERS: dict[str, Callable[..., Any]] = {".xz": lzma.open, ".gz": gzip.open, ".bz2": bz2.open}


def read_frames(paths: str | Path | Sequence[str | Path], index: int | str | slice = ":") -> list[Atoms]:
    """Read labelled frames and say in the log which energy, forces and stress they carry.

    Args:
        paths: A file or several; `dataset:lips/train_700.extxyz.xz` names a shipped one. A database is a file
            that ends in .db or a URL, `labels.db@labeler=xtb` a part of it; frames that failed are left out.
        index: Which frames of each file, in ASE's notation.

    Returns:
        Frames in order. Energy (force-consistent), forces and stress are in the calculator of each; `info`
        keeps the rest, `config_type` among it.

    Raises:
        DataError: A file is missing, empty or unreadable, or a label has the wrong shape.
    """
    frames = []
    for name in _names(paths):
        found = _read_named(name, index)
        _log_what_was_read(name, found)
        frames += found
    return frames


def read_structures(paths: str | Path | Sequence[str | Path], index: int | str | slice = ":") -> list[Atoms]:
    """Read frames without their labels, to compute others.

    Args:
        paths: As of `read_frames`.
        index: Which frames of each file, in ASE's notation.

    Returns:
        Frames in order, without calculators and constraints.

    Raises:
        DataError: A file is missing, empty or unreadable.
    """
    frames = [frame for name in _names(paths) for frame in _read_named(name, index)]
    for frame in frames:
        frame.calc = None
    return frames


def _names(paths: str | Path | Sequence[str | Path]) -> list[str]:
    names = as_names(paths)
    if not names:
        raise DataError("No data files were given; expected at least one: name a file.")
    return names


def keys_read(frames: Sequence[Atoms]) -> Counter[KeysRead]:
    """Count under which names the labels of frames were found.

    Args:
        frames: Frames of `read_frames`; others are passed over.

    Returns:
        How many frames had their labels under which names.
    """
    return Counter(frame.calc.keys for frame in frames if isinstance(frame.calc, Labels))


def _read_named(name: str, index: int | str | slice) -> list[Atoms]:
    """Read a file, or what is selected of a database."""
    place, selection = split_selection(name)
    if is_url(place):
        return _labelled(place, _chosen(Store(place).read(selection), index), index)
    path = resolve_input(place)
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty; expected at least one frame: was it written completely?")
    if is_database(place):
        return _labelled(name, _chosen(Store(str(path)).read(selection), index), index)
    try:
        found = _reader(path)(path, index)
    except (
        Exception
    ) as error:  # ASE's many readers raise anything: KeyError, ParseError, UnicodeDecodeError, ...
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path} cannot be read ({reason[:200]}); expected a file that ASE reads.") from error
    return _labelled(str(path), [found] if isinstance(found, Atoms) else found, index)


def _labelled(source: str, frames: Sequence[Atoms], index: int | str | slice) -> list[Atoms]:
    """Gather the labels of frames under ASE's names."""
    if not frames or not all(len(frame) for frame in frames):
        raise DataError(
            f"{source} holds {'a frame without atoms' if frames else 'no frames'} at index {index!r}."
        )
    labelled = []
    for number, frame in enumerate(frames):
        try:
            labelled.append(attach_labels(frame))
        except DataError as error:
            raise DataError(f"{source}, frame {number}: {error}") from error
    return labelled


def _chosen(frames: list[Atoms], index: int | str | slice) -> list[Atoms]:
    """Frames of a database by ASE's notation."""
    chosen = string2index(index) if isinstance(index, str) else index
    if isinstance(chosen, str):
        raise DataError(f"index {chosen!r} is no range of frames; expected e.g. ':', '0:100' or '-1'")
    return frames[chosen] if isinstance(chosen, slice) else frames[chosen : chosen + 1 or None]


def _reader(path: Path) -> Callable[[Path, int | str | slice], Atoms | list[Atoms]]:
    """Choose how to read a file by how it ends."""
    return _read_compressed if path.suffix in _OPENERS else _read_any


def _read_any(path: Path, index: int | str | slice) -> Atoms | list[Atoms]:
    return read(path, index=index)


def _read_compressed(path: Path, index: int | str | slice) -> Atoms | list[Atoms]:
    """Unpack a file before ASE sees it: ASE seeks within it, which unpacks it again for every frame."""
    with tempfile.TemporaryDirectory() as folder:
        unpacked = Path(folder) / path.stem
        with _OPENERS[path.suffix](path, "rb") as source, unpacked.open("wb") as target:
            shutil.copyfileobj(source, target)
        return _reader(unpacked)(unpacked, index)


def _log_what_was_read(source: str, frames: Sequence[Atoms]) -> None:
    for keys, count in keys_read(frames).most_common():
        logger.info("%s: %d of %d frames: %s", source, count, len(frames), keys)
