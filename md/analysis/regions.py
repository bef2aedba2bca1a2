"""Diffusion parallel to the layers of a stack, region by region, of ions that stay inside."""

from dataclasses import dataclass

import numpy as np

from md.analysis.diffusion import Diffusivity
from md.analysis.frames import Frames
from md.analysis.msd import require_interval
from md.analysis.paths import ReferenceFrame, find_reference, sum_over_paths
from md.analysis.planes import lattice_index
from md.analysis.walker import brownian_covariance, slope_weights
from mlip.errors import ConfigError
from mlip.units import A2_PER_PS_IN_CM2_PER_S

_MOST_LAGS, _FEWEST_LAGS, _LAST_LAG_FRACTION = 40, 5, 0.7
# fewer ions than this that stay for a lag say nothing about it
_FEWEST_SURVIVORS = 0.5
_DIMENSION = 2


@dataclass(frozen=True)
class Region:
    """A layer between two planes along one lattice vector; it may reach over the end of the cell.

    Attributes:
        name: its name.
        start: fractional coordinate where it begins.
        end: fractional coordinate where it ends.
        axis: lattice vector, a, b or c.
    """

    name: str
    start: float
    end: float
    axis: str = "c"

    def __post_init__(self) -> None:
        lattice_index(self.axis)
        if not (0 <= self.start <= 1 and 0 <= self.end <= 1) or self.start == self.end:
            raise ConfigError(
                f"found region {self.name} from {self.start} to {self.end}; expected two different fractions "
                f"of the lattice vector {self.axis}, such as [0.2, 0.5]"
            )

    @property
    def width(self) -> float:
        """Thickness in units of the lattice vector."""
        return self.end - self.start if self.end > self.start else self.end - self.start + 1.0


def estimate_parallel_diffusivity(
    frames: Frames,
    species: str,
    region: Region,
    hop_distance_A: float,
    reference: ReferenceFrame | None = None,
) -> Diffusivity:
    """Estimate the diffusivity parallel to a layer from ions that are in it for the whole of each lag.

    Ions that have left and come back do not count, so neighbors of other mobility do not mix in; motion
    across the layer says nothing about motion along it, so that staying does not select slow ions.

    Args:
        frames: evenly spaced frames.
        species: symbol.
        region: the layer.
        hop_distance_A: site-to-site distance a, A.
        reference: what the layer rests in; by default the centre of mass of all atoms.

    Source:
        Liu, Harder and Berne, J. Phys. Chem. B 108, 6595 (2004), 10.1021/jp0375057, eq. 13.
    """
    interval_ps = require_interval(frames)
    reference = reference or find_reference(frames)
    lags = _choose_lags(frames.num_frames)
    sums, stayed = _survivors(frames, species, region, lags, reference)
    inside = stayed[0] / frames.num_frames
    survivors = stayed[1:] / (frames.num_frames - lags)
    usable = survivors >= _FEWEST_SURVIVORS
    moved = np.where(usable, sums[1:] / np.maximum(stayed[1:], 1.0), 0.0)
    has_left = np.maximum.accumulate(moved >= 0.5 * hop_distance_A**2)
    window = np.flatnonzero(usable & has_left)
    num_hops = float(inside * moved.max() / hop_distance_A**2)
    if len(window) < _FEWEST_LAGS:
        return _bound(species, region, lags * interval_ps, moved, usable, num_hops, hop_distance_A)
    covariance = brownian_covariance(lags[window], frames.num_frames, 1, _DIMENSION)
    covariance /= np.sqrt(np.outer(survivors[window], survivors[window]))
    times = lags[window] * interval_ps
    weights, variance = slope_weights(times, covariance)
    value = float(weights @ moved[window]) / (2 * _DIMENSION)
    scale = float(np.mean(moved[window] / lags[window])) / (2 * _DIMENSION)
    error_fit = scale * np.sqrt(variance) / (2 * _DIMENSION)
    error_he = (3.43 / np.sqrt(num_hops) + 0.04) * abs(value)
    slope = float(np.polyfit(np.log(times), np.log(moved[window]), 1)[0])
    if value <= 0 or slope < 0.5:
        return _bound(species, region, lags * interval_ps, moved, usable, num_hops, hop_distance_A)
    unit = A2_PER_PS_IN_CM2_PER_S
    return Diffusivity(
        species=species,
        value=value * unit,
        error=max(error_fit, error_he) * unit,
        upper_bound=None,
        window_ps=(float(times[0]), float(times[-1])),
        intercept_A2=float(np.mean(moved[window] - 2 * _DIMENSION * value * times)),
        log_slope=slope,
        error_he=error_he * unit,
        error_fit=error_fit * unit,
        num_hops=num_hops,
        hop_distance_A=hop_distance_A,
        dimension=_DIMENSION,
        method=(
            f"slope of the MSD / 4 parallel to the layer {region.axis} = {region.start:g} to {region.end:g}, "
            f"of the {inside:.1f} {species} in it, each as long as it stays (Liu et al. 2004), by "
            f"generalised least squares; {reference.method}; error: the larger of the fit's and of He et al."
        ),
        warnings=() if 0.8 <= slope <= 1.2 else (f"ln MSD against ln t has slope {slope:.2f}, not 1",),
    )


