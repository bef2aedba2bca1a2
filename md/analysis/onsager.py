"""Onsager coefficients: how the motion of one species carries itself and the others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from md.analysis.frames import Frames
from md.analysis.msd import require_interval
from md.analysis.paths import find_reference, sum_groups
from md.analysis.walker import brownian_covariance, slope_weights
from mlip.errors import DataError
from mlip.units import BOLTZMANN_EV_PER_K

_LAST_LAG_FRACTION, _LONGEST_TO_FIRST = 0.7, 10
_MOST_LAGS, _FEWEST_LAGS = 20, 3
_BLOCK_IN_FIRST_LAGS, _FEWEST_BLOCKS = 5, 8
_NUM_BOOTSTRAPS = 1000


@dataclass(frozen=True)
class Onsager:
    """Onsager coefficients L_ij of some species in linear response, J_i = -sum_j L_ij grad mu_j.

    Attributes:
        species: symbols, in the order of rows and columns.
        value: L_ij, shape (S, S), 1/(eV A ps).
        error: standard error, the larger of those of the fit and of the bootstrap, shape (S, S).
        error_fit: that of the fit, with the covariance of Brownian walkers, shape (S, S).
        error_bootstrap: that of blocks drawn again, shape (S, S); None for too few blocks.
        interval: 95 % confidence interval, lower and upper end, shape (2, S, S).
        num_samples: independent samples of collective motion that the fit is worth.
        samples: coefficients of blocks drawn again, shape (B, S, S); (0, S, S) for too few blocks.
        frame: frame of reference, in words.
        window_ps: first and last lag of the fit.
        directions: Cartesian directions averaged over.
        temperature_K: temperature.
        volume_A3: mean volume.
        method: how it was found.
        warnings: why it should be believed less.
    """

    species: tuple[str, ...]
    value: np.ndarray
    error: np.ndarray
    error_fit: np.ndarray
    error_bootstrap: np.ndarray | None
    interval: np.ndarray
    num_samples: float
    samples: np.ndarray
    frame: str
    window_ps: tuple[float, float]
    directions: str
    temperature_K: float
    volume_A3: float
    method: str
    warnings: tuple[str, ...] = ()

    unit = "1/(eV A ps)"

    @property
    def quantile(self) -> float:
        """Standard errors in half a 95 % interval."""
        return float(student.ppf(0.975, self.num_samples))


def compute_onsager(
    replicas: Sequence[Frames],
    species: Sequence[str],
    temperature_K: float,
    first_lag_ps: float,
    frame: str,
    directions: str = "xyz",
    seed: int = 0,
) -> Onsager:
    """Compute Onsager coefficients from the collective displacements of species.

    L_ij = 1/(2 d k T V) d/dt <sum_a dr_a . sum_b dr_b> over the d directions chosen. A run holds as many
    independent samples of it as it is longer than the memory of the motion, however many ions there are.

    Args:
        replicas: stretches of the same atoms at one temperature.
        species: symbols.
        temperature_K: temperature.
        first_lag_ps: lag from which motion is diffusive.
        frame: `barycentric`, or `framework`: the atoms that are not of these species.
        directions: Cartesian directions to average over.
        seed: of the bootstrap.

    Raises:
        DataError: A run is too short for a slope.

    Source:
        Fong et al., Macromolecules 53, 9503 (2020), 10.1021/acs.macromol.0c02001, eq. 5; Student's interval
        with the number of samples from the fit's own variance (Satterthwaite).
    """
    parts = [_measure(each, species, temperature_K, first_lag_ps, frame, directions) for each in replicas]
    lengths = np.array([each.num_frames for each in replicas], dtype=float)
    weights = lengths / lengths.sum()
    blocks = np.concatenate([weight * part.blocks for weight, part in zip(weights, parts, strict=True)])
    value = blocks.sum(axis=0)
    variance = float(sum(weight**2 * part.variance for weight, part in zip(weights, parts, strict=True)))
    diagonal = np.diag(value)
    error_fit = np.sqrt(variance / 2 * (np.outer(diagonal, diagonal) + value**2))
    samples = _draw_again(blocks, seed)
    error_bootstrap = samples.std(axis=0, ddof=1) if len(samples) else None
    error = error_fit if error_bootstrap is None else np.maximum(error_fit, error_bootstrap)
    num_samples = 2.0 / variance
    half = student.ppf(0.975, num_samples) * error
    reference = find_reference(replicas[0], frame, species)
    return Onsager(
        species=tuple(species),
        value=value,
        error=error,
        error_fit=error_fit,
        error_bootstrap=error_bootstrap,
        interval=np.array([value - half, value + half]),
        num_samples=num_samples,
        samples=samples,
        frame=reference.name,
        window_ps=parts[0].window_ps,
        directions=directions,
        temperature_K=temperature_K,
        volume_A3=float(weights @ [each.volumes.mean() for each in replicas]),
        method=(
            f"slope of <sum dr_i . sum dr_j> / (2 d k T V), {reference.method}, {len(replicas)} runs, by "
            "generalised least squares with the covariance of a Brownian walker; error: the larger of the "
            f"fit's and of {_NUM_BOOTSTRAPS} bootstraps over {len(blocks)} blocks of time"
        ),
        warnings=_warnings(num_samples, error_fit, error_bootstrap),
    )


@dataclass(frozen=True)
class _Part:
    """What one run brings: coefficients block by block of time origins, relative variance, window."""

    blocks: np.ndarray
    variance: float
    window_ps: tuple[float, float]


def _measure(
    frames: Frames,
    species: Sequence[str],
    temperature_K: float,
    first_lag_ps: float,
    frame: str,
    directions: str,
) -> _Part:
    interval_ps = require_interval(frames)
    lags = _choose_lags(frames.num_frames, max(1, int(np.ceil(first_lag_ps / interval_ps - 1e-9))))
    reference = find_reference(frames, frame, species)
    axes = ["xyz".index(axis) for axis in directions]
    sums = sum_groups(frames, [frames.select(symbol) for symbol in species], reference)[..., axes]
    covariance = brownian_covariance(lags, frames.num_frames, 1, len(axes))
    weights, variance = slope_weights(lags * interval_ps, covariance)
    per_origin = np.zeros((frames.num_frames, len(species), len(species)))
    for lag, weight in zip(lags, weights, strict=True):
        moved = sums[lag:] - sums[:-lag]
        per_origin[: len(moved)] += np.einsum("tia,tja->tij", moved, moved) * (weight / len(moved))
    per_origin /= 2 * len(axes) * BOLTZMANN_EV_PER_K * temperature_K * frames.volumes.mean()
    starts = np.arange(0, frames.num_frames, _BLOCK_IN_FIRST_LAGS * int(lags[0]))
    relative = variance * (interval_ps / (2 * len(axes))) ** 2
    window_ps = (float(lags[0] * interval_ps), float(lags[-1] * interval_ps))
    return _Part(np.add.reduceat(per_origin, starts, axis=0), relative, window_ps)


def _choose_lags(num_frames: int, first: int) -> np.ndarray:
    last = min(int(_LAST_LAG_FRACTION * (num_frames - 1)), max(_LONGEST_TO_FIRST, _LONGEST_TO_FIRST * first))
    lags = np.unique(np.geomspace(first, max(first, last), _MOST_LAGS).round().astype(int))
    if len(lags) < _FEWEST_LAGS:
        raise DataError(
            f"found {num_frames} frames where motion is diffusive from a lag of {first} on; expected a run "
            "several times as long for collective motion"
        )
    return lags


def _draw_again(blocks: np.ndarray, seed: int) -> np.ndarray:
    """Sums of as many blocks, drawn with replacement."""
    if len(blocks) < _FEWEST_BLOCKS:
        return np.zeros((0, *blocks.shape[1:]))
    drawn = np.random.default_rng(seed).multinomial(
        len(blocks), np.full(len(blocks), 1 / len(blocks)), size=_NUM_BOOTSTRAPS
    )
    return np.einsum("bk,kij->bij", drawn, blocks)


def _warnings(
    num_samples: float, error_fit: np.ndarray, error_bootstrap: np.ndarray | None
) -> tuple[str, ...]:
    found = []
    if num_samples < 10:
        found.append(
            f"collective motion was sampled {num_samples:.1f} times only: run longer, or bring replicas"
        )
    if error_bootstrap is None:
        found.append("the run is too short for a bootstrap over blocks; the error is that of the fit alone")
    elif not 0.5 <= np.median(np.diag(error_bootstrap) / np.diag(error_fit)) <= 2.0:
        found.append("the errors of fit and bootstrap differ by more than 2x; the larger is quoted")
    return tuple(found)
