"""Samples of one quantity, such as of glasses that were packed anew: their mean and how well it is known."""

import numpy as np
from numpy.typing import NDArray


def mean_of_samples(values: NDArray[np.float64]) -> tuple[float, float | None]:
    """Mean of independent samples and its standard error, in their unit; no error of one sample.

    Args:
        values: One a sample, (K,).
    """
    error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    return float(values.mean()), error
