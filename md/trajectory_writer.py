"""Writing of H5MD trajectories so that a kill at any moment costs at most the frame in the making.

One chunk holds one frame, so that a flushed frame is never rewritten. Files of h5py's default format could be
reopened after each of 40 kills; those of `libver=latest` and SWMR could not.
"""

import json
import logging
import struct
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from md.protocols.stages import PlannedStage
from md.state import State
from md.trajectory import (
    EDGES,
    ELEMENTS,
    IMAGE,
    PARTICLES,
    POSITION,
    STAGE,
    STAGES,
    TARGET_TEMPERATURE,
    UNWRITTEN_STEP,
    StageRecord,
    count_frames,
)
from mlip.errors import SimulationError

logger = logging.getLogger(__name__)

_SCALARS_PER_CHUNK = 1024
_STEP = f"{POSITION}/step"
_TIME = f"{POSITION}/time"
_GROWING = (*(f"{name}/value" for name in ELEMENTS), _TIME, _STEP)


class TrajectoryWriter:
    """Append frames to a trajectory; each is flushed before `append` returns."""

    def __init__(self, path: Path, state: State, stages: Sequence[PlannedStage]) -> None:
        """Open a trajectory, or make one for these atoms and stages if there is none."""
        self.path = path
        if path.exists():
            self._file = h5py.File(path, "r+")
        else:
            self._file = _create(path, state, stages)

    def append(self, state: State, stage: PlannedStage) -> None:
        """Write one frame.

        Raises:
            SimulationError: The file cannot be written (a full disk).
        """
        positions, images = state.wrapped()
        target = stage.temperature_K(state.steps_done)
        frame = {
            POSITION: positions,
            IMAGE: images,
            EDGES: state.cell,
            STAGE: stage.index,
            TARGET_TEMPERATURE: np.nan if target is None else target,
        }
        values: dict[str, Any] = {f"{name}/value": value for name, value in frame.items()}
        values[_TIME] = stage.time_ps(state.steps_done)
        values[_STEP] = stage.start_step + state.steps_done
        try:
            _append_frame(self._file, values)
        except OSError as error:
            raise SimulationError(f"cannot write {self.path} ({error}); is the disk full?") from None

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def cut_trajectory(path: Path, last_step: int) -> None:
    """Drop the frames after `last_step` and what a kill left incomplete; mend a file that was cut short.

    A damaged file stays beside the new one as `<name>.broken`.
    """
    if not path.exists():
        return
    try:
        with h5py.File(path, "r+") as file:
            _cut_frames(file, last_step)
    except (OSError, KeyError, RuntimeError) as error:
        logger.warning("%s is damaged (%s); keeping the frames that can be read", path, error)
        _salvage(path, last_step)


def _create(path: Path, state: State, stages: Sequence[PlannedStage]) -> h5py.File:
    file = h5py.File(path, "w")
    file.create_group("h5md").attrs["version"] = np.array([1, 1])
    file["h5md"].create_group("author").attrs["name"] = "mlip md"
    creator = file["h5md"].create_group("creator")
    creator.attrs["name"] = "vitreous"
    creator.attrs["version"] = version("vitreous")
    particles = file.create_group(PARTICLES)
    particles["species"] = state.numbers
    particles["mass"] = state.masses
    particles["mass"].attrs["unit"] = "u"
    box = particles.create_group("box")
    box.attrs["dimension"] = 3
    box.attrs["boundary"] = ["periodic" if flag else "none" for flag in state.pbc]
    file[STAGES] = json.dumps([asdict(_record(stage)) for stage in stages])
    _create_elements(file, len(state.numbers))
    file.flush()
    return file


