"""Brownian walkers: the exact covariance of their mean squared displacement, their time in a layer."""

from functools import lru_cache

import numpy as np

# -zeta(1/2) / sqrt(2 pi): how far a wall recedes from steps of unit variance that are seen only at their ends
_OVERSHOOT = 0.5826
_MOST_MODES = 401


def brownian_covariance(lags: np.ndarray, num_frames: int, num_walkers: int, dimension: int) -> np.ndarray:
    """Covariance of MSD estimates at several lags, all time origins averaged, for unit D times interval.

    For Gaussian steps of variance 2 in each direction, cov(dx^2, dx'^2) = 2 cov(dx, dx')^2, and the
    covariance of two displacements is 2 times the overlap of their intervals; so

        C_mn = 8 d / (N K_m K_n) sum_{t,s} overlap([t, t+m], [s, s+n])^2,   K_m = T - m.

    Multiply by (D dt)^2 for a diffusivity D and an interval dt between frames.

    Args:
        lags: lags in frames, integer, shape (L,).
        num_frames: frames T of the run.
        num_walkers: independent walkers N.
        dimension: directions d summed over in the MSD.

    Returns:
        The covariance, shape (L, L), positive definite for distinct lags.

    Source:
        Isserlis' theorem; for one direction as in Michalet, Phys. Rev. E 82, 041914 (2010),
        10.1103/PhysRevE.82.041914, appendix A.
    """
    return 8.0 * dimension / num_walkers * _overlaps(tuple(int(lag) for lag in lags), num_frames)


@lru_cache(maxsize=64)
def _overlaps(lags: tuple[int, ...], num_frames: int) -> np.ndarray:
    """Mean squared overlap of the intervals of two lags, summed as in C_mn, shape (L, L)."""
    covariance = np.empty((len(lags), len(lags)))
    for row, m in enumerate(lags):
        for column, n in enumerate(lags[: row + 1]):
            offsets = np.arange(1 - n, m)
            overlap = np.minimum(m, offsets + n) - np.maximum(0, offsets)
            # origins t of the first interval for which t + offset is an origin of the second
            pairs = np.minimum(num_frames - m, num_frames - n - offsets) - np.maximum(0, -offsets)
            value = np.sum(np.maximum(pairs, 0) * overlap.astype(float) ** 2)
            value /= (num_frames - m) * (num_frames - n)
            covariance[row, column] = covariance[column, row] = value
    return covariance


def fit_line(x: np.ndarray, y: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit y = c0 + c1 x by generalised least squares.

    Args:
        x: abscissae, shape (L,).
        y: ordinates, shape (L,).
        covariance: covariance of y up to the scale that should scale the result's, shape (L, L).

    Returns:
        Intercept and slope, shape (2,), and their covariance, shape (2, 2).

    Source:
        Aitken, Proc. R. Soc. Edinburgh 55, 42 (1936).
    """
    design = np.stack([np.ones_like(x), x], axis=1)
    whitened = np.linalg.solve(covariance, design)
    spread = np.linalg.inv(design.T @ whitened)
    return spread @ (whitened.T @ y), spread


def fit_line_unweighted(
    x: np.ndarray, y: np.ndarray, covariance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fit y = c0 + c1 x by ordinary least squares, with the covariance that correlated y give it.

    Args and returns as in `fit_line`.
    """
    projector = np.linalg.pinv(np.stack([np.ones_like(x), x], axis=1))
    return projector @ y, projector @ covariance @ projector.T


def slope_weights(x: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights w that make sum_k w_k y_k the slope of `fit_line`, and its variance.

    Args:
        x: abscissae, shape (L,).
        covariance: covariance of the ordinates, shape (L, L).
    """
    design = np.stack([np.ones_like(x, dtype=float), x], axis=1)
    whitened = np.linalg.solve(covariance, design)
    spread = np.linalg.inv(design.T @ whitened)
    return (spread @ whitened.T)[1], float(spread[1, 1])


def compute_survival(times_ps: np.ndarray, diffusivity: float, width_A: float, look_ps: float) -> np.ndarray:
    """Share of ions that have not left a layer, spread evenly over it at first, seen only every `look_ps`.

    Walls that absorb at every time lie 0.5826 sqrt(2 D look_ps) outside those of the layer.

    Args:
        times_ps: shape (K,).
        diffusivity: D in A^2/ps.
        width_A: thickness of the layer.
        look_ps: time between looks.

    Returns:
        Shares, shape (K,).

    Source:
        Redner (2001), chapter 2; walls: Broadie, Glasserman and Kou, Math. Finance 7, 325 (1997),
        10.1111/1467-9965.00035.
    """
    beyond = _OVERSHOOT * np.sqrt(2 * diffusivity * look_ps)
    between = width_A + 2 * beyond
    modes = np.pi * np.arange(1, _MOST_MODES, 2)[:, None]
    weights = 8 * between / (width_A * modes**2) * np.cos(modes * beyond / between)
    decays = np.exp(-diffusivity * (modes / between) ** 2 * times_ps)
    return np.where(times_ps > 0, (weights * decays).sum(axis=0), 1.0)
