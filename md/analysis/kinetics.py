"""Laws of growth: is a quantity linear in log t, in sqrt t, or in t?"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from mlip.errors import DataError

LAWS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {"log t": np.log, "sqrt t": np.sqrt, "t": np.asarray}
_FEWEST = 8
# growth that has come this far of its whole way has ended: what follows is no law of growth
_FINISHED = 0.95
_STILL_MOVING = 0.01
_Z_95 = 1.96


@dataclass(frozen=True)
class GrowthLaw:
    """One law y = c + k f(t), fitted.

    Attributes:
        law: "log t" (t in ps), "sqrt t" or "t".
        value: the rate k, in the quantity's unit per log, per ps^(1/2) or per ps.
        error: its standard error, memory of the residuals included.
        interval: 95 % interval of k.
        offset: c.
        residual: root mean square of what the law leaves.
        weight: probability of the law among the three, by Akaike weights.
    """

    law: str
    value: float
    error: float
    interval: tuple[float, float]
    offset: float
    residual: float
    weight: float

    def predict(self, times_ps: np.ndarray) -> np.ndarray:
        """The quantity at some times, shape (T,)."""
        return self.offset + self.value * LAWS[self.law](times_ps)


@dataclass(frozen=True)
class Growth:
    """The laws fitted to one quantity, the best first.

    Attributes:
        laws: the fits, by falling weight.
        window_ps: first and last time of the fit.
        num_independent: samples that know nothing of each other.
        method: how they were fitted.
        warnings: why to believe them less.
    """

    laws: tuple[GrowthLaw, ...]
    window_ps: tuple[float, float]
    num_independent: float
    method: str
    warnings: tuple[str, ...]

    @property
    def best(self) -> GrowthLaw:
        """The most probable law."""
        return self.laws[0]


def fit_growth(times_ps: np.ndarray, values: np.ndarray) -> Growth:
    """Fit y = c + k f(t) for f = log t, sqrt t and t, and weigh them by Akaike's criterion.

    Fitted is from the first time above zero to where growth has ended, if it does. Residuals
    remember each other: errors and criterion count n / (1 + 2 sum of their autocorrelation) samples.

    Args:
        times_ps: times since growth began, shape (T,), ps.
        values: the quantity, shape (T,).

    Raises:
        DataError: There are fewer than eight samples above time zero.

    Source:
        Burnham and Anderson, Model Selection and Multimodel Inference (2002), eqs. 2.9 and 7.6 (AICc);
        effective samples: Sokal, Monte Carlo Methods in Statistical Mechanics (1997).
    """
    later = times_ps > 0
    times, series = times_ps[later], values[later]
    if len(times) < _FEWEST:
        raise DataError(f"found {len(times)} samples above time zero; expected {_FEWEST} or more for a law")
    stop = _end_of_growth(series)
    times, series = times[:stop], series[:stop]
    fits = {law: _fit_line(transform(times), series) for law, transform in LAWS.items()}
    # the memory of noise, not that of what a wrong law leaves: the least over the laws
    memory = min(_memory(series - fit[0] - fit[1] * LAWS[law](times)) for law, fit in fits.items())
    samples = len(times) / memory
    scores = {law: _score(fit[2], samples) for law, fit in fits.items()}
    best = min(scores.values())
    total = sum(math.exp((best - score) / 2) for score in scores.values())
    laws = []
    for law, (offset, rate, residual, error) in fits.items():
        widened = error * math.sqrt(memory)
        interval = (rate - _Z_95 * widened, rate + _Z_95 * widened)
        weight = math.exp((best - scores[law]) / 2) / total
        laws.append(GrowthLaw(law, rate, widened, interval, offset, residual, weight))
    laws.sort(key=lambda each: -each.weight)
    method = (
        f"least squares of c + k f(t), {len(times)} samples worth {samples:.0f} independent ones; Akaike "
        "weights of log t, sqrt t and t"
    )
    window = (float(times[0]), float(times[-1]))
    return Growth(tuple(laws), window, samples, method, _warnings(laws, times, samples))


def _end_of_growth(series: np.ndarray) -> int:
    """Samples up to where the quantity has come 95 % of its way, if it rests there; else all."""
    way = series - series[0]
    whole = way[np.argmax(np.abs(way))]
    if whole == 0:
        return len(series)
    stop = int(np.argmax(way / whole >= _FINISHED)) + 1
    rest = way[stop:] / whole
    if stop < _FEWEST or len(rest) < _FEWEST:
        return len(series)
    goes_on = abs(rest[len(rest) // 2 :].mean() - rest[: len(rest) // 2].mean()) > _STILL_MOVING
    return len(series) if goes_on else stop


def _fit_line(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float, float]:
    """Offset, slope, root mean square residual, and standard error of the slope for independent samples."""
    design = np.stack([np.ones_like(x, dtype=np.float64), x], axis=1)
    solution, *_ = np.linalg.lstsq(design, y, rcond=None)
    square = float(np.sum((y - design @ solution) ** 2))
    spread = np.linalg.inv(design.T @ design)[1, 1]
    error = math.sqrt(square / (len(x) - 2) * spread)
    return float(solution[0]), float(solution[1]), math.sqrt(square / len(x)), error


def _memory(residuals: np.ndarray) -> float:
    """Statistical inefficiency 1 + 2 sum of the autocorrelation, up to where it is lost in noise."""
    deviation = residuals - residuals.mean()
    power = float(np.mean(deviation**2))
    if power == 0:
        return 1.0
    size = len(deviation)
    total = 1.0
    for lag in range(1, size // 2):
        correlation = float(np.mean(deviation[:-lag] * deviation[lag:])) / power
        if correlation <= 0:
            break
        total += 2 * correlation * (1 - lag / size)
    return min(total, size / 4)


def _score(residual: float, samples: float) -> float:
    """AICc of a law with three parameters: offset, rate, noise."""
    correction = 2 * 3 * 4 / max(samples - 4, 0.5)
    return samples * 2 * math.log(max(residual, 1e-300)) + 6 + correction


def _warnings(laws: list[GrowthLaw], times: np.ndarray, samples: float) -> tuple[str, ...]:
    found = []
    if laws[0].weight < 0.9:
        found.append(
            f"{laws[0].law} is favoured by {100 * laws[0].weight:.0f} % only: the data do not decide"
        )
    if times[-1] < 10 * times[0]:
        found.append("less than one decade of time: laws of growth look alike")
    if samples < 10:
        found.append(f"{samples:.0f} independent samples are few for a law")
    if laws[0].interval[0] <= 0 <= laws[0].interval[1]:
        found.append("the rate is zero within its interval: no growth is seen")
    return tuple(found)
