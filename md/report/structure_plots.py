"""Plots of structure and reactions: results and axes in, artists out; nothing is computed here."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

from md.analysis.averages import Average
from md.analysis.glass_transition import GlassTransition
from md.analysis.kinetics import Growth
from md.analysis.kymograph import Kymograph
from md.analysis.profiles import Profile
from mlip.report.style import INK, MUTED, PALETTE

_MOST_BARS = 8
_SMALLEST_Q = 0.5


def plot_shares(
    axes: Axes, shares: Mapping[str, Mapping[str, Average]], colors: Sequence[Any], title: str
) -> None:
    """Draw shares of kinds as groups of bars with their errors.

    Args:
        axes: where to draw.
        shares: label of a stretch -> kind -> share.
        colors: a colour a stretch.
        title: what the shares are of.
    """
    kinds = list(dict.fromkeys(kind for each in shares.values() for kind in each))[:_MOST_BARS]
    width = 0.8 / max(len(shares), 1)
    for index, ((label, each), color) in enumerate(zip(shares.items(), colors, strict=True)):
        present = [(k, each[kind]) for k, kind in enumerate(kinds) if kind in each]
        places = [k + (index - (len(shares) - 1) / 2) * width for k, _ in present]
        heights = [100 * share.value for _, share in present]
        errors = [100 * (share.error or 0.0) for _, share in present]
        axes.bar(places, heights, width=0.92 * width, color=color, label=label)
        axes.errorbar(places, heights, yerr=errors, fmt="none", ecolor=INK, elinewidth=0.9, capsize=2)
    axes.set_xticks(range(len(kinds)), kinds, rotation=30 if sum(map(len, kinds)) > 20 else 0)
    axes.set_xlim(-0.7, max(len(kinds), 2) - 0.3)
    axes.set_ylim(bottom=0.0)
    axes.grid(visible=False, axis="x")
    axes.set_title(title)


def plot_profile(axes: Axes, profile: Profile, color: Any, label: str) -> None:
    """Draw a profile with a band of one standard error.

    Args:
        axes: where to draw.
        profile: the profile.
        color: colour of the curve.
        label: entry in the legend.
    """
    style: dict[str, Any] = {"linewidth": 1.5, "marker": ".", "markersize": 3}
    axes.plot(profile.positions_A, profile.values, color=color, label=label, **style)
    low, high = profile.values - profile.errors, profile.values + profile.errors
    axes.fill_between(profile.positions_A, low, high, color=color, alpha=0.2, linewidth=0)
    axes.set_xlim(0.0, profile.positions_A[-1] + profile.positions_A[0])


def plot_kymograph(figure: Figure, axes: Axes, kymograph: Kymograph) -> QuadMesh:
    """Draw a map of position and time as a picture with a bar of colours.

    Args:
        figure: what the axes are in.
        axes: where to draw.
        kymograph: the map; layers that hold nothing stay white.
    """
    times = kymograph.times_ps if kymograph.times_ps is not None else np.arange(len(kymograph.values))
    mesh = axes.pcolormesh(
        times, kymograph.positions_A, kymograph.values.T, cmap="viridis", shading="nearest", rasterized=True
    )
    axes.grid(visible=False)
    figure.colorbar(mesh, ax=axes, label=f"{kymograph.quantity} ({kymograph.unit})")
    return mesh


def plot_growth(
    axes: Axes, times_ps: np.ndarray, values: np.ndarray, growth: Growth | None, label: str
) -> None:
    """Draw a quantity against time with the laws that were fitted; the best is strong.

    Args:
        axes: where to draw.
        times_ps: shape (T,), ps since growth began.
        values: shape (T,).
        growth: the fits, or None.
        label: entry of the quantity in the legend.
    """
    axes.plot(times_ps, values, color=PALETTE[0], marker="o", markersize=2.5, linewidth=0.8, label=label)
    if growth is None:
        return
    fitted = np.linspace(*growth.window_ps, 200)
    for number, law in enumerate(growth.laws):
        style: dict[str, Any] = {"linewidth": 1.8} if number == 0 else {"linewidth": 1.0, "linestyle": "--"}
        color = INK if number == 0 else (MUTED, PALETTE[4])[number - 1]
        axes.plot(
            fitted, law.predict(fitted), color=color, label=f"{law.law}: {100 * law.weight:.0f} %", **style
        )


def plot_counts(axes: Axes, times_ps: np.ndarray, counts: Mapping[str, np.ndarray]) -> None:
    """Draw how many of each kind there were against time.

    Args:
        axes: where to draw.
        times_ps: shape (T,).
        counts: kind -> numbers, shape (T,).
    """
    largest = sorted(counts, key=lambda kind: -float(np.max(counts[kind])))[: len(PALETTE)]
    for kind, color in zip(largest, PALETTE, strict=False):
        axes.plot(times_ps, counts[kind], color=color, label=kind, linewidth=1.4)
    axes.set_ylim(bottom=0.0)


def plot_structure_factor(
    axes: Axes, curves: Mapping[str, tuple[np.ndarray, np.ndarray]], colors: Sequence[Any]
) -> None:
    """Draw structure factors.

    Args:
        axes: where to draw.
        curves: label -> wave vectors in 1/A and S(q), shape (Q,) both.
        colors: a colour a curve.
    """
    axes.axhline(1.0, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
    for (label, (q, curve)), color in zip(curves.items(), colors, strict=True):
        axes.plot(q, curve, color=color, label=label, linewidth=1.4)
    axes.set_xlim(0.0, max(float(q[-1]) for q, _ in curves.values()))
    # what a sample of two parts scatters at small q would flatten the rest
    beyond = np.concatenate([curve[q > _SMALLEST_Q] for q, curve in curves.values()])
    axes.set_ylim(1.08 * min(float(beyond.min()), 0.0), 1.08 * float(beyond.max()))


def plot_glass_transition(
    axes: Axes, temperature_K: np.ndarray, values: np.ndarray, result: GlassTransition
) -> None:
    """Draw a quantity along a quench with the two lines that meet at the glass transition.

    Args:
        axes: where to draw.
        temperature_K: shape (T,).
        values: shape (T,).
        result: the fit.
    """
    axes.plot(temperature_K, values, ".", color=PALETTE[0], markersize=2.5, alpha=0.6)
    line = np.linspace(temperature_K.min(), temperature_K.max(), 300)
    axes.plot(line, result.predict(line), color=INK, linewidth=1.5)
    if result.value is None or result.interval is None:
        axes.set_title("no glass transition is seen")
        return
    axes.axvline(result.value, color=PALETTE[1], linewidth=1.2)
    axes.axvspan(*result.interval, color=PALETTE[1], alpha=0.12, linewidth=0)
    axes.set_title(f"$T_g$ = {result.value:.0f} ± {result.error:.0f} K")
