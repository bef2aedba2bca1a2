"""Small graphs side by side, as results carry them: curves, where they go wrong, and limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import SymmetricalLogLocator

from mlip.report.figures import new_grid, save_figure

_MOST_DECADES = 8


@dataclass(frozen=True)
class Panel:
    """One graph.

    Attributes:
        title: Heading over the axes.
        xlabel: Of the x axis, with its unit.
        ylabel: Of the y axis, with its unit.
        lines: Name in the legend to x and y, each (n,).
        dots: Names of those lines that are drawn as points.
        marks: Points (x, y) where something is wrong.
        levels: Name in the legend to y of a horizontal line, such as a limit.
        is_wide: Whether y goes by powers of ten on both sides of zero, linear between -1 and 1.
    """

    title: str
    xlabel: str
    ylabel: str
    lines: Mapping[str, tuple[np.ndarray, np.ndarray]]
    dots: Sequence[str] = ()
    marks: Sequence[tuple[float, float]] = ()
    levels: Mapping[str, float] = field(default_factory=dict)
    is_wide: bool = False


def save_panels(panels: Sequence[Panel], path: Path) -> Path:
    """Draw panels in a grid, as a PNG with the CSV of its numbers."""
    with new_grid(len(panels)) as (figure, grid):
        for panel, axes in zip(panels, grid, strict=True):
            _draw(panel, axes)
        return save_figure(figure, path, dict(chain.from_iterable(map(_table, panels))))


def _draw(panel: Panel, axes: Axes) -> None:
    for name, (x, y) in panel.lines.items():
        axes.plot(x, y, "o" if name in panel.dots else "-", label=name)
    for name, level in panel.levels.items():
        axes.axhline(level, color="0.4", linestyle="--", linewidth=1.0, label=name)
    if panel.marks:
        marked = np.array(panel.marks)
        axes.plot(*marked.T, marker="x", color="C3", linestyle="none", markersize=8, markeredgewidth=2.0)
    axes.set_title(panel.title)
    axes.set_xlabel(panel.xlabel)
    axes.set_ylabel(panel.ylabel)
    if panel.is_wide:
        axes.set_yscale("symlog", linthresh=1.0)
        decades = SymmetricalLogLocator(base=10.0, linthresh=1.0)
        decades.set_params(numticks=_MOST_DECADES)
        axes.yaxis.set_major_locator(decades)
    if len(panel.lines) + len(panel.levels) > 1:
        axes.legend()


def _table(panel: Panel) -> list[tuple[str, Sequence[float]]]:
    columns: list[tuple[str, Sequence[float]]] = []
    for name, (x, y) in panel.lines.items():
        columns.append((f"{panel.title}, {name}: {panel.xlabel}", list(x)))
        columns.append((f"{panel.title}, {name}: {panel.ylabel}", list(y)))
    return columns
