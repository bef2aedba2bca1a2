"""What an earlier session left of a trajectory: cut back to a step, or what can be read of a damaged file."""

import logging
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from md.trajectory_layout import (
    NEVER_WRITTEN,
    FrameAppender,
    ParticleGroup,
    count_frames,
    growing_datasets,
    stored_elements,
    stored_groups,
)

logger = logging.getLogger(__name__)


def cut_trajectory(path: Path, last_step: int) -> None:
    """Drop the frames after `last_step` and what a kill left incomplete; mend a file that was cut short.

    A damaged file stays beside the new one as `<name>.broken`.
    """
    if not path.exists():
        return
    try:
        with h5py.File(path, "r+") as file:
            for particles in stored_groups(file) or ["all"]:
                _cut_frames(file, particles, last_step)
    except (OSError, KeyError, RuntimeError) as error:
        logger.warning("%s is damaged (%s); keeping the frames that can be read", path, error)
        _salvage(path, last_step)


def _cut_frames(file: h5py.File, particles: str, last_step: int) -> None:
    paths = growing_datasets(file, particles)
    steps = file[paths["step"]][: count_frames(file, particles)]
    frames = int(np.searchsorted(steps, last_step, side="right"))
    if frames:
        file[paths["position"]][frames - 1]  # raises OSError if the last frame kept cannot be read
    for path in paths.values():
        file[path].resize(frames, axis=0)


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
    """Copy what is fixed in time and the readable frames; returns the number of frames of all atoms."""
    for name in ("h5md", "parameters"):
        damaged.copy(name, target)
    for particles in stored_groups(damaged):
        names = list(stored_elements(damaged, particles))
        ParticleGroup.read(damaged, particles).write(target, names)
        appender = FrameAppender(target, particles)
        for values in _readable_frames(damaged, particles, last_step):
            appender.append(values)
    return target["particles/all/position/step"].shape[0]


def _readable_frames(file: h5py.File, particles: str, last_step: int) -> Iterator[dict[str, Any]]:
    """Frames from the start up to `last_step`, or up to the first that is damaged."""
    paths = growing_datasets(file, particles)
    has_cell = bool(file[paths["edges"]].shape[0]) and file[paths["edges"]][0].any()
    before = -1
    for index in range(count_frames(file, particles)):
        try:
            values = {name: file[path][index] for name, path in paths.items()}
        except (OSError, RuntimeError):
            return
        if not before < values["step"] <= last_step or (has_cell and not values["edges"].any()):
            return  # lost parts of small datasets read as zeros
        if any(np.any(values[name] == NEVER_WRITTEN[name]) for name in NEVER_WRITTEN.keys() & values.keys()):
            return
        before = values["step"]
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
