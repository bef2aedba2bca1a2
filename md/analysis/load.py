"""Frames from files: our own trajectories, and those of other programs through ASE."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from md.analysis.foreign import load_foreign
from md.analysis.frames import Frames
from md.analysis.stored import read_positions
from md.formats.reading import H5MD_SUFFIXES
from md.trajectory import Trajectory
from md.trajectory_layout import ALL, StageRecord
from mlip.errors import DataError

logger = logging.getLogger(__name__)


def load_frames(
    path: str | Path,
    timestep_fs: float | None = None,
    types: Sequence[str] | None = None,
    temperature_K: float | None = None,
    particles: str = ALL,
) -> list[Frames]:
    """Read a trajectory as stretches at one condition each.

    A trajectory of `mlip md` gives its production stages: ramps and settling are no samples at one
    temperature. Any other file is one stretch, unless its frames say their stage.

    Args:
        path: H5MD of `mlip md`, or extxyz, .traj, LAMMPS text dump, XDATCAR, vasprun.xml, what ASE reads.
        timestep_fs: time between stored frames in fs, in a LAMMPS dump the time per step number, where the
            file does not say it.
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
        stretches = load_foreign(file, timestep_fs, types, temperature_K)
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
