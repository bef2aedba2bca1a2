"""A line through points of several glasses, whose spread between each other is part of the error."""

from dataclasses import dataclass

import numpy as np

_SMALLEST, _LARGEST, _GRID = 1e-3, 1e3, 61


@dataclass(frozen=True)
class LineFits:
    """Lines through B sets of ordinates.

    Attributes:
        solution: intercept and slope, shape (B, 2).
        covariance: of intercept and slope, shape (B, 2, 2).
        between: variance between glasses, shape (B,).
        chi_squared: weighted squared residuals per degree of freedom, shape (B,).
    """

    solution: np.ndarray
    covariance: np.ndarray
    between: np.ndarray
    chi_squared: np.ndarray


def fit_glasses(
    design: np.ndarray, ordinates: np.ndarray, sigma: np.ndarray, glasses: np.ndarray
) -> LineFits:
    """Fit lines where all points of a glass are off by the same unknown amount.

    The variance is diag(sigma^2) + between * (1 where two points are of one glass). `between` is the most
    likely one (restricted maximum likelihood) on a grid that begins at zero; zero with one glass. What
    scatter is left enlarges the covariance, and never makes it smaller.

    Args:
        design: columns of the line, shape (n, 2).
        ordinates: shape (B, n).
        sigma: standard errors of the ordinates, shape (n,).
        glasses: a number for each point, the same for those of one glass, shape (n,).

    Source:
        Patterson and Thompson, Biometrika 58, 545 (1971), 10.1093/biomet/58.3.545.
    """
    same = (glasses[:, None] == glasses).astype(float)
    grid = np.zeros(1)
    if not same.all():
        grid = np.append(grid, np.geomspace(_SMALLEST, _LARGEST, _GRID) * np.median(sigma**2))
    count = len(ordinates)
    best = np.full(count, -np.inf)
    found = LineFits(np.zeros((count, 2)), np.zeros((count, 2, 2)), np.zeros(count), np.zeros(count))
    for between in grid:
        precision = np.linalg.inv(np.diag(sigma**2) + between * same)
        covariance = np.linalg.inv(design.T @ precision @ design)
        solution = ordinates @ (covariance @ design.T @ precision).T
        residuals = ordinates - solution @ design.T
        squares = np.sum((residuals @ precision) * residuals, axis=1)
        volume = np.linalg.slogdet(precision)[1] + np.linalg.slogdet(covariance)[1]
        likelihood = 0.5 * (volume - squares)
        better = likelihood > best
        best[better] = likelihood[better]
        chi_squared = squares[better] / (len(sigma) - 2)
        found.solution[better] = solution[better]
        found.covariance[better] = covariance * np.maximum(1.0, chi_squared)[:, None, None]
        found.between[better] = between
        found.chi_squared[better] = chi_squared
    return found


def draw_ordinates(
    line: np.ndarray, sigma: np.ndarray, glasses: np.ndarray, between: float, count: int, seed: int
) -> np.ndarray:
    """Draw points around a line as chance and other glasses would have given them.

    Args:
        line: ordinates on the line, shape (n,).
        sigma: standard errors, shape (n,).
        glasses: which glass each point is of, shape (n,).
        between: variance between glasses.
        count: sets to draw.
        seed: of the random numbers.

    Returns:
        Ordinates, shape (count, n).
    """
    rng = np.random.default_rng(seed)
    _, place = np.unique(glasses, return_inverse=True)
    offsets = rng.normal(scale=np.sqrt(between), size=(count, place.max() + 1))
    return line + offsets[:, place] + rng.normal(scale=sigma, size=(count, len(line)))
