"""How far ions have gone along one direction after a time: histograms, as across an interface."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from md.analysis.frames import Frames
from md.analysis.msd import require_interval
from md.analysis.pairs import spread_frames
from md.analysis.paths import find_reference
from md.analysis.planes import lattice_index, plane_distances
from mlip.errors import DataError

_MOST_ORIGINS = 100
_NUM_BINS = 80


@dataclass(frozen=True)
class Displacements:
    """Displacements of a species normal to the layers of a stack.

    Attributes:
        species: symbol.
        axis: lattice vector that the layers are stacked along.
        lags_ps: shape (L,).
        edges_A: of the bins, shape (B + 1,).
        density: of displacements, integral 1, shape (L, B), 1/A.
        value: root mean square displacement at the longest lag, A.
        error: None: it is a width, of the displacements in this run.
        method: how it was found.
    """

    species: str
    axis: str
    lags_ps: np.ndarray
    edges_A: np.ndarray
    density: np.ndarray
    value: float
    error: float | None
    method: str

    unit = "A"


def compute_displacements(
    frames: Frames, species: str, lags_ps: Sequence[float], axis: str = "c"
) -> Displacements:
    """Histograms of displacements normal to the plane of the other two lattice vectors.

    Args:
        frames: evenly spaced frames.
        species: symbol.
        lags_ps: times between the two looks, shorter than the run; rounded to whole frames.
        axis: lattice vector that the layers are stacked along.

    Raises:
        DataError: A lag does not fit into the run.
    """
    interval_ps = require_interval(frames)
    lags = np.array([round(lag / interval_ps) for lag in lags_ps])
    if not len(lags) or lags.min() < 1 or lags.max() >= frames.num_frames:
        raise DataError(
            f"found lags of {', '.join(f'{lag:g}' for lag in lags_ps)} ps in {frames.duration_ps:.4g} ps; "
            "expected at least one frame and less than the run"
        )
    column, atoms, reference = lattice_index(axis), frames.select(species), find_reference(frames)
    height_A = float(plane_distances(frames.mean_cell[None], column)[0])
    moved = []
    for lag in lags:
        origins = spread_frames(frames.num_frames - lag, _MOST_ORIGINS)
        looks = [_heights(frames, k + lag, atoms, reference.centers, column) for k in origins]
        before = [_heights(frames, k, atoms, reference.centers, column) for k in origins]
        moved.append(height_A * (np.array(looks) - np.array(before)).ravel())
    reach = max(float(np.abs(each).max()) for each in moved) or 1.0
    edges = np.linspace(-reach, reach, _NUM_BINS + 1)
    return Displacements(
        species=species,
        axis=axis,
        lags_ps=lags * interval_ps,
        edges_A=edges,
        density=np.array([np.histogram(each, edges, density=True)[0] for each in moved]),
        value=float(np.sqrt(np.mean(moved[-1] ** 2))),
        error=None,
        method=(
            f"root mean square displacement normal to the layers along {axis} after "
            f"{lags[-1] * interval_ps:.3g} ps, {len(atoms)} atoms, at most {_MOST_ORIGINS} time origins, "
            f"{reference.method}"
        ),
    )


def _heights(frames: Frames, index: int, atoms: np.ndarray, centers: np.ndarray, column: int) -> np.ndarray:
    """Fractional coordinates along the axis, relative to the frame of reference, shape (n,)."""
    return np.asarray(frames.fractional[int(index)][atoms, column] - centers[int(index), column])
