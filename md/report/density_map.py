"""The chapter on where ions are: the surface that holds most of them, drawn about the framework."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.colors import to_rgb
from scipy.ndimage import gaussian_filter, zoom

from md.analysis.density_map import HELD, DensityMap, find_enclosing, write_density
from md.report.chapter import Analysis, Entries
from md.report.entries import entry, join_name
from md.report.picture import ELEMENT_COLORS, draw_structure
from mlip.report.figures import new_panels, save_figure
from mlip.report.html import FigureBlock, Section

_COLOR = ELEMENT_COLORS["Li"]
_SIZE = (5.6, 5.4)
_FINER = 2
_EXPLANATION = (
    f"The surface encloses {HELD:.0%} of the ions at the lowest volume: where it is connected, ions pass; "
    "where it is a row of balls, they stay on their sites. The framework stands at its mean places. The "
    "densities are on file as cube and xsf, for VESTA, VMD or OVITO."
)


def density_analysis(found: Sequence[tuple[str, float | None, DensityMap]], folder: Path) -> Analysis:
    """Draw the surfaces, write the densities, the chapter and its entries.

    Entries are `occupied_volume.SPECIES`, followed by the stretch where there are several.

    Args:
        found: label and temperature of a stretch, density of a species in it.
        folder: where PNG, CSV, cube and xsf go; stretches of several in folders of their own.
    """
    entries: Entries = {}
    figures = []
    for label, temperature, result in found:
        cube, xsf = write_density(result, folder / label if label else folder)
        context = {"stretch": label, "temperature_K": temperature, "level_1_per_A3": result.level}
        files = {"files": [str(path.relative_to(folder)) for path in (cube, xsf)]}
        entries[join_name("occupied_volume", result.species, label)] = _entry(result) | context | files
        figures.append(_figure(result, label, folder))
    return Analysis(entries, [Section("Density of ions", _EXPLANATION, figures)])


def _entry(result: DensityMap) -> dict[str, object]:
    found = entry(result)
    del found["framework"], found["level"]
    return found


def _figure(result: DensityMap, label: str, folder: Path) -> FigureBlock:
    # counts scatter; what is drawn is smoothed over neighboring points, then read between them
    smooth = zoom(gaussian_filter(result.density, 1.0, mode="wrap"), _FINER, mode="grid-wrap", grid_mode=True)
    level, _ = find_enclosing(smooth.ravel())
    points = surface_points(smooth, level)
    cell = result.framework.cell.array
    spacing = float(np.max(np.linalg.norm(cell, axis=1) / smooth.shape))
    colors = np.tile(to_rgb(_COLOR), (len(points), 1))
    surface = (points @ cell, np.full(len(points), 0.9 * spacing), colors)
    held = np.cumsum(np.sort(result.density, axis=None)[::-1]) / result.density.sum()
    shares = np.linspace(0.0, 1.0, 101)
    table = {
        "share_of_volume": shares,
        "share_of_ions": np.interp(shares, np.arange(1, held.size + 1) / held.size, held),
    }
    name = "_".join(part for part in ("density", result.species, label) if part)
    with new_panels(1, 1, _SIZE) as (figure, (axes,)):
        draw_structure(axes, result.framework, surface=surface)
        axes.set_title(f"{result.species} {label}".strip())
        path = save_figure(figure, folder / f"{name}.png", table)
    caption = f"{HELD:.0%} of {result.species} are inside the surface; the CSV has all shares."
    return FigureBlock(path, caption)


def surface_points(density: np.ndarray, level: float) -> np.ndarray:
    """Points of the surface of constant density: where it crosses the lines between grid points.

    Args:
        density: periodic grid, shape (A, B, C); point (i, j, k) is the middle of its grid cell.
        level: density on the surface.

    Returns:
        Fractional coordinates, shape (P, 3).
    """
    shape = np.array(density.shape)
    found = []
    for axis in range(3):
        after = np.roll(density, -1, axis=axis)
        crosses = (density >= level) != (after >= level)
        places = np.argwhere(crosses) + 0.5
        here, there = density[crosses], after[crosses]
        places[:, axis] += (level - here) / (there - here)
        found.append(places / shape)
    return np.concatenate(found)
