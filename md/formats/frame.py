"""One frame on its way from one file format to another."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import IO, Protocol, TypeVar

import numpy as np
from ase.data import atomic_numbers
from numpy.typing import NDArray

from md.trajectory_layout import StageRecord
from mlip.data.neighbors import complete_cell
from mlip.errors import DataError

T = TypeVar("T")

# Rows turned into text at once.
_ROWS = 2**15


@dataclass(frozen=True)
class Frame:
    """A frame, as much of it as the file says.

    Attributes:
        numbers: Atomic numbers, shape (N,).
        masses: shape (N,), amu.
        positions: Wrapped, shape (N, 3), A, from the cell's origin.
        images: Image flags, shape (N, 3): position + image @ cell is unwrapped.
        cell: Lattice vectors as rows, shape (3, 3), A.
        pbc: Periodic directions, shape (3,).
        step: Step number.
        time_ps: Time, ps; None where the file does not say it.
        velocities: shape (N, 3), A/fs, or None.
        stage: The stage of the protocol it belongs to, or None.
        target_K: What the thermostat aimed at, K, or None.
        potential_eV: Potential energy of all atoms, eV, or None.
    """

    numbers: NDArray[np.int64]
    masses: NDArray[np.float64]
    positions: NDArray[np.float64]
    images: NDArray[np.int64]
    cell: NDArray[np.float64]
    pbc: NDArray[np.bool_]
    step: int
    time_ps: float | None = None
    velocities: NDArray[np.float64] | None = None
    stage: StageRecord | None = None
    target_K: float | None = None
    potential_eV: float | None = None

    def select(self, symbols: Sequence[str]) -> "Frame":
        """The frame of some species alone; the energy, which is that of all atoms, is left out.

        Raises:
            DataError: One of them is not there.
        """
        missing = [each for each in symbols if atomic_numbers.get(each, -1) not in self.numbers]
        if missing:
            raise DataError(f"found no {missing[0]} in the trajectory; expected species that are in it")
        kept = np.isin(self.numbers, [atomic_numbers[each] for each in symbols])
        return replace(
            self,
            numbers=self.numbers[kept],
            masses=self.masses[kept],
            positions=self.positions[kept],
            images=self.images[kept],
            velocities=None if self.velocities is None else self.velocities[kept],
            potential_eV=None,
        )


class FrameWriter(Protocol):
    """Writes frames of the same atoms into a file."""

    def write(self, frame: Frame) -> None:
        """Append one frame."""

    def close(self) -> None:
        """Close the file."""


class Unwrapper:
    """Finds image flags for frames without them: atoms take the shortest way between frames.

    Attributes:
        largest_step: The longest way taken, in units of the cell; near 0.5 flags are not to be trusted.
    """

    def __init__(self) -> None:
        self.largest_step = 0.0
        self._before: NDArray[np.float64] | None = None

    def begin(self) -> None:
        """Forget the frames before: a file is read from its start."""
        self._before = None

    def wrap(
        self, positions: NDArray[np.float64], cell: NDArray[np.float64], pbc: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Wrapped positions, shape (N, 3), A, and image flags, shape (N, 3), of the next frame.

        Raises:
            DataError: The number of atoms changed.
        """
        box = complete_cell(cell, pbc)
        fractional = positions @ np.linalg.inv(box)
        if self._before is not None:
            if len(self._before) != len(fractional):
                raise DataError(
                    f"found {len(fractional)} atoms after frames of {len(self._before)}; expected one system"
                )
            steps = fractional - self._before
            steps -= np.where(pbc, np.round(steps), 0.0)
            self.largest_step = max(self.largest_step, float(np.abs(steps[:, pbc]).max(initial=0.0)))
            fractional = self._before + steps
        self._before = fractional
        images = np.where(pbc, np.floor(fractional), 0.0)
        return (fractional - images) @ box, images.astype(np.int64)


def choose(open_source: Callable[[], Iterator[T]], frames: slice) -> Iterator[T]:
    """Frames of a file that is read from its start; it is read twice to count where the slice asks for it.

    Args:
        open_source: Starts to read the file.
        frames: Which frames, as of a list; its step is above zero.
    """
    bounds = (frames.start, frames.stop)
    if any(bound is not None and bound < 0 for bound in bounds):
        frames = slice(*frames.indices(sum(1 for _ in open_source())))
    return islice(open_source(), frames.start, frames.stop, frames.step)


def write_rows(stream: IO[str], form: str, columns: Sequence[NDArray]) -> None:
    """Write a line an atom, some of them at a time.

    Args:
        stream: Where to.
        form: Format of a line, with its end.
        columns: A value an atom each, shape (N,).
    """
    for start in range(0, len(columns[0]), _ROWS):
        rows = zip(*(column[start : start + _ROWS].tolist() for column in columns), strict=True)
        stream.writelines(form % row for row in rows)
