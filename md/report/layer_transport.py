"""The chapter on layers: diffusion along regions, diffusion and net flux across planes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from md.analysis.diffusion import Diffusivity
from md.analysis.first_passage import FirstPassage
from md.analysis.planes import NetFlux, PlaneDiffusivity
from md.analysis.regions import Region
from md.report.chapter import Analysis, Entries
from md.report.entries import entry, join_name
from md.report.text import scientific, with_error
from mlip.report.figures import new_axes, save_figure
from mlip.report.html import FigureBlock, Section, TableBlock
from mlip.report.style import INK, PALETTE, WIDE
from mlip.units import A2_PER_PS_IN_CM2_PER_S

_EXPLANATION = (
    "Along a layer: the mean squared displacement of ions that are in it at the time origin and for the "
    "whole lag. Out of it: how far and for how long ions go until they are first seen outside. Across a "
    "plane: ions on its other side after a lag, N = rho A sqrt(D t / pi); a layer's width would limit "
    "displacements across it. Net flux: passages in one direction less those in the other. "
    "Places are fractions of the lattice vector: they breathe with the cell and move with its centre of mass."
)


@dataclass(frozen=True)
class LayerTransport:
    """What one stretch says about layers.

    Attributes:
        label: name of the stretch; empty for the only one.
        temperature_K: temperature, if known.
        along: region and diffusivity along it.
        out: region and diffusivity normal to it, of ions that leave it.
        across: diffusivities across planes.
        fluxes: net fluxes through planes.
        missing: why something could not be given.
    """

    label: str
    temperature_K: float | None
    along: Sequence[tuple[Region, Diffusivity]]
    out: Sequence[tuple[Region, FirstPassage]]
    across: Sequence[PlaneDiffusivity]
    fluxes: Sequence[NetFlux]
    missing: Sequence[str]

    @property
    def of_regions(self) -> list[tuple[str, Region, Diffusivity | FirstPassage]]:
        """Direction, along or out, region and diffusivity."""
        return [("along", *each) for each in self.along] + [("out", *each) for each in self.out]


def layers_analysis(found: Sequence[LayerTransport], folder: Path) -> Analysis:
    """Draw the figures of layers, write their chapter and their entries.

    Entries are `diffusivity_along.REGION.SPECIES`, `diffusivity_out.REGION.SPECIES`,
    `diffusivity_across.PLANE.SPECIES` and `net_flux.PLANE.SPECIES`, followed by the stretch where there are
    several.

    Args:
        found: the results, one a stretch.
        folder: where PNG and CSV go.
    """
    entries: Entries = {}
    for result in found:
        context: dict[str, Any] = {"stretch": result.label, "temperature_K": result.temperature_K}
        for way, region, each in result.of_regions:
            name = join_name(f"diffusivity_{way}", region.name, each.species, result.label)
            ends: dict[str, Any] = {"region": [region.start, region.end], "axis": region.axis}
            entries[name] = entry(each, **context, **ends)
        for across in result.across:
            name = join_name("diffusivity_across", f"{across.plane:g}", across.species, result.label)
            entries[name] = entry(across, **context)
        for flux in result.fluxes:
            name = join_name("net_flux", f"{flux.plane:g}", flux.species, result.label)
            entries[name] = entry(flux, **context)
    figures = []
    if any(result.out for result in found):
        figures.append(_survival_figure(found, folder))
    if any(result.across for result in found):
        figures.append(_across_figure(found, folder))
    if any(result.fluxes for result in found):
        figures.append(_flux_figure(found, folder))
    warnings = [f"{result.label} {reason}.".strip() for result in found for reason in result.missing]
    for result in found:
        for quoted in [*(each for _, _, each in result.of_regions), *result.across]:
            place = f"{quoted.species} {result.label}".strip()
            warnings += [f"{place}: {warning}." for warning in quoted.warnings]
    section = Section("Layers", _EXPLANATION, figures, [_table(found)], warnings)
    return Analysis(entries, [section])


def _survival_figure(found: Sequence[LayerTransport], folder: Path) -> FigureBlock:
    table: dict[str, Any] = {}
    with new_axes("time (ps)", "share that has not left", "First passages", WIDE) as (figure, axes):
        curves = [(result.label, region, each) for result in found for region, each in result.out]
        for number, (label, region, each) in enumerate(curves):
            name = f"{each.species} {region.name} {label}".strip()
            axes.plot(each.times_ps, each.survival, "o", color=PALETTE[number % len(PALETTE)], label=name)
            axes.plot(each.times_ps, each.expected, "--", color=INK, linewidth=0.9)
            table[f"time_ps {name}"], table[f"share {name}"] = each.times_ps, each.survival
            table[f"expected {name}"] = each.expected
        axes.set_xlim(left=0.0)
        axes.set_ylim(0.0, 1.02)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        path = save_figure(figure, folder / "first_passage.png", table)
    return FigureBlock(
        path,
        "Ions that have not left a layer yet; broken lines: the same of evenly spread ions with the D found.",
        wide=True,
    )


def _across_figure(found: Sequence[LayerTransport], folder: Path) -> FigureBlock:
    table: dict[str, Any] = {}
    with new_axes("lag (ps)", "π (N / ρA)² (Å²)", "Passages of a plane", WIDE) as (figure, axes):
        curves = [(result.label, each) for result in found for each in result.across]
        for number, (label, each) in enumerate(curves):
            name = f"{each.species} {each.axis} = {each.plane:g} {label}".strip()
            squares, color = np.pi * each.reach_A**2, PALETTE[number % len(PALETTE)]
            axes.plot(each.lags_ps, squares, "o", color=color, label=name)
            if each.value is not None:
                slope = each.value / A2_PER_PS_IN_CM2_PER_S
                middle = np.mean(squares - slope * each.lags_ps)
                axes.plot(each.lags_ps, middle + slope * each.lags_ps, "--", color=INK, linewidth=0.9)
            table[f"lag_ps {name}"], table[f"passages_A2 {name}"] = each.lags_ps, squares
        axes.set_xlim(left=0.0)
        axes.set_ylim(bottom=0.0)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        path = save_figure(figure, folder / "plane_diffusivity.png", table)
    return FigureBlock(
        path, "Passages of planes, one way, against the lag; the slope of a line is D.", wide=True
    )


def _flux_figure(found: Sequence[LayerTransport], folder: Path) -> FigureBlock:
    table: dict[str, Any] = {}
    with new_axes("time (ps)", "ions passed, net", "Net flux through planes", WIDE) as (figure, axes):
        curves = [(result.label, each) for result in found for each in result.fluxes]
        for number, (label, each) in enumerate(curves):
            name = f"{each.species} {each.axis} = {each.plane:g} {label}".strip()
            axes.plot(each.times_ps, each.crossed, color=PALETTE[number % len(PALETTE)], label=name)
            table[f"time_ps {name}"], table[f"passed {name}"] = each.times_ps, each.crossed
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        path = save_figure(figure, folder / "net_flux.png", table)
    return FigureBlock(
        path, "Ions that have passed planes along the vector, less those that came back.", wide=True
    )


def _table(found: Sequence[LayerTransport]) -> TableBlock:
    rows: list[list[str]] = []
    for result in found:
        for way, region, one in result.of_regions:
            place = f"{region.name}, {region.axis} = {region.start:g} – {region.end:g}"
            rows.append([way, one.species, place, result.label, _text(one)])
        for each in result.across:
            place = f"{each.axis} = {each.plane:g}"
            rows.append(["across", each.species, place, result.label, _text(each)])
    return TableBlock(
        ["direction", "species", "place", "run", "D (cm²/s)"], rows, "Diffusivities, one standard error."
    )


def _text(result: Diffusivity | FirstPassage | PlaneDiffusivity) -> str:
    if result.value is not None and result.error is not None:
        return with_error(result.value, result.error)
    bound = None if isinstance(result, PlaneDiffusivity) else result.upper_bound
    return "not given" if bound is None else f"< {scientific(bound)}"
