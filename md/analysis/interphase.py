"""Thickness of an interphase: how far the composition is neither that of one side nor of the other."""

from dataclasses import dataclass

import numpy as np

from md.analysis.averages import compute_average
from md.analysis.kymograph import Kymograph
from mlip.errors import DataError

# shares of the way from one composition to the other between which a layer belongs to the interphase
_LOW, _HIGH = 0.1, 0.9
# the least that the two sides must differ by
_SMALLEST_STEP = 0.05
_LATE = 0.2


@dataclass(frozen=True)
class Interphase:
    """Thickness of the interphases of a periodic stack of two materials.

    Attributes:
        value: mean thickness of one interphase in the last fifth of the run, A.
        error: its standard error over time, or None.
        thickness_A: thickness of one interphase in each frame, shape (T,), A.
        times_ps: times of these frames, shape (T,), or None.
        sides: composition of the two sides at the start.
        method: how it was measured.
    """

    value: float
    error: float | None
    thickness_A: np.ndarray
    times_ps: np.ndarray | None
    sides: tuple[float, float]
    method: str

    unit = "A"


def compute_interphase(composition: Kymograph, num_interfaces: int = 2) -> Interphase:
    """Measure the interphase from the composition in layers.

    The two sides are known from the first frame: the compositions that most layers below and above the
    middle have. A layer belongs to the interphase where it is between 10 % and 90 % of the way from one to
    the other, compositions between the middles of layers by interpolation. A sharp interface is as thick as
    2.56 standard deviations of the smoothing.

    Args:
        composition: share of a species in layers, smoothed over the layers of a crystal, such as that of Li
            across Li | Li6PS5Cl.
        num_interfaces: two in a periodic stack.

    Raises:
        DataError: The two sides do not differ.
    """
    layer = 2 * composition.positions_A[0]
    low, high = _sides(composition.values[0])
    if high - low < _SMALLEST_STEP:
        raise DataError(
            f"found {composition.quantity} of {low:.2f} and {high:.2f} on the two sides; expected two "
            "materials that differ in it: choose another species= or axis="
        )
    way = (composition.values - low) / (high - low)
    thickness = np.array([_length_between(row, _LOW, _HIGH) for row in way]) * layer / num_interfaces
    late = thickness[-max(1, int(_LATE * len(thickness))) :]
    average = compute_average(late)
    method = (
        f"{composition.quantity} from {low:.2f} to {high:.2f} at the start, length between "
        f"{100 * _LOW:.0f} and {100 * _HIGH:.0f} % of the way, per interface of "
        f"{num_interfaces}; last fifth of the run; {composition.method}"
    )
    return Interphase(
        average.value, average.error, thickness, composition.times_ps, (float(low), float(high)), method
    )


def _sides(row: np.ndarray) -> tuple[float, float]:
    """The compositions of the two sides: medians of the layers below and above the middle of the range."""
    middle = (row.min() + row.max()) / 2
    return float(np.median(row[row <= middle])), float(np.median(row[row >= middle]))


def _length_between(row: np.ndarray, low: float, high: float) -> float:
    """Length in layers over which a periodic, piecewise linear curve lies between two values."""
    start, end = row, np.roll(row, -1)
    bottom, top = np.minimum(start, end), np.maximum(start, end)
    inside = np.clip(np.minimum(top, high) - np.maximum(bottom, low), 0.0, None)
    flat = (bottom > low) & (top < high)
    return float(np.sum(np.where(flat, 1.0, inside / np.maximum(top - bottom, 1e-12))))
