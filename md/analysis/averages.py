"""Averages of correlated series with honest errors."""

from dataclasses import dataclass

import numpy as np

from mlip.errors import DataError

_FEWEST_BLOCKS = 8


@dataclass(frozen=True)
class Average:
    """A time average.

    Attributes:
        value: mean of the series, in its unit.
        error: one standard error of the mean; None where the series is constant or too short for one.
        num_samples: length of the series.
        method: how the error was found.
    """

    value: float
    error: float | None
    num_samples: int
    method: str


def compute_average(series: np.ndarray) -> Average:
    """Average a correlated series; the error is the largest over block lengths.

    Averages over blocks longer than the memory of the series are independent, so the naive error of their
    mean grows with the block length up to the true one; below eight blocks it is noise.

    Args:
        series: successive samples, shape (T,).

    Source:
        Flyvbjerg and Petersen, J. Chem. Phys. 91, 461 (1989), 10.1063/1.457480, blocks of 2^k samples.
    """
    samples = np.asarray(series, dtype=np.float64)
    if samples.size == 0 or not np.isfinite(samples).all():
        raise DataError(f"found a series of {samples.size} samples, some not finite; expected finite numbers")
    if np.all(samples == samples[0]):
        return Average(float(samples[0]), None, len(samples), "constant: not a sample of anything")
    errors = []
    blocks = samples
    while len(blocks) >= _FEWEST_BLOCKS:
        errors.append(float(blocks.std(ddof=1) / np.sqrt(len(blocks))))
        blocks = blocks[: len(blocks) // 2 * 2].reshape(-1, 2).mean(axis=1)
    method = "mean; standard error as the largest over blocks of 2^k samples (Flyvbjerg and Petersen 1989)"
    return Average(float(samples.mean()), max(errors, default=None), len(samples), method)
