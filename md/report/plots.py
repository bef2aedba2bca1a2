"""Plots of dynamics: results and axes in, artists out; nothing is computed here but where to draw."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator, StrMethodFormatter
from numpy.typing import ArrayLike

from md.analysis.arrhenius import Arrhenius
from md.analysis.coordination import Coordination
from md.analysis.diffusion import Diffusivity
from md.analysis.msd import MeanSquaredDisplacement
from md.analysis.rdf import RadialDistribution
from mlip.report.style import INK, MUTED, PALETTE, SHADE
from mlip.units import A2_PER_PS_IN_CM2_PER_S

_NO_PAIRS = 0.02
_FEW_DECADES = 50.0


def temperature_colors(temperatures_K: Sequence[float | None]) -> list[tuple[float, ...]]:
    """A colour a run, from cold blue to hot red-yellow; the palette where temperatures are unknown."""
    known = [temperature for temperature in temperatures_K if temperature is not None]
    if len(known) < len(temperatures_K) or len(set(known)) < 2:
        return [PALETTE[index % len(PALETTE)] for index in range(len(temperatures_K))]  # type: ignore[misc]
    low, high = min(known), max(known)
    return [tuple(colormaps["plasma"](0.05 + 0.75 * (value - low) / (high - low))) for value in known]


def plot_msd(
    axes: Axes,
    msd: MeanSquaredDisplacement,
    result: Diffusivity,
    moved: np.ndarray,
    color: Any,
    label: str,
) -> None:
    """Draw an MSD on logarithmic axes, strong inside the window of the fit, with the fitted line.

    Args:
        axes: where to draw.
        msd: the mean squared displacement.
        result: the diffusivity found from it, or the bound.
        moved: MSD in the directions of `result`, shape (L,), A^2.
        color: colour of the curve.
        label: entry in the legend.
    """
    shown = slice(1, int(0.9 * len(moved)) + 1)
    axes.plot(msd.lags_ps[shown], moved[shown], color=color, alpha=0.45, linewidth=1.2)
    start, end = result.window_ps
    inside = (msd.lags_ps >= start) & (msd.lags_ps <= end) & (msd.lags_ps > 0)
    if result.value is None or result.intercept_A2 is None:
        axes.plot(msd.lags_ps[inside], moved[inside], color=color, linewidth=1.4, linestyle=":", label=label)
    else:
        axes.plot(msd.lags_ps[inside], moved[inside], color=color, linewidth=2.6, label=label)
        slope = 2 * result.dimension * result.value / A2_PER_PS_IN_CM2_PER_S
        line = result.intercept_A2 + slope * msd.lags_ps[inside]
        axes.plot(msd.lags_ps[inside], line, color=INK, linewidth=0.9, linestyle="--")
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        few = high / low < _FEW_DECADES
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)))
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_minor_formatter(NullFormatter())


def mark_hop(axes: Axes, hop_distance_A: float) -> None:
    """Draw the line 0.5 a^2 that an MSD must reach before its slope counts."""
    axes.axhline(0.5 * hop_distance_A**2, color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)))
    axes.annotate(
        "0.5 a²",
        (0.0, 0.5 * hop_distance_A**2),
        xycoords=("axes fraction", "data"),
        xytext=(4, 3),
        textcoords="offset points",
        fontsize=8,
        color=MUTED,
    )


def shade_window(axes: Axes, window_ps: tuple[float, float]) -> None:
    """Shade the lags that the slope was fitted over."""
    axes.axvspan(*window_ps, color=SHADE, zorder=0)


def plot_arrhenius(
    axes: Axes, points: Sequence[tuple[float, Diffusivity]], fit: Arrhenius | None, color: str = PALETTE[0]
) -> None:
    """Draw ln D against 1000/T: values with errors, bounds as arrows down, the fit with its band.

    Args:
        axes: where to draw.
        points: temperature in K and diffusivity of each run.
        fit: the Arrhenius fit, or None.
        color: colour of points and line.
    """
    axes.set_yscale("log")
    for temperature, result in points:
        inverse = 1000.0 / temperature
        if result.value is not None and result.error is not None:
            # a relative error above 1 has no lower end on a logarithmic axis: it is shown on ln D
            factor = np.exp(result.error / result.value)
            bars = [[result.value * (1 - 1 / factor)], [result.value * (factor - 1)]]
            axes.errorbar(inverse, result.value, yerr=bars, fmt="o", color=color, markersize=6, zorder=3)
        elif result.upper_bound is not None:
            axes.plot(
                inverse, result.upper_bound, marker="_", color=MUTED, markersize=12, markeredgewidth=1.6
            )
            axes.annotate(
                "",
                (inverse, result.upper_bound / 2.0),
                (inverse, result.upper_bound),
                arrowprops={"arrowstyle": "-|>", "color": MUTED, "shrinkA": 0, "shrinkB": 0},
            )
            axes.plot(inverse, result.upper_bound / 2.2, alpha=0.0)
    temperatures = np.array([temperature for temperature, _ in points])
    if fit is not None and fit.activation_energy_eV is not None:
        _draw_line(axes, fit, temperatures, color)
    axes.margins(x=0.12, y=0.12)
    _add_kelvin_axis(axes, temperatures)


def _draw_line(axes: Axes, fit: Arrhenius, temperatures: np.ndarray, color: str) -> None:
    inverse = np.linspace(1000.0 / temperatures.max(), 1000.0 / temperatures.min(), 60)
    value, log_error = fit.predict(1000.0 / inverse)
    label = f"$E_a$ = {fit.activation_energy_eV:.2f} ± {fit.error_eV:.2f} eV"
    axes.plot(inverse, value, color=color, linewidth=1.5, label=label)
    axes.fill_between(
        inverse, value * np.exp(-log_error), value * np.exp(log_error), color=color, alpha=0.14, lw=0
    )
    axes.legend(loc="upper right")


def _add_kelvin_axis(axes: Axes, temperatures: np.ndarray) -> None:
    """Mark the temperatures of the points on the upper edge, where there is room for their numbers."""

    def invert(value: ArrayLike) -> np.ndarray:
        return 1000.0 / np.maximum(np.asarray(value, dtype=float), 1e-6)

    top = axes.secondary_xaxis("top", functions=(invert, invert))
    top.set_xlabel("temperature (K)")
    distance = 0.09 * np.ptp(1000.0 / temperatures)
    shown: list[float] = []
    for temperature in sorted(set(temperatures.tolist())):
        if not shown or 1000.0 / shown[-1] - 1000.0 / temperature >= distance:
            shown.append(temperature)
    top.set_xticks(shown, [f"{temperature:.0f}" for temperature in shown])
    top.xaxis.set_minor_locator(NullLocator())


def plot_rdf(
    axes: Axes,
    curves: Mapping[str, RadialDistribution],
    colors: Sequence[Any],
    reference: RadialDistribution | None = None,
    reference_label: str = "reference",
) -> None:
    """Draw g(r) of one pair of species, over a filled reference curve if there is one.

    Args:
        axes: where to draw.
        curves: label -> g(r).
        colors: a colour a curve.
        reference: g(r) to compare with, such as that of the DFT frames.
        reference_label: its name in the legend.
    """
    axes.axhline(1.0, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
    if reference is not None:
        axes.fill_between(
            reference.r, reference.g, color="#c3ccd9", alpha=0.75, linewidth=0, label=reference_label
        )
    for (label, curve), color in zip(curves.items(), colors, strict=True):
        axes.plot(curve.r, curve.g, color=color, label=label, linewidth=1.5)
    pair = next(iter(curves.values())).pair
    axes.set_title(f"{pair[0]} – {pair[1]}")
    axes.set_ylim(bottom=0.0)
    axes.set_xlim(left=max(0.0, _first_signal(curves.values()) - 0.6))


def _first_signal(curves: Iterable[RadialDistribution]) -> float:
    starts = [curve.r[np.argmax(curve.g > _NO_PAIRS)] for curve in curves]
    return float(min(starts))


def plot_coordination(axes: Axes, curves: Mapping[str, Coordination], colors: Sequence[Any]) -> None:
    """Draw the shares of centres with each number of neighbors as groups of bars.

    Args:
        axes: where to draw.
        curves: label -> coordination of one pair of species.
        colors: a colour a group.
    """
    width = 0.8 / len(curves)
    for index, ((label, result), color) in enumerate(zip(curves.items(), colors, strict=True)):
        numbers = np.arange(len(result.fractions))
        offset = (index - (len(curves) - 1) / 2) * width
        axes.bar(numbers + offset, 100 * result.fractions, width=0.92 * width, color=color, label=label)
    present = np.concatenate([np.flatnonzero(result.fractions > 0.002) for result in curves.values()])
    # at least three numbers wide, so that a single bar does not fill the panel
    room = max(0.7, 1.6 - np.ptp(present) / 2)
    axes.set_xlim(present.min() - room, present.max() + room)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    axes.grid(visible=False, axis="x")
    centre, neighbor = next(iter(curves.values())).pair
    axes.set_title(f"{neighbor} around {centre}")


def plot_series(
    axes: Axes,
    times_ps: np.ndarray,
    values: np.ndarray,
    color: Any,
    target: np.ndarray | None = None,
    smooth: int = 1,
    breaks_ps: Sequence[float] = (),
) -> None:
    """Draw a thermodynamic quantity along a run, with a running mean and what the thermostat aimed at.

    Args:
        axes: where to draw.
        times_ps: shape (T,).
        values: shape (T,).
        color: colour of the curve.
        target: target of the thermostat, shape (T,), or None.
        smooth: samples in the running mean; 1 draws the series alone.
        breaks_ps: times that the running mean does not reach across, such as the ends of stages.
    """
    axes.plot(
        times_ps, values, color=color, linewidth=0.8 if smooth > 1 else 1.3, alpha=0.4 if smooth > 1 else 1.0
    )
    if smooth > 1:
        pieces = np.searchsorted(times_ps, np.asarray(breaks_ps), side="right")
        for inside in np.split(np.arange(len(times_ps)), pieces):
            if len(inside) >= smooth:
                mean = np.convolve(values[inside], np.full(smooth, 1 / smooth), mode="valid")
                middle = times_ps[inside][(smooth - 1) // 2 :][: len(mean)]
                axes.plot(middle, mean, color=color, linewidth=1.8)
    if target is not None:
        axes.plot(times_ps, target, color=INK, linewidth=1.0, linestyle="--", label="target")


def shade_stages(axes: Axes, stages: Sequence[tuple[str, float, float]], named: bool) -> None:
    """Shade every second stage of a protocol and name the stages above the axes.

    Args:
        axes: where to draw.
        stages: name, start and end in ps.
        named: write the names.
    """
    total = stages[-1][2] - stages[0][1]
    for index, (name, start, end) in enumerate(stages):
        if index % 2 == 0:
            axes.axvspan(start, end, color=SHADE, zorder=0, linewidth=0)
        if named and end - start > 0.05 * total:
            axes.annotate(
                name.replace("_", " "),
                ((start + end) / 2, 1.02),
                xycoords=("data", "axes fraction"),
                ha="center",
                va="bottom",
                fontsize=8.5,
                color=MUTED,
            )
