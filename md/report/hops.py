"""The chapter on how single ions move: hops from cage to cage, van Hove functions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from md.analysis.hops import HopStatistics
from md.analysis.van_hove import VanHove
from md.report.chapter import Analysis, Entries
from md.report.entries import entry, join_name
from md.report.plots import temperature_colors
from md.report.text import with_error
from mlip.report.figures import new_axes, new_panels, save_figure
from mlip.report.html import FigureBlock, Section, TableBlock
from mlip.report.style import MUTED, SINGLE, WIDE

_EXPLANATION = (
    "A hop is where an ion's mean places before and after differ by more than half the site-to-site distance "
    "(Candelier et al. 2010), so no sites need be known. The correlation factor is one where hops do not "
    "remember the one before, and small where ions go back. The van Hove functions say how far ions have "
    "gone after a lag, and whether another ion then is where one was (distinct part near r = 0)."
)


def hops_analysis(
    found: Sequence[tuple[str, float | None, HopStatistics, VanHove]], folder: Path
) -> Analysis:
    """Draw the figures of hops, write their chapter and their entries.

    Entries are `hop_rate.SPECIES` and `non_gaussian.SPECIES`, then the stretch where there are several.

    Args:
        found: label and temperature of a stretch, hops and van Hove functions of a species in it.
        folder: where PNG and CSV go.
    """
    entries: Entries = {}
    for label, temperature, hops, hove in found:
        context: dict[str, Any] = {"stretch": label, "temperature_K": temperature}
        entries[join_name("hop_rate", hops.species, label)] = entry(hops, **context)
        curve = {"lags_ps": hove.lags_ps.tolist(), "non_gaussian": hove.non_gaussian.tolist()}
        entries[join_name("non_gaussian", hove.species, label)] = entry(hove, **context) | curve
    colors = temperature_colors([temperature for _, temperature, _, _ in found])
    names = [f"{hops.species} {label}".strip() for label, _, hops, _ in found]
    figures = [_length_figure(dict(zip(names, found, strict=True)), colors, folder)]
    figures += [
        _van_hove_figure(hove, name, folder) for name, (_, _, _, hove) in zip(names, found, strict=True)
    ]
    warnings = [
        f"{name}: {warning}."
        for name, (_, _, hops, _) in zip(names, found, strict=True)
        for warning in hops.warnings
    ]
    return Analysis(entries, [Section("Hops", _EXPLANATION, figures, [_table(names, found)], warnings)])


def _length_figure(
    found: Mapping[str, tuple[str, float | None, HopStatistics, VanHove]], colors: Sequence[Any], folder: Path
) -> FigureBlock:
    table: dict[str, Any] = {}
    with new_axes("length of a hop (Å)", "density (1/Å)", "Hops", SINGLE) as (figure, axes):
        for (name, (_, _, hops, _)), color in zip(found.items(), colors, strict=True):
            middle = 0.5 * (hops.lengths_A[1:] + hops.lengths_A[:-1])
            axes.plot(middle, hops.length_density, color=color, label=name, drawstyle="steps-mid")
            table[f"length_A {name}"], table[f"density 1/A {name}"] = middle, hops.length_density
        present = [hops.lengths_A[1:][hops.length_density > 0] for _, _, hops, _ in found.values()]
        axes.set_xlim(0.0, 1.3 * max((lengths.max() for lengths in present if len(lengths)), default=1.0))
        axes.set_ylim(bottom=0.0)
        axes.legend()
        path = save_figure(figure, folder / "hops.png", table)
    return FigureBlock(path, "Lengths of hops; none is shorter than half a site distance.")


def _van_hove_figure(hove: VanHove, name: str, folder: Path) -> FigureBlock:
    table: dict[str, Any] = {"r_A": hove.r}
    shades = np.linspace(0.9, 0.35, len(hove.lags_ps))
    with new_panels(1, 2, WIDE) as (figure, (left, right)):
        for lag, own, other, shade in zip(hove.lags_ps, hove.displaced, hove.distinct, shades, strict=True):
            color = (0.0, 0.45 * shade + 0.1, shade)
            left.plot(hove.r, own, color=color, label=f"{lag:.3g} ps")
            right.plot(hove.r, other, color=color, label=f"{lag:.3g} ps")
            table[f"displaced {lag:.4g} ps 1/A"], table[f"distinct {lag:.4g} ps"] = own, other
        right.axhline(1.0, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
        left.set_ylabel("4πr² G_s (1/Å)")
        right.set_ylabel("G_d / ρ")
        for axes, title in ((left, f"Self part, {name}"), (right, "Distinct part")):
            axes.set_xlabel("r (Å)")
            axes.set_title(title)
            axes.set_ylim(bottom=0.0)
        left.legend()
        path = save_figure(figure, folder / f"van_hove_{name.replace(' ', '_')}.png", table)
    return FigureBlock(path, f"Van Hove functions of {name}.", wide=True)


def _table(
    names: Sequence[str], found: Sequence[tuple[str, float | None, HopStatistics, VanHove]]
) -> TableBlock:
    rows = [
        [
            name,
            with_error(hops.value, hops.error) if hops.error is not None else None,
            str(hops.num_hops),
            hops.mean_length_A,
            hops.mean_residence_ps,
            hops.correlation_factor,
            hove.value,
        ]
        for name, (_, _, hops, hove) in zip(names, found, strict=True)
    ]
    header = ["run", "hops (1/ps)", "found", "length (Å)", "residence (ps)", "correlation", "α₂"]
    return TableBlock(header, rows, "Hops of an ion, and its non-Gaussian parameter at the longest lag.")
