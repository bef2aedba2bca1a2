"""Frames from files: our own trajectories, and those of other programs through ASE."""

import logging
from collections.abc import Sequence
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from md.analysis.frames import Frames, unwrap_fractional
from md.analysis.stored import read_positions
from md.trajectory import Trajectory
from md.trajectory_layout import ALL, StageRecord
from mlip.errors import ConfigError, DataError
from mlip.units import FS_PER_PS

logger = logging.getLogger(__name__)

H5MD_SUFFIXES = (".h5", ".h5md", ".hdf5")
_TRUSTED_STEP = 0.4


def load_frames(
    path: str | Path,
    timestep_fs: float | None = None,
    types: Sequence[str] | None = None,
    temperature_K: float | None = None,
    particles: str = ALL,
) -> list[Frames]:
    """Read a trajectory as stretches at one condition each.

    A trajectory of `mlip md` gives its production stages: ramps and settling are no samples at one
    temperature. Any other file is one stretch, unwrapped by the shortest way between frames.

    Args:
        path: H5MD of `mlip md`, or what ASE reads: extxyz, .traj, LAMMPS text dump, XDATCAR, ...
        timestep_fs: time between stored frames in fs; in a LAMMPS dump the time per step number.
        types: symbols of the atom types 1, 2, ... of a LAMMPS dump without elements.
        temperature_K: temperature of the run, where the file does not say it.
        particles: in H5MD of `mlip md`, `all` or the species stored `often`.

    Raises:
        DataError: The file cannot be read, or its frames do not belong together.
    """
    file = Path(path)
    if file.suffix in H5MD_SUFFIXES:
        stretches = _load_h5md(file, particles)
    else:
        stretches = [_load_foreign(file, timestep_fs, types, temperature_K)]
    for frames in stretches:
        _log_frames(file, frames)
    return stretches


def _log_frames(file: Path, frames: Frames) -> None:
    name = f"{file} {frames.label}".strip()
    atoms = f"{frames.num_frames} frames of {len(frames.numbers)} atoms ({', '.join(frames.species)})"
    if frames.times_ps is None or frames.num_frames < 2:
        logger.info("%s: %s, no time series", name, atoms)
    else:
        interval = frames.duration_ps / (frames.num_frames - 1)
        logger.info("%s: %s every %.4g ps, %.4g ps in all", name, atoms, interval, frames.duration_ps)
    for note in frames.notes:
        logger.warning("%s: %s", name, note)


def _load_h5md(file: Path, particles: str) -> list[Frames]:
    with Trajectory(file, particles) as trajectory:
        if not trajectory.pbc.all():
            raise DataError(f"{file} is not periodic in all directions; expected a bulk run")
        present = np.unique(trajectory.frame_stages)
        records = [(int(index), trajectory.stages[index]) for index in present]
        production = [(index, record) for index, record in records if record.production]
        if not production:
            raise DataError(
                f"{file} has frames of {', '.join(record.name for _, record in records)} only; "
                "expected a production stage (one temperature, no settling): run it to the end"
            )
        skipped = [record.name for _, record in records if not record.production]
        if skipped:
            logger.info("%s: stages %s are ramps or settling and are left out", file, ", ".join(skipped))
        return [_stage_frames(trajectory, index, record, particles) for index, record in production]


def _stage_frames(trajectory: Trajectory, index: int, record: StageRecord, particles: str) -> Frames:
    members = trajectory.frames_of(index)
    centers = None
    if trajectory.centers_of_mass is not None:
        inverse = np.linalg.inv(trajectory.cells[members])
        centers = np.einsum("tj,tjk->tk", trajectory.centers_of_mass[members], inverse)
    return Frames(
        fractional=read_positions(trajectory, members, particles),
        cells=trajectory.cells[members],
        numbers=trajectory.numbers,
        times_ps=trajectory.times_ps[members],
        label=record.name,
        temperature_K=record.start_K,
        thermostat=record.thermostat,
        origin=trajectory.origin if len(trajectory.origin) else None,
        centers=centers,
    )


