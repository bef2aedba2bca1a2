"""Positions that stay in their file until they are asked for: trajectories larger than memory."""

from pathlib import Path
from typing import Any

import numpy as np

from md.trajectory import Trajectory
from mlip.errors import DataError

# float64 coordinates beyond this stay on disk
LARGEST_IN_MEMORY = 2**30


class StoredPositions:
    """Unwrapped fractional coordinates of a stage, shape (T, N, 3), read frame by frame.

    It is indexed like an array, by a frame or a slice of frames, then by atoms: `stored[5]`,
    `stored[10:20, atoms]`. `numpy.asarray` reads all of it.
    """

    def __init__(self, path: Path, particles: str, frames: slice) -> None:
        """Point at frames of a file; nothing is read but their number.

        Args:
            path: H5MD of `mlip md`.
            particles: `all` or `often`.
            frames: the frames of one stage, with whole numbers as limits.
        """
        self._path, self._particles, self._start = path, particles, frames.start
        with Trajectory(path, particles) as trajectory:
            self.shape = (frames.stop - frames.start, len(trajectory.numbers), 3)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        which, *others = index if isinstance(index, tuple) else (index,)
        if isinstance(which, slice):
            return self._read(which)[(slice(None), *others)]
        frame = range(len(self))[which]
        return self._read(slice(frame, frame + 1))[(0, *others)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self._read(slice(None)).astype(dtype or np.float64, copy=False)

    def _read(self, frames: slice) -> np.ndarray:
        start, stop, step = frames.indices(len(self))
        with Trajectory(self._path, self._particles) as trajectory:
            found = trajectory.fractional(slice(self._start + start, self._start + stop, step))
        if not np.isfinite(found).all():
            raise DataError(f"{self._path} holds positions that are not finite; the run went wrong")
        return found


def read_positions(trajectory: Trajectory, frames: slice, particles: str) -> np.ndarray | StoredPositions:
    """Read the coordinates of a stage, or leave them in the file where they are too many for memory.

    Args:
        trajectory: the open file.
        frames: the frames of one stage.
        particles: which particles the file was opened for.
    """
    size = (frames.stop - frames.start) * len(trajectory.numbers) * 3 * 8
    if size > LARGEST_IN_MEMORY:
        return StoredPositions(trajectory.path, particles, frames)
    return trajectory.fractional(frames)
