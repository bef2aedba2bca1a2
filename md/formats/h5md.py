"""H5MD of `mlip md`: frames out of it, and frames of other programs into it."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from md.formats.frame import Frame
from md.trajectory import Trajectory
from md.trajectory_layout import ALL, STAGES, FrameAppender, ParticleGroup, StageRecord
from md.trajectory_writer import create_file
from mlip.errors import DataError

_UNKNOWN_STAGE = StageRecord("converted", "unknown", None, 0.0, None, None, production=True)


def read_h5md(path: Path, frames: slice, particles: str = ALL) -> Iterator[Frame]:
    """Read frames one by one.

    Args:
        path: The file.
        frames: Which frames.
        particles: `all` atoms, or the species stored `often`.

    Raises:
        DataError: It is no trajectory of ours, or damaged.
    """
    with Trajectory(path, particles) as trajectory:
        for index in range(*frames.indices(len(trajectory))):
            one = slice(index, index + 1)
            target, energy = trajectory.target_temperatures_K[index], trajectory.potential_eV[index]
            yield Frame(
                numbers=trajectory.numbers,
                masses=trajectory.masses,
                positions=trajectory.positions(one)[0],
                images=trajectory.images(one)[0].astype(np.int64),
                cell=trajectory.cells[index],
                pbc=trajectory.pbc,
                step=int(trajectory.steps[index]),
                time_ps=float(trajectory.times_ps[index]),
                velocities=trajectory.velocities(one)[0] if trajectory.has_velocities else None,
                stage=trajectory.stages[trajectory.frame_stages[index]],
                target_K=None if np.isnan(target) else float(target),
                potential_eV=None if np.isnan(energy) else float(energy),
            )


class H5mdWriter:
    """Frames into a file that `Trajectory` and `mlip analyze` read."""

    def __init__(self, path: Path) -> None:
        """Make the file; what is in it follows from its first frame."""
        self._file = create_file(path, [], "mlip convert")
        self._stages: list[StageRecord] = []
        self._numbers = np.zeros(0, dtype=np.int64)
        self._moving = False
        self._appender: FrameAppender | None = None

    def write(self, frame: Frame) -> None:
        """Append one frame.

        Raises:
            DataError: It has no time, or not the atoms of the frames before.
        """
        if frame.time_ps is None:
            raise DataError(
                f"the frame of step {frame.step} has no time, and H5MD wants one; give timestep_fs=, the "
                "time between stored frames (of a LAMMPS dump, per step number)"
            )
        if self._appender is None:
            self._appender = self._begin(frame)
        same = np.array_equal(frame.numbers, self._numbers)
        if not same or (frame.velocities is None and self._moving):
            raise DataError(
                f"step {frame.step} has other atoms than the first frame, or no velocities; expected frames "
                "of one system"
            )
        stage = frame.stage or _UNKNOWN_STAGE
        if stage not in self._stages:
            self._stages.append(stage)
        self._appender.append(
            {
                "position": frame.positions,
                "image": frame.images,
                "velocity": frame.velocities,
                "edges": frame.cell,
                "stage": self._stages.index(stage),
                "target_temperature": np.nan if frame.target_K is None else frame.target_K,
                "potential_energy": np.nan if frame.potential_eV is None else frame.potential_eV,
                "time": frame.time_ps,
                "step": frame.step,
            }
        )

    def close(self) -> None:
        """Close the file; the stages are known only now."""
        del self._file[STAGES]
        self._file[STAGES] = json.dumps([asdict(stage) for stage in self._stages])
        self._file.close()

    def _begin(self, frame: Frame) -> FrameAppender:
        self._numbers, self._moving = frame.numbers, frame.velocities is not None
        names = ["position", "image", "edges", "stage", "target_temperature", "potential_energy"]
        group = ParticleGroup(ALL, frame.numbers, frame.masses, frame.pbc)
        group.write(self._file, [*names, "velocity"] if self._moving else names)
        return FrameAppender(self._file, ALL)
