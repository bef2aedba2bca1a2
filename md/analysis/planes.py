"""Ions that pass planes of the cell: their net flux against time, and the diffusivity across a plane."""

from dataclasses import dataclass

import numpy as np

from md.analysis.frames import Frames
from md.analysis.msd import require_interval
from md.analysis.paths import ReferenceFrame, chunk_frames, find_reference, sum_over_paths
from md.analysis.walker import brownian_covariance, slope_weights
from mlip.errors import ConfigError, DataError
from mlip.units import A2_PER_PS_IN_CM2_PER_S

_NUM_BLOCKS = 10
_MOST_LAGS, _FEWEST_LAGS, _LONGEST_TO_FIRST, _LAST_LAG_FRACTION = 16, 4, 10, 0.3


@dataclass(frozen=True)
class NetFlux:
    """Net number of ions of one species that have passed a plane.

    Attributes:
        species: symbol.
        plane: fractional coordinate of the plane along `axis`.
        axis: lattice vector, a, b or c.
        times_ps: shape (T,).
        crossed: ions that have passed along the vector since the start, less those that came back, (T,).
        value: mean flux over the run, 1/(A^2 ps).
        error: its standard error, from ten blocks of time.
        area_A2: mean area of the plane.
        method: how it was counted.
    """

    species: str
    plane: float
    axis: str
    times_ps: np.ndarray
    crossed: np.ndarray
    value: float
    error: float
    area_A2: float
    method: str

    unit = "1/(A^2 ps)"


@dataclass(frozen=True)
class PlaneDiffusivity:
    """Diffusivity across a plane, from how many ions pass it.

    Attributes:
        species: symbol.
        plane: fractional coordinate of the plane along `axis`.
        axis: lattice vector, a, b or c.
        value: D across the plane in cm^2/s; None where too few ions passed.
        error: its standard error, from ten blocks of time.
        lags_ps: lags of the fit, shape (L,).
        reach_A: ions that pass one way in a lag, divided by density and area, shape (L,), A.
        num_crossings: passages per block of time at the first lag.
        method: how it was found.
        warnings: why it should be believed less.
    """

    species: str
    plane: float
    axis: str
    value: float | None
    error: float | None
    lags_ps: np.ndarray
    reach_A: np.ndarray
    num_crossings: float
    method: str
    warnings: tuple[str, ...] = ()

    unit = "cm^2/s"


def count_net_flux(
    frames: Frames, species: str, plane: float, axis: str = "c", reference: ReferenceFrame | None = None
) -> NetFlux:
    """Count the ions that pass a plane and all its periodic images along one lattice vector.

    Args:
        frames: frames with times.
        species: symbol.
        plane: fractional coordinate along `axis`.
        axis: lattice vector that the plane is crossed along: a, b or c.
        reference: what the plane rests in; by default the centre of mass of all atoms.

    Raises:
        ConfigError: There is no such lattice vector.
    """
    times = frames.require_times()
    atoms, column = frames.select(species), lattice_index(axis)
    reference = reference or find_reference(frames)
    moved = (reference.centers - reference.centers[0])[:, column]
    passed = [
        np.floor(frames.fractional[chunk][:, atoms, column] - moved[chunk, None] - plane).sum(axis=1)
        for chunk in chunk_frames(frames)
    ]
    crossed = np.concatenate(passed)
    crossed -= crossed[0]
    area = float(np.mean(frames.volumes / plane_distances(frames.cells, column)))
    edges = np.linspace(0, len(times) - 1, _NUM_BLOCKS + 1).round().astype(int)
    edges = np.unique(edges)
    rates = np.diff(crossed[edges]) / np.diff(times[edges]) / area
    return NetFlux(
        species=species,
        plane=plane,
        axis=axis,
        times_ps=times - times[0],
        crossed=crossed,
        value=float(crossed[-1] / (times[-1] - times[0]) / area),
        error=float(rates.std(ddof=1) / np.sqrt(len(rates))) if len(rates) > 1 else float("inf"),
        area_A2=area,
        method=(
            f"net passages of the plane {axis} = {plane:g} and its images, both ways, unwrapped, "
            f"{reference.method}; error from {len(rates)} blocks of time"
        ),
    )


