"""VASP's trajectories: frames out of XDATCAR one by one, and the time step that vasprun.xml says.

ASE reads both, an XDATCAR into memory as a whole, and neither with times.
"""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np
from ase.data import atomic_masses, atomic_numbers
from numpy.typing import NDArray

from md.formats.frame import Frame, Unwrapper, choose
from mlip.errors import DataError
from mlip.units import FS_PER_PS

_CONFIGURATION = "configuration="
# vasprun.xml lists the settings before the first structure
_HEAD_LINES = 1000


def is_xdatcar(path: Path) -> bool:
    """Whether a file is an XDATCAR, by what stands above its first positions."""
    with path.open("rb") as stream:
        return any(_CONFIGURATION.encode() in line for line in islice(stream, 8))


def read_potim_fs(path: Path) -> float | None:
    """The time step of molecular dynamics that a vasprun.xml says, fs; None for another file."""
    if "vasprun" not in path.name or path.suffix != ".xml":
        return None
    with path.open(errors="replace") as stream:
        head = "".join(islice(stream, _HEAD_LINES))
    kind = re.search(r'name="IBRION"[^>]*>\s*(-?\d+)', head)
    step = re.search(r'name="POTIM"[^>]*>\s*([\d.Ee+-]+)', head)
    return float(step[1]) if step and kind and kind[1] == "0" else None


def read_xdatcar(
    path: Path, frames: slice, timestep_fs: float | None, unwrapper: Unwrapper
) -> Iterator[Frame]:
    """Read the frames of an XDATCAR one by one, of constant or changing cells.

    A last frame that is not complete is left out.

    Args:
        path: The file.
        frames: Which frames.
        timestep_fs: Time between stored frames, fs.
        unwrapper: Finds image flags: an XDATCAR is wrapped.

    Raises:
        DataError: It is damaged.
    """

    def all_frames() -> Iterator[Frame]:
        unwrapper.begin()
        with path.open() as stream:
            reader = _Reader(path, stream)
            for index, (positions, cell, numbers) in enumerate(reader.frames()):
                wrapped, images = unwrapper.wrap(positions, cell, np.ones(3, dtype=bool))
                yield Frame(
                    numbers=numbers,
                    masses=atomic_masses[numbers],
                    positions=wrapped,
                    images=images,
                    cell=cell,
                    pbc=np.ones(3, dtype=bool),
                    step=index,
                    time_ps=None if timestep_fs is None else index * timestep_fs / FS_PER_PS,
                )

    return choose(all_frames, frames)


class _Reader:
    """What is known of an XDATCAR while it is read."""

    def __init__(self, path: Path, stream: IO[str]) -> None:
        self.path, self.stream = path, stream
        self.cell: NDArray[np.float64] = np.zeros((3, 3))
        self.numbers: NDArray[np.int64] = np.zeros(0, dtype=np.int64)

    def frames(self) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]]:
        """Positions in A, lattice vectors and atomic numbers of each frame."""
        while line := self.stream.readline():
            try:
                if _CONFIGURATION not in line:
                    if line.strip():
                        self._header()
                    continue
                rows = list(islice(self.stream, len(self.numbers)))
                if len(rows) < len(self.numbers) or not rows[-1].endswith("\n"):
                    return
                scaled = np.array([row.split()[:3] for row in rows], dtype=np.float64)
            except (ValueError, IndexError, KeyError) as error:
                raise DataError(f"{self.path} is damaged ({error}); expected an XDATCAR of VASP") from None
            yield scaled @ self.cell, self.cell, self.numbers

    def _header(self) -> None:
        """What follows a title: scale, lattice vectors, symbols, numbers of atoms."""
        scale = float(self.stream.readline())
        self.cell = scale * np.array([self.stream.readline().split() for _ in range(3)], dtype=np.float64)
        symbols, counts = self.stream.readline().split(), self.stream.readline().split()
        each = [atomic_numbers[symbol.partition("_")[0].partition("/")[0]] for symbol in symbols]
        self.numbers = np.repeat(np.array(each, dtype=np.int64), np.array(counts, dtype=np.int64))
