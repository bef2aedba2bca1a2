"""Glass transition along a quench: where the slope of density or enthalpy against temperature changes."""

from dataclasses import dataclass

import numpy as np

from mlip.errors import DataError

_FEWEST = 12
# share of the range of temperatures that each line must cover at least
_MARGIN = 0.15
# a glass may be off its slope by this share of the melt's, for noise
_FLAT = 0.2
_RESAMPLES = 100
_MOST_POINTS = 100
_BLOCKS = 20


@dataclass(frozen=True)
class GlassTransition:
    """Two lines that meet at the glass transition, or one where there is no change of slope.

    A glass expands less than its melt as it is heated, and takes up less heat: where the colder line is the
    steeper one, or either goes the wrong way, the lines meet at something else, and no value is given.

    Attributes:
        quantity: what was fitted, such as density.
        value: temperature where the lines meet, K; None where that is no glass transition, as `error` and
            `interval` are.
        error: its standard error by bootstrap over blocks of the quench, K.
        interval: 95 % interval, K.
        slopes: of the glass and of the melt, per K; alike of one line.
        pivot: a temperature, K, and the quantity there: where the lines meet, or the middle of the one.
        method: how it was found.
        warnings: why to believe it less.
    """

    quantity: str
    value: float | None
    error: float | None
    interval: tuple[float, float] | None
    slopes: tuple[float, float]
    pivot: tuple[float, float]
    method: str
    warnings: tuple[str, ...]

    unit = "K"

    def predict(self, temperature_K: np.ndarray) -> np.ndarray:
        """The fitted quantity at some temperatures, shape (T,)."""
        glass, melt = self.slopes
        away = temperature_K - self.pivot[0]
        return self.pivot[1] + np.where(away < 0, glass, melt) * away


def fit_glass_transition(
    temperature_K: np.ndarray, values: np.ndarray, quantity: str = "density", seed: int = 0
) -> GlassTransition:
    """Fit two straight lines that meet, by least squares over where they do.

    Args:
        temperature_K: temperature of each sample along the quench, shape (T,); the target of the thermostat
            is better than the instantaneous one.
        values: density, enthalpy or energy, shape (T,).
        quantity: its name; all but a density rise with the temperature.
        seed: of the bootstrap.

    Raises:
        DataError: There are too few samples, or they are all at one temperature.

    Source:
        Two lines as in Buchholz et al., J. Chem. Phys. 117, 7364 (2002), 10.1063/1.1508366.
    """
    spread = np.ptp(temperature_K)
    if len(values) < _FEWEST or spread < 1.0:
        raise DataError(
            f"found {len(values)} samples over {spread:.0f} K; expected {_FEWEST} or more along a quench"
        )
    order = np.argsort(temperature_K, kind="stable")
    parts = np.array_split(order, min(len(order), _MOST_POINTS))
    temperature = np.array([temperature_K[part].mean() for part in parts])
    series = np.array([values[part].mean() for part in parts])
    method = f"two lines that meet, least squares, {len(values)} samples; bootstrap over {_BLOCKS} blocks"
    (knee, level, glass, melt), square = _fit(temperature, series)
    pivot, slopes = (float(knee), float(level)), (float(glass), float(melt))
    slope, start = np.polyfit(temperature, series, 1)
    # two more parameters must win more than chance would: F > 10 for two and T - 4
    won = np.sum((series - start - slope * temperature) ** 2) - square
    sign = -1.0 if quantity == "density" else 1.0
    if won / 2 / max(square / (len(series) - 4), 1e-300) < 10:
        middle = float(temperature.mean())
        pivot, slopes = (middle, float(start + slope * middle)), (float(slope), float(slope))
        doubt = "one straight line fits as well: no glass transition is seen"
    elif not -_FLAT * sign * melt <= sign * glass < sign * melt:
        does = "expand" if sign < 0 else "take up heat"
        doubt = (
            f"no glass transition: below {knee:.0f} K the {quantity} changes by {glass:.2g} per K, above by "
            f"{melt:.2g}; expected both to {does} with the temperature, the melt faster"
        )
    else:
        doubt = ""
    if doubt:
        return GlassTransition(quantity, None, None, None, slopes, pivot, method, (doubt,))
    rng = np.random.default_rng(seed)
    found = np.array([_fit(*_resample(temperature, series, rng))[0][0] for _ in range(_RESAMPLES)])
    low, high = np.quantile(found, [0.025, 0.975])
    warnings = []
    if high - low > 0.5 * spread:
        warnings.append(f"the interval, {low:.0f} to {high:.0f} K, is most of the quench")
    return GlassTransition(
        quantity=quantity,
        value=float(knee),
        error=float(found.std(ddof=1)),
        interval=(float(low), float(high)),
        slopes=slopes,
        pivot=pivot,
        method=method,
        warnings=tuple(warnings),
    )


def _fit(temperature: np.ndarray, series: np.ndarray) -> tuple[np.ndarray, float]:
    """Where the lines meet, the value there, and both slopes, shape (4,); and the sum of squares."""
    low, high = temperature[0], temperature[-1]
    margin = _MARGIN * (high - low)
    best: tuple[np.ndarray, float] = (np.zeros(4), np.inf)
    for spacing in ((high - low) / 40, (high - low) / 800):
        centre = best[0][0] if np.isfinite(best[1]) else (low + high) / 2
        reach = (high - low) / 40 if np.isfinite(best[1]) else (high - low) / 2
        for knee in np.arange(max(low + margin, centre - reach), min(high - margin, centre + reach), spacing):
            away = temperature - knee
            design = np.stack([np.ones_like(away), np.minimum(away, 0), np.maximum(away, 0)], axis=1)
            solution, *_ = np.linalg.lstsq(design, series, rcond=None)
            square = float(np.sum((series - design @ solution) ** 2))
            if square < best[1]:
                best = np.array([knee, *solution]), square
    return best


def _resample(
    temperature: np.ndarray, series: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A quench of blocks drawn with replacement, in the order of temperature; its ends are always there."""
    blocks = np.array_split(np.arange(len(series)), min(_BLOCKS, len(series) // 2))
    inner = rng.integers(1, len(blocks) - 1, len(blocks) - 2)
    drawn = np.sort(np.concatenate([[0], inner, [len(blocks) - 1]]))
    chosen = np.concatenate([blocks[each] for each in drawn])
    return temperature[chosen], series[chosen]