def _survivors(
    frames: Frames, species: str, region: Region, lags: np.ndarray, reference: ReferenceFrame
) -> tuple[np.ndarray, np.ndarray]:
    """Sums of squared parallel displacements of ions that stay, and their number, at lag 0 and all lags."""
    column = lattice_index(region.axis)
    inverse = np.linalg.inv(frames.mean_cell)[:, column]
    normal = inverse / np.linalg.norm(inverse)

    def measure(paths: np.ndarray) -> np.ndarray:
        inside = (np.einsum("nat,a->nt", paths, inverse) - region.start) % 1.0 < region.width
        # frames until an ion is outside for the first time, counted from the end backwards
        outside = np.where(inside, paths.shape[2], np.arange(paths.shape[2]))
        leaves = np.minimum.accumulate(outside[:, ::-1], axis=1)[:, ::-1]
        across = np.einsum("nat,a->nt", paths, normal)
        parallel = paths - normal[:, None] * across[:, None]
        found = [(0.0, float(inside.sum()))]
        for lag in lags:
            stays = leaves[:, :-lag] > np.arange(lag, paths.shape[2])
            squares = np.sum((parallel[..., lag:] - parallel[..., :-lag]) ** 2, axis=1)
            found.append((float(squares[stays].sum()), float(stays.sum())))
        return np.array(found).T

    sums, stayed = sum_over_paths(frames, frames.select(species), reference, measure)
    return sums, stayed


def _choose_lags(num_frames: int) -> np.ndarray:
    last = max(1, int(_LAST_LAG_FRACTION * (num_frames - 1)))
    return np.unique(np.geomspace(1, last, _MOST_LAGS).round().astype(int))


def _bound(
    species: str,
    region: Region,
    times: np.ndarray,
    moved: np.ndarray,
    usable: np.ndarray,
    num_hops: float,
    hop_distance_A: float,
) -> Diffusivity:
    longest = float(times[usable][-1]) if usable.any() else float(times[0])
    raised = moved.max() * (1 + 2 * (3.43 / np.sqrt(num_hops) + 0.04)) if num_hops > 0 else 0.0
    furthest = max(float(raised), 0.5 * hop_distance_A**2)
    return Diffusivity(
        species=species,
        value=None,
        error=None,
        upper_bound=furthest / (2 * _DIMENSION * longest) * A2_PER_PS_IN_CM2_PER_S,
        window_ps=(0.0, longest),
        intercept_A2=None,
        log_slope=None,
        error_he=None,
        error_fit=None,
        num_hops=num_hops,
        hop_distance_A=hop_distance_A,
        dimension=_DIMENSION,
        method=(
            f"upper bound max(MSD (1 + 2 RSD), 0.5 a^2) / 4t parallel to the layer {region.name}: ions do "
            f"not stay in it, or do not move, long enough for a slope ({longest:.4g} ps)"
        ),
    )
