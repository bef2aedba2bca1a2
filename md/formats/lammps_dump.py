"""LAMMPS text dumps: frames out of them.

Times and velocities are in the units `metal` (ps, A/ps) unless the dump says `real`; positions are counted
from the box's origin.
"""

import logging
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np
from ase.data import atomic_masses, atomic_numbers
from numpy.typing import NDArray

from md.formats.frame import Frame, Unwrapper, choose
from mlip.errors import ConfigError, DataError
from mlip.units import FS_PER_PS

logger = logging.getLogger(__name__)

_FS_PER_TIME = {"metal": FS_PER_PS, "real": 1.0}
_COORDINATES = (("x", "y", "z"), ("xu", "yu", "zu"), ("xs", "ys", "zs"), ("xsu", "ysu", "zsu"))
_IMAGES, _VELOCITIES = ("ix", "iy", "iz"), ("vx", "vy", "vz")
_TEXT = {"element": "U8", "type": "U16"}


def read_dump(
    path: Path,
    frames: slice,
    timestep_fs: float | None,
    types: Sequence[str] | None,
    unwrapper: Unwrapper,
) -> Iterator[Frame]:
    """Read frames one by one; a last one that is not complete is left out.

    Args:
        path: The file.
        frames: Which frames.
        timestep_fs: Time per step number, where the dump does not say times, fs.
        types: Symbols of the atom types 1, 2, ...; needed where there is no column `element`.
        unwrapper: Finds image flags where there are none.

    Raises:
        DataError: It is no text dump, or lacks columns.
        ConfigError: The elements are not known.
    """

    def all_frames() -> Iterator[Frame]:
        unwrapper.begin()
        with path.open() as stream:
            yield from _Reader(path, stream, timestep_fs, types, unwrapper).frames()

    return choose(all_frames, frames)