def estimate_plane_diffusivity(
    frames: Frames,
    species: str,
    plane: float,
    first_lag_ps: float,
    width_A: float,
    axis: str = "c",
    reference: ReferenceFrame | None = None,
) -> PlaneDiffusivity:
    """Estimate the diffusivity across a plane from the ions that are on its other side after a lag.

    Brownian ions of density rho pass an area A one way at N(t) = rho A sqrt(D t / pi); the slope of
    pi (N / rho A)^2 against t is free of rattling at the plane, which adds a constant. Ions that go on to
    another image of the plane count again. No slab is cut out whose width would limit displacements. Value
    and error are those of the jackknife over blocks of time.

    Args:
        frames: evenly spaced frames.
        species: symbol.
        plane: fractional coordinate along `axis`.
        first_lag_ps: lag from which motion is diffusive.
        width_A: full width of the layer about the plane that the density is taken from.
        axis: lattice vector that the plane is crossed along: a, b or c.
        reference: what the plane rests in; by default the centre of mass of all atoms.

    Raises:
        DataError: The run is too short for the lags.

    Source:
        Half the mean absolute displacement of a Gaussian: Crank, The Mathematics of Diffusion (1975), 2.2.
    """
    interval_ps, column = require_interval(frames), lattice_index(axis)
    reference = reference or find_reference(frames)
    lags = _choose_lags(frames.num_frames, max(1, int(np.ceil(first_lag_ps / interval_ps - 1e-9))))
    height = float(plane_distances(frames.cells, column).mean())
    inverse = np.linalg.inv(frames.mean_cell)[:, column]
    edges = np.linspace(0, frames.num_frames - lags[-1], _NUM_BLOCKS + 1).round().astype(int)
    half = min(0.5, 0.5 * width_A / height)

    def count(paths: np.ndarray) -> np.ndarray:
        heights = np.einsum("nat,a->nt", paths, inverse) - plane
        near = np.abs(heights - np.round(heights)) < half
        rows = [_block_means(near, edges)]
        side = np.floor(heights)
        rows += [_block_means(np.abs(side[:, lag:] - side[:, :-lag]), edges) / 2 for lag in lags]
        return np.array(rows)

    counted = sum_over_paths(frames, frames.select(species), reference, count)
    # passages one way, per density and area: n in a layer of 2 half height = rho A 2 half height
    reach = counted[1:] * 2 * half * height / np.maximum(counted[0].mean(), 1e-12)
    weights, _ = slope_weights(lags * interval_ps, brownian_covariance(lags, frames.num_frames, 1, 1))
    left_out = (reach.sum(axis=1, keepdims=True) - reach) / (_NUM_BLOCKS - 1)
    slopes = np.pi * weights @ left_out**2
    slope = float(np.pi * weights @ reach.mean(axis=1) ** 2)
    spread = float(np.sqrt((_NUM_BLOCKS - 1) * slopes.var()))
    value = _NUM_BLOCKS * slope - (_NUM_BLOCKS - 1) * float(slopes.mean())
    passages = float(counted[1].mean() * (edges[1] - edges[0]) / lags[0])
    is_known = value > spread
    return PlaneDiffusivity(
        species=species,
        plane=plane,
        axis=axis,
        value=value * A2_PER_PS_IN_CM2_PER_S if is_known else None,
        error=spread * A2_PER_PS_IN_CM2_PER_S if is_known else None,
        lags_ps=lags * interval_ps,
        reach_A=reach.mean(axis=1),
        num_crossings=passages,
        method=(
            f"crossing flux of the plane {axis} = {plane:g}: slope of pi (N / rho A)^2 against t; "
            f"density within {half * height:.2f} A; {reference.method}; error: jackknife over "
            f"{_NUM_BLOCKS} blocks"
            if is_known
            else f"no D across {axis} = {plane:g}: too few ions pass it for a slope"
        ),
        warnings=("fewer than ten ions pass the plane in a block of time",) if passages < 10 else (),
    )


def lattice_index(axis: str) -> int:
    """Index of a lattice vector named a, b or c.

    Raises:
        ConfigError: There is no such vector.
    """
    if axis not in ("a", "b", "c"):
        raise ConfigError(f"found axis={axis}; expected one of the lattice vectors a, b, c")
    return "abc".index(axis)


def plane_distances(cells: np.ndarray, column: int) -> np.ndarray:
    """Distance of the two faces of each cell that lattice vector `column` joins, shape (T,), A."""
    return np.asarray(1.0 / np.linalg.norm(np.linalg.inv(cells)[..., column], axis=-1))


def _block_means(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Sum over ions and mean over the time origins of each block, shape (blocks,)."""
    total = np.concatenate([[0.0], np.cumsum(values.sum(axis=0, dtype=float))])
    return np.asarray(np.diff(total[edges]) / np.diff(edges))


def _choose_lags(num_frames: int, first: int) -> np.ndarray:
    last = min(int(_LAST_LAG_FRACTION * num_frames), _LONGEST_TO_FIRST * max(first, 2))
    lags = np.unique(np.geomspace(first, max(first, last), _MOST_LAGS).round().astype(int))
    if len(lags) < _FEWEST_LAGS or num_frames - lags[-1] < 2 * _NUM_BLOCKS:
        raise DataError(
            f"found {num_frames} frames where motion is diffusive from a lag of {first} on; expected a run "
            "several times as long for a crossing flux"
        )
    return lags
