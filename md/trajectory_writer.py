"""Writing of H5MD trajectories so that a kill at any moment costs at most the frame in the making.

Files of h5py's default format could be reopened after each of 40 kills; those of `libver=latest` and SWMR
could not. What an earlier session left is cut back by `md.trajectory_repair`.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from md.protocols.stages import PlannedStage
from md.state import State
from md.storage import Storage
from md.trajectory_layout import ALL, OFTEN, STAGES, FrameAppender, ParticleGroup, StageRecord
from mlip.errors import SimulationError
from mlip.whole_files import whole_file

# Bytes that HDF5 keeps in memory of chunks (a dataset) and of its own tables.
_CHUNKS_CACHED, _METADATA_CACHED = 2**18, 2**19
_ALWAYS = ("position", "image", "edges", "stage", "target_temperature")


class TrajectoryWriter:
    """Append frames to a trajectory; each is flushed before `append` returns."""

    def __init__(
        self, path: Path, state: State, stages: Sequence[PlannedStage], storage: Storage | None = None
    ) -> None:
        """Open a trajectory, or make one for these atoms and stages if there is none.

        Args:
            path: The file.
            state: The atoms.
            stages: All stages of the protocol.
            storage: What is stored beside the positions of all atoms; by default nothing.
        """
        self.path = path
        self._storage = storage or Storage()
        self._often = self._storage.atoms(state.numbers)
        if not path.exists():
            self._create(state, [record_of(stage) for stage in stages])
        self._file = _open_file(path, "r+")
        self._everything = FrameAppender(self._file, ALL)
        self._part = FrameAppender(self._file, OFTEN) if len(self._often) else None

    def append(self, state: State, stage: PlannedStage, potential_eV: float = float("nan")) -> None:
        """Write one frame of all atoms, and of the species stored often.

        Raises:
            SimulationError: The file cannot be written (a full disk).
        """
        self.append_often(state, stage)
        frame = self._frame(state, stage, slice(None)) | {"potential_energy": potential_eV}
        self._append(self._everything, frame)

    def append_often(self, state: State, stage: PlannedStage) -> None:
        """Write one frame of the species stored often, if there are any.

        Raises:
            SimulationError: The file cannot be written (a full disk).
        """
        if self._part is not None:
            centre = state.masses @ state.positions / state.masses.sum()
            frame = self._frame(state, stage, self._often) | {"center_of_mass": centre}
            self._append(self._part, frame)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _frame(self, state: State, stage: PlannedStage, atoms: NDArray[np.int64] | slice) -> dict[str, Any]:
        positions, images = state.wrapped(atoms)
        target = stage.temperature_K(state.steps_done)
        return {
            "position": positions,
            "image": images,
            "velocity": state.velocities[atoms],
            "edges": state.cell,
            "stage": stage.index,
            "target_temperature": np.nan if target is None else target,
            "time": stage.time_ps(state.steps_done),
            "step": stage.start_step + state.steps_done,
        }

    def _append(self, group: FrameAppender, frame: dict[str, Any]) -> None:
        try:
            group.append(frame)
        except OSError as error:
            raise SimulationError(f"cannot write {self.path} ({error}); is the disk full?") from None

    def _create(self, state: State, records: Sequence[StageRecord]) -> None:
        """Make the file under another name first: a kill leaves none or all of what is fixed in time."""
        atoms, moving = self._often, ["velocity"] if self._storage.velocities else []
        with whole_file(self.path) as temporary, create_file(temporary, records, "mlip md") as file:
            everything = ParticleGroup(ALL, state.numbers, state.masses, state.pbc, origin=state.origin)
            everything.write(file, [*_ALWAYS, *moving, "potential_energy"])
            if len(atoms):
                origin = state.origin[atoms] if len(state.origin) else state.origin
                part = ParticleGroup(
                    OFTEN, state.numbers[atoms], state.masses[atoms], state.pbc, atoms, origin
                )
                part.write(file, [*_ALWAYS, *moving, "center_of_mass"])


def _open_file(path: Path, mode: str) -> h5py.File:
    """Open a file with small caches: nothing is read again, and a flush walks through all that is cached."""
    file = h5py.File(path, mode, rdcc_nbytes=_CHUNKS_CACHED)
    config = file.id.get_mdc_config()
    config.set_initial_size, config.initial_size = True, _METADATA_CACHED
    config.min_size, config.max_size = _METADATA_CACHED // 2, 2 * _METADATA_CACHED
    file.id.set_mdc_config(config)
    return file


def create_file(path: Path, stages: Sequence[StageRecord], author: str) -> h5py.File:
    """Make an H5MD file without particles yet.

    Args:
        path: The file; one that is there is replaced.
        stages: The stages that its frames belong to.
        author: The command that makes it.
    """
    file = _open_file(path, "w")
    file.create_group("h5md").attrs["version"] = np.array([1, 1])
    file["h5md"].create_group("author").attrs["name"] = author
    creator = file["h5md"].create_group("creator")
    creator.attrs["name"] = "vitreous"
    creator.attrs["version"] = version("vitreous")
    file[STAGES] = json.dumps([asdict(stage) for stage in stages])
    return file


def record_of(stage: PlannedStage) -> StageRecord:
    """What a trajectory keeps of a stage."""
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
