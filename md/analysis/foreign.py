"""Frames from files of other programs, one by one through a file, so that memory does not bound them."""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from md.analysis.frames import Frames
from md.formats.frame import Frame, Unwrapper
from md.formats.reading import read_frames
from md.trajectory_layout import StageRecord
from mlip.errors import DataError

logger = logging.getLogger(__name__)

# float64 coordinates beyond this stay in a temporary file (TMPDIR says where)
LARGEST_IN_MEMORY = 2**29
_TRUSTED_STEP = 0.4


def load_foreign(
    path: Path,
    timestep_fs: float | None = None,
    types: Sequence[str] | None = None,
    temperature_K: float | None = None,
) -> list[Frames]:
    """Read a trajectory that `mlip md` did not make, or that `mlip convert` did.

    Frames without image flags are unwrapped by the shortest way between them. Where frames say their stage,
    as those of `mlip convert` do, each production stage is a stretch; else all are one.

    Args:
        path: extxyz, .traj, LAMMPS text dump, XDATCAR, vasprun.xml, or what else ASE reads.
        timestep_fs: time between stored frames in fs, of a dump per step number, where the file does not
            say times.
        types: symbols of the atom types 1, 2, ... of a LAMMPS dump without elements.
        temperature_K: temperature of the run, where the file does not say it.

    Raises:
        DataError: The file cannot be read, or its frames do not belong together.
        ConfigError: Elements are not known, or the time step is not above zero.
    """
    unwrapper = Unwrapper()
    with ExitStack() as files:
        frames = read_frames(path, unwrapper, timestep_fs=timestep_fs, types=types)
        stretches = _production(path, _split(path, frames, files))
        notes: tuple[str, ...] = ()
        if unwrapper.largest_step > _TRUSTED_STEP and all(each.times for each in stretches):
            notes = (
                f"an atom moves {unwrapper.largest_step:.2f} of the cell between two frames: jumps beyond "
                "half a cell cannot be told from wrapping, so displacements are not to be trusted; store "
                "frames more often",
            )
        return [each.frames(temperature_K, notes) for each in stretches]


@dataclass(eq=False)
class _Stretch:
    """Frames of one stage while they come in: their coordinates go into a temporary file."""

    path: Path
    first: Frame
    spool: IO[bytes]
    cells: list[np.ndarray] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    @property
    def stage(self) -> StageRecord | None:
        return self.first.stage

    @property
    def name(self) -> str:
        return "" if self.stage is None else self.stage.name

    def append(self, frame: Frame) -> None:
        if not np.array_equal(frame.numbers, self.first.numbers):
            raise DataError(
                f"{self.path} holds frames of different atoms, frame {len(self.cells)} of them; expected one "
                "system, its atoms in one order (or with a column id)"
            )
        if abs(np.linalg.det(frame.cell)) < 1e-6:
            raise DataError(
                f"{self.path} holds a frame without three lattice vectors; expected periodic frames"
            )
        fractional = frame.positions @ np.linalg.inv(frame.cell) + frame.images
        self.spool.write(np.ascontiguousarray(fractional, dtype=np.float64).tobytes())
        self.cells.append(frame.cell)
        if frame.time_ps is not None:
            self.times.append(frame.time_ps)

    def frames(self, temperature_K: float | None, notes: tuple[str, ...]) -> Frames:
        """What came in, in memory or, where it is large, mapped from its file, which ends with it."""
        shape = (len(self.cells), len(self.first.numbers), 3)
        self.spool.flush()
        fractional: np.ndarray = np.memmap(self.spool, dtype=np.float64, mode="r", shape=shape)
        if fractional.nbytes <= LARGEST_IN_MEMORY:
            fractional = np.array(fractional)
        told = self.stage.start_K if self.stage is not None else self.first.target_K
        return Frames(
            fractional=fractional,
            cells=np.array(self.cells),
            numbers=self.first.numbers,
            times_ps=np.array(self.times) if len(self.times) == len(self.cells) else None,
            label=self.name,
            temperature_K=temperature_K if temperature_K is not None else told,
            thermostat=None if self.stage is None else self.stage.thermostat,
            notes=notes,
        )


def _split(path: Path, frames: Iterator[Frame], files: ExitStack) -> list[_Stretch]:
    """Read all frames, a stretch for each stage; `files` closes what they are in."""
    stretches: list[_Stretch] = []
    open_boundaries = False
    for frame in frames:
        if not stretches or frame.stage != stretches[-1].stage:
            spool = files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
            stretches.append(_Stretch(path, frame, spool))
        stretches[-1].append(frame)
        open_boundaries |= not frame.pbc.all()
    if open_boundaries:
        logger.warning("%s: not every frame is marked periodic; all are taken as periodic", path)
    return stretches


def _production(path: Path, stretches: list[_Stretch]) -> list[_Stretch]:
    """Those that are samples at one temperature."""
    kept = [each for each in stretches if each.stage is None or each.stage.production]
    others = ", ".join(each.name for each in stretches if each not in kept)
    if not kept:
        raise DataError(
            f"{path} has frames of {others} only; expected a production stage"
            if others
            else f"{path} holds no frames; expected at least one"
        )
    if others:
        logger.info("%s: stages %s are ramps or settling and are left out", path, others)
    return kept
