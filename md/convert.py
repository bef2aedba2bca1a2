"""`mlip convert`: trajectories between H5MD, extxyz and LAMMPS dumps, frame by frame."""

import logging
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from tqdm import tqdm

from md.formats.extxyz import ExtxyzWriter
from md.formats.frame import Frame, FrameWriter, Unwrapper
from md.formats.h5md import H5mdWriter, read_h5md
from md.formats.lammps_dump_writer import DumpWriter
from md.formats.reading import H5MD_SUFFIXES, read_frames
from mlip.app import application
from mlip.errors import ConfigError
from mlip.inputs import as_names, resolve_input
from mlip.runs import Run
from mlip.whole_files import whole_file

logger = logging.getLogger(__name__)

_WRITERS: dict[str, type[FrameWriter]] = {
    **dict.fromkeys(H5MD_SUFFIXES, H5mdWriter),
    **dict.fromkeys((".extxyz", ".xyz"), ExtxyzWriter),
    **dict.fromkeys((".lammpstrj", ".dump"), DumpWriter),
}
_TRUSTED_STEP = 0.4


def run_convert(config: DictConfig, run: Run) -> None:
    """Convert a trajectory.

    Args:
        config: `conf/convert.yaml`, resolved.
        run: The run directory.

    Raises:
        ConfigError: Settings that make no sense, or elements that are not known.
        DataError: The trajectory cannot be read, or the format cannot hold it.
    """
    source, out = resolve_input(config.trajectory), Path(config.out).expanduser()
    if out.suffix not in _WRITERS:
        raise ConfigError(f"found out={out}; expected a name that ends in {', '.join(_WRITERS)}")
    if out.exists() and out.samefile(source):
        raise ConfigError(f"found out={out}, which is the trajectory itself; expected another file")
    timestep_fs = config.timestep_fs
    if timestep_fs is not None and (not isinstance(timestep_fs, int | float) or timestep_fs <= 0):
        raise ConfigError(f"found timestep_fs={timestep_fs}; expected a number above zero")
    unwrapper = Unwrapper()
    frames = _read(source, read_slice(config.frames), config, unwrapper)
    count = _write(frames, out, as_names(config.species))
    if unwrapper.largest_step > _TRUSTED_STEP:
        logger.warning(
            "an atom moves %.2f of the cell between two frames: image flags, which %s does not have, are not "
            "to be trusted",
            unwrapper.largest_step,
            source,
        )
    logger.info("%d frames of %s are in %s", count, source, out)


def read_slice(text: Any) -> slice:
    """`start:stop:step`, one index or nothing, as a slice.

    Raises:
        ConfigError: It is something else, or goes backwards.
    """
    if text is None:
        return slice(None)
    if re.fullmatch(r"-?\d+", str(text)):
        index = int(text)
        return slice(index, None if index == -1 else index + 1)
    parts = re.fullmatch(r"(-?\d*):(-?\d*)(?::(\d*))?", str(text))
    if not parts or "-" in parts.groups() or parts[3] == "0":
        raise ConfigError(
            f"found frames={text}; expected start:stop:step, such as 100: or ::10, or one index"
        )
    return slice(*(int(part) if part else None for part in parts.groups()))


def _read(source: Path, frames: slice, config: DictConfig, unwrapper: Unwrapper) -> Iterator[Frame]:
    if source.suffix in H5MD_SUFFIXES:
        return read_h5md(source, frames, config.particles)
    return read_frames(source, unwrapper, frames, config.timestep_fs, as_names(config.types) or None)


def _write(frames: Iterator[Frame], out: Path, species: list[str]) -> int:
    """Write the frames into a file that is whole or not there; returns their number."""
    out.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with whole_file(out) as temporary:
        with closing(_WRITERS[out.suffix](temporary)) as writer:  # type: ignore[call-arg]
            for frame in tqdm(frames, unit="frame", disable=None, dynamic_ncols=True):
                writer.write(frame.select(species) if species else frame)
                count += 1
        if count == 0:
            raise ConfigError("found no frame to convert; expected frames= to choose at least one")
    return count


main = application("convert", run_convert, inputs=("trajectory",), repeats=True)

if __name__ == "__main__":
    main()
