"""The chapters on surfaces: their energies against the thickness of slabs, and the shape of a crystal."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Polygon

from md.energetics.surface_energy import SurfaceEnergy
from md.energetics.wulff import Plane, WulffShape
from md.report.chapter import Analysis
from md.report.entries import entry, join_name
from mlip.report.figures import new_axes, save_figure
from mlip.report.html import FigureBlock, Highlight, Section, TableBlock
from mlip.report.style import INK, PALETTE, SQUARE

_SURFACES = (
    "g = (E - N E_bulk) / 2S of slabs of whole formula units, with atoms relaxed in the cell of the "
    "relaxed crystal. The value is that of the slope of E against N, which does not drift with the "
    "thickness; the error is the larger of what the last thickness changed and of what slope and thickest "
    "slab differ by."
)
_WULFF = (
    "The shape of least surface energy of a given volume (Wulff): planes that the point group makes equal "
    "have one surface energy, the lowest of their terminations."
)
# From where the shape is seen, and from where light falls on it.
_VIEW, _LIGHT = np.array([0.80, 0.46, 0.38]), np.array([0.55, 0.75, 0.85])


def surface_chapter(surfaces: Sequence[SurfaceEnergy], folder: Path) -> Analysis:
    """Draw energies against thickness, and write chapter and entries.

    Args:
        surfaces: The results.
        folder: Where PNG and CSV go.
    """
    rows = [
        [each.name, each.value, each.error, each.value_eV_A2, each.unrelaxed, _shift(each), len(each.units)]
        for each in surfaces
    ]
    header = ["surface", "g (J/m²)", "error", "g (eV/Å²)", "as cut (J/m²)", "E_bulk - slope", "slabs"]
    lowest = min(surfaces, key=lambda each: each.value)
    warnings = [f"{each.name}: a slab is not relaxed." for each in surfaces if not each.converged]
    warnings += [
        f"{each.name}: the two sides differ, the value is their mean."
        for each in surfaces
        if not each.symmetric
    ]
    section = Section(
        heading="Surface energies",
        text=_SURFACES,
        figures=[_thickness_figure(surfaces, folder)],
        tables=[TableBlock(header, rows, "E_bulk less the slope is in meV a formula unit.")],
        warnings=warnings,
    )
    entries = {join_name("surface_energy", each.name): entry(each) for each in surfaces}
    card = Highlight("lowest surface energy", f"{lowest.value:.3f}", "J/m²", f"({lowest.name})")
    return Analysis(entries, [section], [card])


def wulff_chapter(shape: WulffShape, folder: Path) -> Analysis:
    """Draw the shape, and write chapter and entries.

    Args:
        shape: The shape.
        folder: Where PNG and CSV go.
    """
    rows = [[_index(plane), 100 * share] for plane, share in shape.shares.items()]
    section = Section(
        heading="Equilibrium shape",
        text=_WULFF,
        figures=[_shape_figure(shape, folder)],
        tables=[TableBlock(["plane", "share of the surface (%)"], rows)],
    )
    method = "Wulff construction with the point group of the crystal"
    numbers = {
        "wulff_surface_energy": (shape.surface_energy, "J/m^2"),
        "wulff_anisotropy": (shape.anisotropy, "1"),
        "wulff_shape_factor": (shape.shape_factor, "1"),
    } | {f"wulff_share.{_index(plane)}": (share, "1") for plane, share in shape.shares.items()}
    entries = {
        name: {"value": value, "unit": unit, "error": None, "method": method}
        for name, (value, unit) in numbers.items()
    }
    return Analysis(entries, [section])


def draw_shape(axes: Axes, shape: WulffShape, colors: dict[Plane, str]) -> None:
    """Draw the faces that look at the reader, lit from above.

    Args:
        axes: Where to draw; its frame is taken away.
        shape: The shape.
        colors: Plane -> colour.
    """
    towards = _VIEW / np.linalg.norm(_VIEW)
    right = np.cross([0.0, 0.0, 1.0], towards)
    right /= np.linalg.norm(right)
    screen = np.array([right, np.cross(towards, right)])
    light = _LIGHT / np.linalg.norm(_LIGHT)
    for facet in shape.facets:
        if facet.normal @ towards <= 1e-6:
            continue
        bright = 0.55 + 0.45 * max(float(facet.normal @ light), 0.0)
        face = tuple(bright * part + (1 - bright) * 0.15 for part in to_rgb(colors[facet.plane]))
        axes.add_patch(Polygon(facet.corners @ screen.T, facecolor=face, edgecolor=INK, linewidth=0.9))
    for plane, color in colors.items():
        if shape.shares[plane] > 0:
            axes.plot([], [], "s", color=color, label=f"({_index(plane)})  {100 * shape.shares[plane]:.0f} %")
    axes.set_aspect("equal")
    axes.autoscale_view()
    axes.set_axis_off()
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def _thickness_figure(surfaces: Sequence[SurfaceEnergy], folder: Path) -> FigureBlock:
    table: dict[str, Any] = {}
    with new_axes("thickness of the slab (Å)", "surface energy (J/m²)") as (figure, axes):
        for number, each in enumerate(surfaces):
            color = PALETTE[number % len(PALETTE)]
            axes.plot(each.thickness_A, each.of_slabs, "o-", color=color, label=f"({each.name})")
            axes.axhline(each.value, color=color, linewidth=0.9, linestyle="--")
            table |= {f"{each.name}_thickness_A": each.thickness_A, f"{each.name}_J_per_m2": each.of_slabs}
        axes.margins(y=0.15)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        path = save_figure(figure, folder / "surface_energy.png", table)
    return FigureBlock(path, "Surface energy by each slab (points) and by the slope of all (dashed).")


def _shape_figure(shape: WulffShape, folder: Path) -> FigureBlock:
    planes = list(shape.shares)
    colors = {plane: PALETTE[number % len(PALETTE)] for number, plane in enumerate(planes)}
    with new_axes("", "", size=SQUARE) as (figure, axes):
        draw_shape(axes, shape, colors)
        names, shares = [_index(plane) for plane in planes], list(shape.shares.values())
        path = save_figure(figure, folder / "wulff.png", {"plane": names, "share": shares})
    return FigureBlock(path, "The equilibrium shape; faces coloured by their plane, with their shares.")


def _shift(surface: SurfaceEnergy) -> float | None:
    return None if surface.slope_eV is None else 1e3 * (surface.bulk_eV - surface.slope_eV)


def _index(plane: Plane) -> str:
    return "".join(str(each) for each in plane)
