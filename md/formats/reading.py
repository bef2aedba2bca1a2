"""Frames out of files of other programs: which reader each takes."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from md.formats.extxyz import read_ase
from md.formats.frame import Frame, Unwrapper
from md.formats.lammps_dump import read_dump
from md.formats.vasp import is_xdatcar, read_potim_fs, read_xdatcar
from mlip.errors import ConfigError, DataError

# of files of ours, which `md.formats.h5md` reads
H5MD_SUFFIXES = (".h5", ".h5md", ".hdf5")


def read_frames(
    path: Path,
    unwrapper: Unwrapper,
    frames: slice = slice(None),
    timestep_fs: float | None = None,
    types: Sequence[str] | None = None,
) -> Iterator[Frame]:
    """Read frames one by one: LAMMPS text dumps, XDATCAR, and what ASE reads.

    Args:
        path: The file.
        unwrapper: Finds image flags where there are none.
        frames: Which frames.
        timestep_fs: Time between stored frames, of a dump per step number, fs, where the file is silent.
        types: Symbols of the atom types 1, 2, ... of a dump.

    Raises:
        DataError: The file is missing or cannot be read.
        ConfigError: `timestep_fs` is not above zero, or elements are not known.
    """
    if not path.exists():
        raise DataError(f"found no file {path}; check trajectory=")
    if timestep_fs is not None and timestep_fs <= 0:
        raise ConfigError(
            f"found timestep_fs={timestep_fs}; expected the time between stored frames, above 0"
        )
    if is_lammps_dump(path):
        return read_dump(path, frames, timestep_fs, types, unwrapper)
    if is_xdatcar(path):
        return read_xdatcar(path, frames, timestep_fs, unwrapper)
    return read_ase(path, frames, timestep_fs or read_potim_fs(path), unwrapper)


def is_lammps_dump(path: Path) -> bool:
    """Whether a file is a text dump of LAMMPS, by its first line."""
    with path.open("rb") as stream:
        return stream.read(6) == b"ITEM: "
