"""Trajectories in H5MD, read as they are asked for; `md.trajectory_layout` says what is in them.

MDAnalysis reads these files with `Universe.empty(n_atoms, trajectory=True).load_new(path, format="H5MD")`.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import h5py
import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import NDArray

from md.trajectory_layout import (
    ALL,
    STAGES,
    ParticleGroup,
    StageRecord,
    count_frames,
    growing_datasets,
    stored_groups,
)
from mlip.data.neighbors import complete_cell
from mlip.errors import DataError


class Trajectory:
    """A trajectory on disk, read as it is asked for.

    Attributes:
        path: The file.
        numbers: Atomic numbers, shape (N,).
        masses: shape (N,), amu.
        origin: Which part of the structure each atom came from, shape (N,); (0,) if unknown.
        ids: Places of the atoms among all atoms of the run, shape (N,).
        pbc: Periodic directions, shape (3,).
        steps: Step of each frame, shape (F,).
        times_ps: Time of each frame, shape (F,), ps.
        cells: Lattice vectors as rows, shape (F, 3, 3), A.
        frame_stages: Index of each frame's stage, shape (F,).
        target_temperatures_K: Temperature each frame was held at, shape (F,), K.
        potential_eV: Potential energy of all atoms, shape (F,), eV; NaN where the file does not say it.
        centers_of_mass: Unwrapped centre of mass of all atoms of the run, shape (F, 3), A; None if the file
            does not say it: where all atoms are stored.
        stages: The stages of the run, also those it has not reached.
    """

    def __init__(self, path: str | Path, particles: str = ALL) -> None:
        """Open a trajectory.

        Args:
            path: The file.
            particles: `all` atoms, or the species stored `often` (`mlip md often.species=`).

        Raises:
            DataError: The file is missing, damaged, not a trajectory of ours, or without these particles.
        """
        self.path = Path(path)
        self._file = _open_h5(self.path)
        try:
            found = stored_groups(self._file)
            if found and particles not in found:
                raise DataError(
                    f"{path} has no particles {particles}; expected {' or '.join(found)}: `mlip md` stores "
                    "species often where often.species names them"
                )
            self._paths = growing_datasets(self._file, particles)
            self._read_tables(particles)
        except KeyError as error:
            self._file.close()
            raise DataError(f"{path} is no trajectory of `mlip md` ({error.args[0]})") from None

    def _read_tables(self, particles: str) -> None:
        group = ParticleGroup.read(self._file, particles)
        self.numbers: NDArray[np.int64] = group.numbers.astype(np.int64)
        self.masses: NDArray[np.float64] = group.masses
        self.origin: NDArray[np.int64] = group.origin
        self.pbc: NDArray[np.bool_] = group.pbc
        self.ids: NDArray[np.int64] = np.arange(len(group.numbers)) if group.ids is None else group.ids
        frames = count_frames(self._file, particles)
        table = {
            name: self._file[path][:frames]
            for name, path in self._paths.items()
            if name not in ("position", "image", "velocity")
        }
        self.steps: NDArray[np.int64] = table["step"]
        self.times_ps: NDArray[np.float64] = table["time"]
        self.cells: NDArray[np.float64] = table["edges"]
        self.frame_stages: NDArray[np.int32] = table["stage"]
        self.target_temperatures_K: NDArray[np.float64] = table["target_temperature"]
        self.potential_eV: NDArray[np.float64] = table.get("potential_energy", np.full(frames, np.nan))
        self.centers_of_mass: NDArray[np.float64] | None = table.get("center_of_mass")
        self.stages = [StageRecord(**record) for record in json.loads(self._file[STAGES].asstr()[()])]

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def symbols(self) -> list[str]:
        """Chemical symbol of each atom."""
        return [chemical_symbols[number] for number in self.numbers]

    def positions(self, frames: slice = slice(None)) -> NDArray[np.float64]:
        """Wrapped positions, shape (F, N, 3), A."""
        return self._read("position", frames).astype(np.float64)

    def images(self, frames: slice = slice(None)) -> NDArray[np.int32]:
        """Image flags, shape (F, N, 3): the cells that atoms were wrapped from."""
        return self._read("image", frames)

    @property
    def has_velocities(self) -> bool:
        """Whether velocities were stored."""
        return "velocity" in self._paths

    def velocities(self, frames: slice = slice(None)) -> NDArray[np.float64]:
        """Velocities, shape (F, N, 3), A/fs.

        Raises:
            DataError: None were stored.
        """
        if not self.has_velocities:
            raise DataError(f"{self.path} has no velocities; `mlip md velocities=true` stores them")
        return self._read("velocity", frames).astype(np.float64)

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
            return self._file[self._paths[element]][start:stop:step]
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