class _Reader:
    """What is known of a dump while it is read."""

    def __init__(
        self,
        path: Path,
        stream: IO[str],
        timestep_fs: float | None,
        types: Sequence[str] | None,
        unwrapper: Unwrapper,
    ) -> None:
        self.path, self.stream, self.timestep_fs, self.types = path, stream, timestep_fs, types
        self.unwrapper = unwrapper
        self.units, self.last_line = "metal", ""
        self.time: float | None = None
        self.step = self.num_atoms = 0
        self.cell, self.origin, self.pbc = np.eye(3), np.zeros(3), np.ones(3, dtype=bool)

    def frames(self) -> Iterator[Frame]:
        """All frames."""
        try:
            while line := self.stream.readline():
                item = line.split()
                if item[:2] == ["ITEM:", "ATOMS"]:
                    table = self._table(item[2:])
                    if len(table) < self.num_atoms or not self.last_line.endswith("\n"):
                        break
                    yield self._frame(table)
                    self.time = None
                elif item[:1] == ["ITEM:"]:
                    self._header(item[1:])
                elif item:
                    raise DataError(f"{self.path} has a line {line.strip()[:40]!r}; expected ITEM: ...")
            else:
                return
        except (ValueError, IndexError) as error:
            if self.stream.readline():
                raise DataError(f"{self.path} is damaged near step {self.step} ({error})") from None
        logger.warning(
            "%s: the last frame, after step %d, is not complete and is left out", self.path, self.step
        )

    def _header(self, item: Sequence[str]) -> None:
        if item[0] == "UNITS":
            self.units = self.stream.readline().strip()
            if self.units not in _FS_PER_TIME:
                raise DataError(f"{self.path} is in units {self.units}; expected metal or real")
        elif item[0] == "TIME":
            self.time = float(self.stream.readline())
        elif item[0] == "TIMESTEP":
            self.step = int(self.stream.readline())
        elif item[:3] == ["NUMBER", "OF", "ATOMS"]:
            self.num_atoms = int(self.stream.readline())
        elif item[:2] == ["BOX", "BOUNDS"]:
            self._box(item[2:])
        else:
            raise DataError(f"{self.path} has ITEM: {' '.join(item)}; expected a text dump of atoms")

    def _box(self, words: Sequence[str]) -> None:
        rows = np.array([[float(word) for word in self.stream.readline().split()] for _ in range(3)])
        flags = words[-3:] if len(words) >= 3 and len(words[-1]) == 2 and words[-1] != "yz" else ("pp",) * 3
        self.pbc = np.array([flag == "pp" for flag in flags])
        if words[:2] == ["abc", "origin"]:
            self.cell, self.origin = rows[:, :3], rows[:, 3]
            return
        xy, xz, yz = rows[:, 2] if rows.shape[1] == 3 else (0.0, 0.0, 0.0)
        low = rows[:, 0] - [min(0.0, xy, xz, xy + xz), min(0.0, yz), 0.0]
        high = rows[:, 1] - [max(0.0, xy, xz, xy + xz), max(0.0, yz), 0.0]
        lx, ly, lz = high - low
        self.cell, self.origin = np.array([[lx, 0.0, 0.0], [xy, ly, 0.0], [xz, yz, lz]]), low

    def _table(self, columns: Sequence[str]) -> NDArray[np.void]:
        """The rows of the columns that are of use, in the order of their ids."""
        if "id" not in columns:
            raise DataError(
                f"{self.path} has no column id; expected one: LAMMPS reorders atoms (dump ... id)"
            )
        known = {
            "id",
            "mass",
            *_TEXT,
            *_IMAGES,
            *_VELOCITIES,
            *(name for each in _COORDINATES for name in each),
        }
        used = [(k, name) for k, name in enumerate(columns) if name in known]
        kinds = [(name, _TEXT.get(name, "i8" if name in ("id", *_IMAGES) else "f8")) for _, name in used]
        table = np.loadtxt(self._lines(), dtype=kinds, usecols=[k for k, _ in used], ndmin=1, comments=None)
        return table[np.argsort(table["id"], kind="stable")]

    def _lines(self) -> Iterator[str]:
        for line in islice(self.stream, self.num_atoms):
            self.last_line = line
            yield line

    def _frame(self, table: NDArray[np.void]) -> Frame:
        numbers = self._numbers(table)
        positions, images = self._positions(table)
        names = table.dtype.names or ()
        fs = _FS_PER_TIME[self.units]
        time_ps = None if self.time is None else self.time * fs / FS_PER_PS
        if time_ps is None and self.timestep_fs is not None:
            time_ps = self.step * self.timestep_fs / FS_PER_PS
        return Frame(
            numbers=numbers,
            masses=table["mass"] if "mass" in names else atomic_masses[numbers],
            positions=positions,
            images=images,
            cell=self.cell,
            pbc=self.pbc,
            step=self.step,
            time_ps=time_ps,
            velocities=_columns(table, _VELOCITIES) / fs if set(_VELOCITIES) <= set(names) else None,
        )

    def _numbers(self, table: NDArray[np.void]) -> NDArray[np.int64]:
        names = table.dtype.names or ()
        if self.types is not None and "type" in names:
            return map_types(table["type"].astype(np.int64), self.types)
        if "element" not in names:
            raise ConfigError(
                f"{self.path} does not name elements; give types=[Li,P,S], those of its atom types 1, 2, ..."
            )
        symbols, inverse = np.unique(table["element"], return_inverse=True)
        unknown = [symbol for symbol in symbols if symbol not in atomic_numbers]
        if unknown:
            raise ConfigError(f"{self.path} has the element {unknown[0]}; give types=[Li,P,S], its elements")
        return np.array([atomic_numbers[symbol] for symbol in symbols])[inverse]

    def _positions(self, table: NDArray[np.void]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Wrapped positions from the box's origin and image flags, by what the dump has."""
        names = set(table.dtype.names or ())
        found = next((each for each in _COORDINATES if set(each) <= names), None)
        if found is None:
            raise DataError(f"{self.path} has no positions; expected columns x y z, xu yu zu or xs ys zs")
        values = _columns(table, found)
        positions = values @ self.cell if "s" in found[0] else values - self.origin
        if set(_IMAGES) <= names and "u" not in found[0]:
            return positions, _columns(table, _IMAGES)
        if "u" not in found[0]:
            return self.unwrapper.wrap(positions, self.cell, self.pbc)
        images = np.where(self.pbc, np.floor(positions @ np.linalg.inv(self.cell)), 0.0)
        return positions - images @ self.cell, images.astype(np.int64)


def _columns(table: NDArray[np.void], names: Sequence[str]) -> NDArray:
    return np.column_stack([table[name] for name in names])


def map_types(numbers: NDArray[np.int64], types: Sequence[str]) -> NDArray[np.int64]:
    """Turn the type numbers of a dump into atomic numbers.

    Args:
        numbers: Types, from 1 on, shape (N,).
        types: Symbols of the types 1, 2, ...

    Raises:
        ConfigError: There is a type without a symbol, or a symbol without an element.
    """
    unknown = [symbol for symbol in types if symbol not in atomic_numbers]
    if unknown or numbers.max() > len(types):
        raise ConfigError(
            f"found types={list(types)} for types up to {numbers.max()}; expected a symbol for each"
        )
    return np.array([atomic_numbers[types[number - 1]] for number in numbers])
