"""Van Hove functions: how far an ion has gone after a time, and where the others then are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from md.analysis.frames import Frames
from md.analysis.msd import require_interval
from md.analysis.pairs import find_pairs, spread_frames
from md.analysis.paths import ReferenceFrame, find_reference, sum_over_paths
from mlip.errors import DataError

_MOST_ORIGINS_SELF, _MOST_ORIGINS_DISTINCT = 200, 20


@dataclass(frozen=True)
class VanHove:
    """Self and distinct part of the van Hove function at some lags.

    Attributes:
        species: symbol.
        lags_ps: shape (L,).
        r: middle of each bin, shape (R,), A.
        displaced: 4 pi r^2 G_s(r, t), the density of displacements, integral 1, shape (L, R), 1/A.
        distinct: G_d(r, t) over the density: 1 where an ion's former place says nothing, shape (L, R).
        value: non-Gaussian parameter alpha_2 at the longest lag; 0 for Brownian motion.
        error: its difference between the halves of the ions; None for one ion.
        non_gaussian: alpha_2 = 3 <r^4> / (5 <r^2>^2) - 1 at each lag, shape (L,).
        method: how it was found.
    """

    species: str
    lags_ps: np.ndarray
    r: np.ndarray
    displaced: np.ndarray
    distinct: np.ndarray
    value: float
    error: float | None
    non_gaussian: np.ndarray
    method: str

    unit = "1"


def compute_van_hove(
    frames: Frames,
    species: str,
    lags_ps: Sequence[float],
    r_max: float = 8.0,
    bin_width: float = 0.2,
    reference: ReferenceFrame | None = None,
) -> VanHove:
    """Compute the van Hove functions of one species.

    Args:
        frames: evenly spaced frames.
        species: symbol.
        lags_ps: times between the two looks, each at most 70 % of the run; rounded to whole frames.
        r_max: largest distance, A.
        bin_width: width of a bin, A.
        reference: what displacements are relative to; by default the centre of mass of all atoms.

    Raises:
        DataError: A lag does not fit into the run.

    Source:
        Van Hove, Phys. Rev. 95, 249 (1954), 10.1103/PhysRev.95.249; alpha_2: Rahman, Phys. Rev. 136, A405
        (1964), 10.1103/PhysRev.136.A405.
    """
    lags = np.array([round(lag / require_interval(frames)) for lag in lags_ps])
    if not len(lags) or lags.min() < 1 or lags.max() > 0.7 * frames.num_frames:
        raise DataError(
            f"found lags of {', '.join(f'{lag:g}' for lag in lags_ps)} ps in {frames.duration_ps:.4g} ps; "
            "expected at least one frame and at most 70 % of the run"
        )
    edges = np.arange(0.0, r_max + bin_width / 2, bin_width)
    atoms, reference = frames.select(species), reference or find_reference(frames)

    def measure(paths: np.ndarray) -> np.ndarray:
        rows = []
        for lag in lags:
            origins = spread_frames(paths.shape[2] - lag, _MOST_ORIGINS_SELF)
            squares = np.sum((paths[..., origins + lag] - paths[..., origins]) ** 2, axis=1)
            counts, _ = np.histogram(np.sqrt(squares), edges)
            rows.append([squares.size, squares.sum(), (squares**2).sum(), *counts])
        return np.array(rows)

    halves = [
        sum_over_paths(frames, part, reference, measure) for part in (atoms[::2], atoms[1::2]) if len(part)
    ]
    total = np.sum(halves, axis=0)
    shape = [_non_gaussian(part) for part in (*halves, total)]
    spacing = frames.require_times()[1] - frames.require_times()[0]
    return VanHove(
        species=species,
        lags_ps=lags * spacing,
        r=0.5 * (edges[1:] + edges[:-1]),
        displaced=total[:, 3:] / (total[:, :1] * bin_width),
        distinct=np.array([_distinct(frames, atoms, int(lag), edges, reference) for lag in lags]),
        value=float(shape[-1][-1]),
        error=float(abs(shape[0][-1] - shape[1][-1])) / 2 if len(halves) == 2 else None,
        non_gaussian=shape[-1],
        method=(
            f"{len(atoms)} atoms, at most {_MOST_ORIGINS_SELF} time origins (distinct part "
            f"{_MOST_ORIGINS_DISTINCT}), {reference.method}; alpha_2 at {lags[-1] * spacing:.3g} ps, error: "
            "half the difference of the halves of the ions"
        ),
    )


def _non_gaussian(part: np.ndarray) -> np.ndarray:
    count, squares, fourths = part[:, 0], part[:, 1], part[:, 2]
    return np.asarray(3 * count * fourths / (5 * np.maximum(squares, 1e-300) ** 2) - 1)


def _distinct(
    frames: Frames, atoms: np.ndarray, lag: int, edges: np.ndarray, reference: ReferenceFrame
) -> np.ndarray:
    """Other ions about the place where an ion was, over their density, shape (R,)."""
    num_atoms, cell = len(atoms), frames.mean_cell
    origins = spread_frames(frames.num_frames - lag, _MOST_ORIGINS_DISTINCT)
    counts = np.zeros(len(edges) - 1)
    for start in origins:
        before, after = (
            frames.fractional[int(frame)][atoms] - reference.centers[frame] for frame in (start, start + lag)
        )
        centre, neighbor, vector = find_pairs(np.concatenate([before, after]), cell, float(edges[-1]))
        others = (centre < num_atoms) & (neighbor >= num_atoms) & (neighbor - num_atoms != centre)
        counts += np.histogram(np.linalg.norm(vector[others], axis=1), edges)[0]
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    density = max(num_atoms - 1, 1) / frames.volumes.mean()
    return np.asarray(counts / (len(origins) * num_atoms * density * shells))
