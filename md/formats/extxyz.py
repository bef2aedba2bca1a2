"""extxyz, and whatever else ASE reads: frames out of it, and into extxyz.

Image flags stand in the column `image`, so that positions are wrapped and unwrapped ones are not lost;
velocities are ASE's `momenta`. The comment line has step, time_ps, energy (eV), target_K and the keys of the
stage.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ase.io
import ase.units
import numpy as np
from ase import Atoms
from ase.data import atomic_masses, chemical_symbols

from md.formats.frame import Frame, Unwrapper, choose, write_rows
from md.trajectory_layout import StageRecord
from mlip.errors import DataError
from mlip.units import FS_PER_PS

_STAGE = "stage"


def read_ase(path: Path, frames: slice, timestep_fs: float | None, unwrapper: Unwrapper) -> Iterator[Frame]:
    """Read frames one by one, as far as ASE's reader of the format does.

    Args:
        path: The file.
        frames: Which frames.
        timestep_fs: Time between stored frames, where they do not say it, fs.
        unwrapper: Finds image flags where there are none.

    Raises:
        DataError: ASE cannot read it.
    """

    def all_frames() -> Iterator[Frame]:
        unwrapper.begin()
        for index, atoms in enumerate(_iterate(path)):
            yield _frame_of(_in_order(atoms), index, timestep_fs, unwrapper)

    return choose(all_frames, frames)


def _iterate(path: Path) -> Iterator[Atoms]:
    try:
        yield from ase.io.iread(path, index=":")
    except DataError:
        raise
    except Exception as error:  # ASE's readers raise anything on a damaged file
        raise DataError(
            f"{path} cannot be read ({type(error).__name__}: {error}); expected H5MD of `mlip md`, extxyz, a "
            "LAMMPS text dump, or another format that ASE reads"
        ) from None


def _in_order(atoms: Atoms) -> Atoms:
    """Atoms in the order of their column `id`, where there is one: others may write them as they come."""
    ids = atoms.arrays.get("id")
    if ids is None:
        return atoms
    ordered = atoms[np.argsort(ids, kind="stable")]
    ordered.calc = atoms.calc  # for its energy alone
    return ordered


def _frame_of(atoms: Atoms, index: int, timestep_fs: float | None, unwrapper: Unwrapper) -> Frame:
    cell, info = np.array(atoms.cell), atoms.info
    if "image" in atoms.arrays:
        positions, images = atoms.get_positions(), atoms.arrays["image"].astype(np.int64)
    else:
        positions, images = unwrapper.wrap(atoms.get_positions(), cell, atoms.pbc)
    time_ps = info.get("time_ps", None if timestep_fs is None else index * timestep_fs / FS_PER_PS)
    energy = atoms.calc.results.get("energy") if atoms.calc is not None else None
    return Frame(
        numbers=atoms.numbers.astype(np.int64),
        masses=atoms.get_masses(),
        positions=positions,
        images=images,
        cell=cell,
        pbc=np.array(atoms.pbc),
        step=int(info.get("step", index)),
        time_ps=_number(time_ps),
        velocities=atoms.get_velocities() * ase.units.fs if "momenta" in atoms.arrays else None,
        stage=_stage_of(info),
        target_K=_number(info.get("target_K")),
        potential_eV=_number(energy),
    )


def _stage_of(info: Mapping[str, Any]) -> StageRecord | None:
    if f"{_STAGE}_ensemble" not in info:
        return None
    return StageRecord(
        name=str(info[_STAGE]),
        ensemble=str(info[f"{_STAGE}_ensemble"]),
        thermostat=info.get(f"{_STAGE}_thermostat"),
        timestep_fs=float(info[f"{_STAGE}_timestep_fs"]),
        start_K=_number(info.get(f"{_STAGE}_start_K")),
        end_K=_number(info.get(f"{_STAGE}_end_K")),
        production=bool(info[f"{_STAGE}_production"]),
    )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


class ExtxyzWriter:
    """Frames into extxyz."""

    def __init__(self, path: Path) -> None:
        """Make the file."""
        self._stream = path.open("w")

    def write(self, frame: Frame) -> None:
        """Append one frame."""
        properties, form = "species:S:1:pos:R:3:image:I:3", "%-2s %.10g %.10g %.10g %d %d %d"
        symbols = np.array([chemical_symbols[number] for number in frame.numbers])
        columns = [symbols, *frame.positions.T, *frame.images.T]
        if not np.allclose(frame.masses, atomic_masses[frame.numbers], rtol=1e-6, atol=0):
            properties, form = f"{properties}:masses:R:1", f"{form} %.10g"
            columns.append(frame.masses)
        if frame.velocities is not None:
            momenta = frame.masses[:, None] * frame.velocities / ase.units.fs
            properties, form = f"{properties}:momenta:R:3", f"{form} %.9g %.9g %.9g"
            columns.extend(momenta.T)
        lattice = " ".join(repr(float(value)) for value in frame.cell.ravel())
        pbc = " ".join("FT"[int(flag)] for flag in frame.pbc)
        known = " ".join(f"{key}={_text(value)}" for key, value in _info(frame).items() if value is not None)
        self._stream.write(
            f'{len(columns[0])}\nLattice="{lattice}" Properties={properties} pbc="{pbc}" {known}\n'
        )
        write_rows(self._stream, f"{form}\n", columns)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def _info(frame: Frame) -> dict[str, Any]:
    stage = {} if frame.stage is None else {f"{_STAGE}_{k}": v for k, v in asdict(frame.stage).items()}
    if stage:
        stage = {_STAGE: stage.pop(f"{_STAGE}_name"), **stage}
    known = {"step": frame.step, "time_ps": frame.time_ps, "energy": frame.potential_eV}
    return known | {"target_K": frame.target_K} | stage


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "FT"[value]
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else "nan"
    return str(value)