def _load_foreign(
    file: Path, timestep_fs: float | None, types: Sequence[str] | None, temperature_K: float | None
) -> Frames:
    images = _read_images(file)
    numbers = map_types(images[0].numbers, types)
    if any(len(image) != len(images[0]) or np.any(image.numbers != images[0].numbers) for image in images):
        raise DataError(
            f"{file} holds frames of different atoms; expected one system, its atoms in one order"
        )
    cells = np.array([image.cell.array for image in images])
    if np.any(np.abs(np.linalg.det(cells)) < 1e-6):
        raise DataError(f"{file} holds a frame without three lattice vectors; expected periodic frames")
    wrapped = np.array([image.positions for image in images]) @ np.linalg.inv(cells)
    times_ps = _times(file, len(images), timestep_fs)
    fractional, largest = unwrap_fractional(wrapped)
    if not all(image.pbc.all() for image in images):
        logger.warning("%s: not every frame is marked periodic; all are taken as periodic", file)
    notes: tuple[str, ...] = ()
    if times_ps is not None and largest > _TRUSTED_STEP:
        notes = (
            f"an atom moves {largest:.2f} of the cell between two frames: jumps beyond half a cell cannot be "
            "told from wrapping, so displacements are not to be trusted; store frames more often",
        )
    return Frames(fractional, cells, numbers, times_ps, "", temperature_K, None, notes)


def _read_images(file: Path) -> list[Atoms]:
    if not file.exists():
        raise DataError(f"found no file {file}; check trajectory=")
    try:
        images = ase.io.read(file, index=":", format=_guess_format(file))
    except Exception as error:  # ASE's readers raise anything on a damaged file
        raise DataError(
            f"{file} cannot be read as a trajectory ({type(error).__name__}: {error}); expected H5MD of "
            "`mlip md`, extxyz, .traj, a LAMMPS text dump or XDATCAR"
        ) from error
    if not isinstance(images, list) or not images:
        raise DataError(f"{file} holds no frames")
    return images


def _guess_format(file: Path) -> str | None:
    """Name the format where ASE would not find it by the file's name."""
    return "lammps-dump-text" if is_lammps_dump(file) else None


def is_lammps_dump(file: Path) -> bool:
    """Whether a file is a text dump of LAMMPS, by its first line."""
    with file.open("rb") as stream:
        return stream.read(6) == b"ITEM: "


def map_types(numbers: np.ndarray, types: Sequence[str] | None) -> np.ndarray:
    """Turn the type numbers of a dump into atomic numbers.

    Args:
        numbers: Types, from 1 on, shape (N,).
        types: Symbols of the types 1, 2, ...; None for numbers that are atomic numbers already.

    Raises:
        ConfigError: There is a type without a symbol, or a symbol without an element.
    """
    if types is None:
        return numbers
    unknown = [symbol for symbol in types if symbol not in atomic_numbers]
    if unknown or numbers.max() > len(types):
        raise ConfigError(
            f"found types={list(types)} for types up to {numbers.max()}; expected a symbol for each"
        )
    return np.array([atomic_numbers[types[number - 1]] for number in numbers])


def _times(file: Path, num_frames: int, timestep_fs: float | None) -> np.ndarray | None:
    if timestep_fs is None:
        return None
    if timestep_fs <= 0:
        raise ConfigError(
            f"found timestep_fs={timestep_fs}; expected the time between stored frames, above 0"
        )
    steps = _dump_steps(file) if is_lammps_dump(file) else np.arange(num_frames)
    return steps * timestep_fs / FS_PER_PS


def _dump_steps(file: Path) -> np.ndarray:
    """Step numbers of a LAMMPS text dump, shape (T,)."""
    with file.open() as stream:
        return np.array([int(next(stream)) for line in stream if line.startswith("ITEM: TIMESTEP")])
