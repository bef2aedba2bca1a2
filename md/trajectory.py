"""Trajectories in H5MD: the layout of our files and the reader of them.

    /particles/all/position/value   wrapped positions, float32, (frame, atom, 3), A
    /particles/all/image/value      image flags: position + image @ edges is the unwrapped position
    /particles/all/box/edges/value  lattice vectors as rows, (frame, 3, 3), A
    /particles/all/species, mass    atomic numbers and masses (amu), fixed in time
    /observables/stage/value        index of the stage a frame belongs to
    /observables/target_temperature/value  what the thermostat aimed at, K (NaN in NVE without one)
    /parameters/stages              JSON: name, ensemble, temperatures ... of each stage

`step` and `time` (ps) beside each value are one dataset under many names. MDAnalysis reads these files with
`Universe.empty(n_atoms, trajectory=True).load_new(path, format="H5MD")`.

Source: H5MD 1.1, de Buyl, Colberg and Hofling 2014, 10.1016/j.cpc.2014.01.018.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import h5py
import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import NDArray

from mlip.data.neighbors import complete_cell
from mlip.errors import DataError

PARTICLES = "particles/all"
STAGES = "parameters/stages"
# Elements that grow by one entry a frame; `step` is written last, so that it tells which frames are complete.
POSITION = f"{PARTICLES}/position"
IMAGE = f"{PARTICLES}/image"
EDGES = f"{PARTICLES}/box/edges"
STAGE = "observables/stage"
TARGET_TEMPERATURE = "observables/target_temperature"
ELEMENTS = (POSITION, IMAGE, EDGES, STAGE, TARGET_TEMPERATURE)
UNWRITTEN_STEP = -1


@dataclass(frozen=True)
class StageRecord:
    """What a trajectory knows of a stage.

    Attributes:
        name, ensemble, thermostat, timestep_fs: As in the protocol; `thermostat` is None where there is none.
        start_K, end_K: Target temperatures at its ends, K; None for NVE without one.
        production: Frames are samples at one temperature (no ramp, no settling).
    """

    name: str
    ensemble: str
    thermostat: str | None
    timestep_fs: float
    start_K: float | None
    end_K: float | None
    production: bool


class Trajectory:
    """A trajectory on disk, read as it is asked for.

    Attributes:
        path: The file.
        numbers: Atomic numbers, shape (N,).
        masses: shape (N,), amu.
        pbc: Periodic directions, shape (3,).
        steps: Step of each frame, shape (F,).
        times_ps: Time of each frame, shape (F,), ps.
        cells: Lattice vectors as rows, shape (F, 3, 3), A.
        frame_stages: Index of each frame's stage, shape (F,).
        target_temperatures_K: Temperature each frame was held at, shape (F,), K.
        stages: The stages of the run, also those it has not reached.
    """

    def __init__(self, path: str | Path) -> None:
        """Open a trajectory.

        Raises:
            DataError: The file is missing, damaged, or not a trajectory of ours.
        """
        self.path = Path(path)
        self._file = _open_h5(self.path)
        try:
            self._read_tables()
        except KeyError as error:
            self._file.close()
            raise DataError(f"{path} is no trajectory of `mlip md` ({error.args[0]})") from None

    def _read_tables(self) -> None:
        particles = self._file[PARTICLES]
        self.numbers: NDArray[np.int64] = particles["species"][:].astype(np.int64)
        self.masses: NDArray[np.float64] = particles["mass"][:]
        boundary = particles["box"].attrs["boundary"]
        self.pbc: NDArray[np.bool_] = np.array([kind in ("periodic", b"periodic") for kind in boundary])
        frames = count_frames(self._file)
        self.steps: NDArray[np.int64] = self._file[POSITION]["step"][:frames]
        self.times_ps: NDArray[np.float64] = self._file[POSITION]["time"][:frames]
        self.cells: NDArray[np.float64] = self._file[EDGES]["value"][:frames]
        self.frame_stages: NDArray[np.int32] = self._file[STAGE]["value"][:frames]
        self.target_temperatures_K: NDArray[np.float64] = self._file[TARGET_TEMPERATURE]["value"][:frames]
        self.stages = [StageRecord(**record) for record in json.loads(self._file[STAGES].asstr()[()])]

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def symbols(self) -> list[str]:
        """Chemical symbol of each atom."""
        return [chemical_symbols[number] for number in self.numbers]

    def positions(self, frames: slice = slice(None)) -> NDArray[np.float64]:
        """Wrapped positions, shape (F, N, 3), A."""
        return self._read(POSITION, frames).astype(np.float64)

    def images(self, frames: slice = slice(None)) -> NDArray[np.int32]:
        """Image flags, shape (F, N, 3): the cells that atoms were wrapped from."""
        return self._read(IMAGE, frames)

    def fractional(self, frames: slice = slice(None)) -> NDArray[np.float64]:
        """Unwrapped fractional coordinates, shape (F, N, 3); continuous in time."""
        cells = np.array([complete_cell(cell, self.pbc) for cell in self.cells[frames]])
        return images_to_fractional(self.positions(frames), self.images(frames), cells)

    def unwrapped(
        self, frames: slice = slice(None), reference_cell: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Unwrapped positions in one cell, shape (F, N, 3), A.

        Fractional coordinates times one cell, not the cell of each frame: image flags times a breathing cell
        would let atoms at rest appear to diffuse. In a fixed cell there is no difference.

        Args:
            frames: Which frames.
            reference_cell: Lattice vectors as rows, shape (3, 3), A; by default the mean cell of these
                frames. Give it when a trajectory is read in chunks.
        """
        cell = self.mean_cell(frames) if reference_cell is None else reference_cell
        return self.fractional(frames) @ complete_cell(cell, self.pbc)

    def mean_cell(self, frames: slice = slice(None)) -> NDArray[np.float64]:
        """Mean of the lattice vectors, shape (3, 3), A."""
        return self.cells[frames].mean(axis=0)

    def frames_of(self, stage: int | str) -> slice:
        """Frames of one stage, by its index or name.

        Raises:
            DataError: There is no such stage, or it has no frames yet.
        """
        index = stage if isinstance(stage, int) else self._stage_index(stage)
        members = np.flatnonzero(self.frame_stages == index)
        if len(members) == 0:
            raise DataError(f"{self.path} has no frames of stage {stage}; the run may not have got there")
        return slice(int(members[0]), int(members[-1]) + 1)

    def chunks(self, size: int, frames: slice = slice(None)) -> Iterator[slice]:
        """Slices of at most `size` frames that follow each other through `frames`."""
        start, stop, step = frames.indices(len(self))
        for first in range(start, stop, size * step):
            yield slice(first, min(first + size * step, stop), step)

    def atoms(self, frame: int) -> Atoms:
        """One frame as an ASE structure, wrapped; negative numbers count from the end."""
        index = range(len(self))[frame]
        positions = self.positions(slice(index, index + 1))[0]
        return Atoms(
            self.numbers, positions=positions, cell=self.cells[index], pbc=self.pbc, masses=self.masses
        )

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> "Trajectory":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _stage_index(self, name: str) -> int:
        names = [record.name for record in self.stages]
        if name not in names:
            raise DataError(f"{self.path} has no stage {name}; expected one of {', '.join(names)}")
        return names.index(name)

    def _read(self, element: str, frames: slice) -> NDArray:
        start, stop, step = frames.indices(len(self))
        try:
            return self._file[element]["value"][start:stop:step]
        except OSError as error:
            raise DataError(f"{self.path} is damaged in frames {start} to {stop} ({error})") from None


def images_to_fractional(
    positions: NDArray[np.float64], images: NDArray[np.int32], cells: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Unwrapped fractional coordinates from wrapped positions and image flags.

    Args:
        positions: Wrapped positions, shape (F, N, 3), A.
        images: How many cells each atom has left behind along each lattice vector, shape (F, N, 3).
        cells: Lattice vectors as rows, shape (F, 3, 3), A.

    Returns:
        Unwrapped fractional coordinates, shape (F, N, 3).
    """
    return positions @ np.linalg.inv(cells) + images


def count_frames(file: h5py.File) -> int:
    """Number of complete frames of an open file."""
    lengths = [file[name]["value"].shape[0] for name in ELEMENTS]
    steps = file[POSITION]["step"][:]
    written = np.flatnonzero(steps == UNWRITTEN_STEP)
    return min(*lengths, int(written[0]) if len(written) else len(steps))


def _open_h5(path: Path) -> h5py.File:
    if not path.exists():
        raise DataError(f"found no file {path}; expected a trajectory of `mlip md`")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise DataError(
            f"{path} cannot be read as HDF5 ({error}); a file cut short is mended by running its `mlip md` "
            "command again"
        ) from None