def _create_elements(file: h5py.File, num_atoms: int) -> None:
    """Make the empty datasets that grow with each frame."""
    # compressed also for its check: a chunk that was lost cannot be read as zeros
    packed = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
    for name, rows, kind in ((POSITION, num_atoms, "f4"), (IMAGE, num_atoms, "i4"), (EDGES, 3, "f8")):
        shape = {"shape": (0, rows, 3), "maxshape": (None, rows, 3), "chunks": (1, rows, 3)}
        file.create_dataset(f"{name}/value", dtype=kind, **shape, **packed)
    scalar = {"shape": (0,), "maxshape": (None,), "chunks": (_SCALARS_PER_CHUNK,)}
    file.create_dataset(f"{STAGE}/value", dtype="i4", **scalar)
    file.create_dataset(f"{TARGET_TEMPERATURE}/value", dtype="f8", **scalar)
    file.create_dataset(_TIME, dtype="f8", **scalar)
    file.create_dataset(_STEP, dtype="i8", fillvalue=UNWRITTEN_STEP, **scalar)
    for name in ELEMENTS[1:]:
        file[f"{name}/step"] = file[_STEP]  # a hard link, as H5MD suggests for elements sampled together
        file[f"{name}/time"] = file[_TIME]
    for name in (POSITION, EDGES):
        file[f"{name}/value"].attrs["unit"] = "Angstrom"
    file[f"{TARGET_TEMPERATURE}/value"].attrs["unit"] = "K"
    file[_TIME].attrs["unit"] = "ps"


def _record(stage: PlannedStage) -> StageRecord:
    user = stage.stage
    return StageRecord(
        name=user.name,
        ensemble=user.ensemble,
        thermostat=None if user.ensemble == "nve" or stage.is_relaxation else user.thermostat,
        timestep_fs=user.timestep_fs,
        start_K=stage.start_K,
        end_K=stage.end_K,
        production=stage.production,
    )


def _append_frame(file: h5py.File, values: dict[str, Any]) -> None:
    """Write one entry of every growing dataset, the step last: its presence says that the frame is whole."""
    index = file[_STEP].shape[0]
    for name in _GROWING:
        file[name].resize(index + 1, axis=0)
        file[name][index] = values[name]
    file.flush()


def _cut_frames(file: h5py.File, last_step: int) -> None:
    steps = file[_STEP][: count_frames(file)]
    frames = int(np.searchsorted(steps, last_step, side="right"))
    if frames:
        file[f"{POSITION}/value"][frames - 1]  # raises OSError if the last frame kept cannot be read
    for name in _GROWING:
        file[name].resize(frames, axis=0)


def _salvage(path: Path, last_step: int) -> None:
    """Put the readable frames up to `last_step` in the place of `path`; the damaged file stays beside it."""
    fresh, broken = path.with_name(path.name + ".tmp"), path.with_name(path.name + ".broken")
    path.replace(broken)
    try:
        _pad_to_stored_end(broken)
        with h5py.File(broken, "r") as damaged, h5py.File(fresh, "w") as target:
            saved = _copy_frames(damaged, target, last_step)
    except (OSError, KeyError, RuntimeError) as error:
        fresh.unlink(missing_ok=True)
        logger.warning("nothing can be read (%s); going on with a new file beside %s", error, broken)
        return
    fresh.replace(path)
    logger.warning("%d frames of %s were saved; the damaged file is kept as %s", saved, path, broken)


def _copy_frames(damaged: h5py.File, target: h5py.File, last_step: int) -> int:
    """Copy what is fixed in time and the readable frames; returns the number of frames."""
    particles = target.create_group(PARTICLES)
    for name in ("h5md", "parameters"):
        damaged.copy(name, target)
    for name in ("species", "mass"):
        damaged.copy(f"{PARTICLES}/{name}", particles)
    box = particles.create_group("box")
    for key, value in damaged[f"{PARTICLES}/box"].attrs.items():
        box.attrs[key] = value
    _create_elements(target, len(particles["species"]))
    for values in _readable_frames(damaged, last_step):
        _append_frame(target, values)
    return target[_STEP].shape[0]


def _readable_frames(file: h5py.File, last_step: int) -> Iterator[dict[str, Any]]:
    """Frames from the start up to `last_step`, or up to the first that is damaged."""
    before = -1
    for index in range(count_frames(file)):
        try:
            values = {name: file[name][index] for name in _GROWING}
        except (OSError, RuntimeError):
            return
        if not before < values[_STEP] <= last_step:  # lost steps read as zeros
            return
        before = values[_STEP]
        yield values


def _pad_to_stored_end(path: Path) -> None:
    """Fill a file cut short with zeros up to the length its superblock says, else HDF5 refuses to open it.

    Source: HDF5 file format, superblock version 0: the end-of-file address stands at byte 40.
    """
    with path.open("r+b") as stream:
        header = stream.read(48)
        if len(header) < 48 or header[:8] != b"\x89HDF\r\n\x1a\n" or header[8] != 0:
            return
        (stored_end,) = struct.unpack("<Q", header[40:48])
        if path.stat().st_size < stored_end:
            stream.truncate(stored_end)
