"""Figures made and saved: axes with units in, a PNG, an SVG and the CSV of its numbers out."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import zip_longest
from math import ceil
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mlip.report.style import SINGLE, WIDE, style
from mlip.report.vector import write_svg

_ROW_HEIGHT = 2.75


@contextmanager
def new_axes(
    xlabel: str, ylabel: str, title: str = "", size: tuple[float, float] = SINGLE
) -> Iterator[tuple[Figure, Axes]]:
    """Open a figure with one pair of axes in the house style.

    Draw and save inside the `with` block: the style ends with it. pyplot is not used, so nothing
    needs closing and no display is touched.

    Args:
        xlabel: label of the x axis with its unit, "time (ps)".
        ylabel: label of the y axis with its unit.
        title: short heading over the axes, or nothing.
        size: width and height in inches: `SINGLE`, `WIDE` or `SQUARE` of `mlip.report.style`.

    Yields:
        The figure and its axes.
    """
    with new_panels(1, 1, size) as (figure, (axes,)):
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        axes.set_title(title)
        yield figure, axes


@contextmanager
def new_panels(
    rows: int, columns: int, size: tuple[float, float], share_x: bool = False
) -> Iterator[tuple[Figure, list[Axes]]]:
    """Open a figure with a grid of axes in the house style.

    Args:
        rows: number of rows.
        columns: number of columns.
        size: width and height of the whole figure in inches.
        share_x: one x axis for every panel.

    Yields:
        The figure and its axes, row by row.
    """
    with style():
        figure = Figure(figsize=size)
        FigureCanvasAgg(figure)
        grid = figure.subplots(rows, columns, squeeze=False, sharex=share_x)
        yield figure, list(grid.flat)


@contextmanager
def new_grid(count: int, row_height: float = _ROW_HEIGHT) -> Iterator[tuple[Figure, list[Axes]]]:
    """Open a figure of small panels, at most three in a row.

    Args:
        count: number of panels.
        row_height: of each row in inches.

    Yields:
        The figure and its panels; places without a panel stay blank.
    """
    columns = min(count, 2 if count == 4 else 3)
    rows = ceil(count / columns)
    width = WIDE[0] if columns > 1 else WIDE[0] / 2
    with new_panels(rows, columns, (width, row_height * rows)) as (figure, panels):
        for axes in panels[count:]:
            axes.set_axis_off()
        yield figure, panels[:count]


def legend_above(figure: Figure, axes: Axes) -> None:
    """One legend for all panels, over them, of what is drawn in one of them."""
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper right", ncols=5)


def save_figure(figure: Figure, path: str | Path, table: Mapping[str, Iterable[Any]]) -> Path:
    """Write a figure as PNG and SVG and the numbers behind it as CSV with the same name.

    Args:
        figure: the figure, drawn.
        path: where the PNG goes; its ending is replaced by ".png".
        table: column name with its unit ("time_ps") -> numbers. Shorter columns leave empty cells.

    Returns:
        The path of the PNG.
    """
    image = Path(path).with_suffix(".png")
    image.parent.mkdir(parents=True, exist_ok=True)
    with style():
        figure.savefig(image)
        write_svg(figure, image.with_suffix(".svg"))
    with image.with_suffix(".csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(table.keys())
        writer.writerows(zip_longest(*table.values(), fillvalue=""))
    return image
