"""The chapter on structure: g(r) against a reference, coordination, density, and entries of results.json."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from md.analysis.frames import Frames
from md.analysis.rdf import RadialDistribution
from md.analysis.structure import StretchStructure
from md.report.chapter import (
    legend_labels,
    name_part,
    stretch_colors,
    stretch_context,
)
from md.report.entries import entry, join_name
from md.report.plots import plot_coordination, plot_rdf
from mlip.report.figures import legend_above, new_grid, save_figure
from mlip.report.html import FigureBlock, Section, TableBlock

Pair = tuple[str, str]


def structure_section(
    stretches: Sequence[StretchStructure],
    folder: Path,
    reference: Mapping[Pair, RadialDistribution] | None = None,
    reference_label: str = "reference",
) -> Section:
    """Draw the figures of structure and write its chapter.

    Args:
        stretches: the results, one a stretch.
        folder: where PNG and CSV go.
        reference: g(r) to compare with, such as that of DFT frames.
        reference_label: its name in the legend.
    """
    figures = [_rdf_figure(stretches, folder, reference or {}, reference_label)]
    if any(stretch.coordination for stretch in stretches):
        figures.append(_coordination_figure(stretches, folder))
    return Section(
        heading="Structure",
        text=(
            "Radial distribution functions of every pair of species, through all periodic images, and the "
            "number of neighbors within the first minimum of g(r) for pairs in bonding contact."
        ),
        figures=figures,
        tables=[_table(stretches)],
    )


def structure_entries(stretches: Sequence[StretchStructure]) -> dict[str, dict[str, Any]]:
    """Entries of results.json: density, first peak of each g(r), coordination numbers.

    Names are `density`, `first_peak.A-B`, `coordination.A-B` (B around A), followed by the stretch where
    there are several.
    """
    entries: dict[str, dict[str, Any]] = {}
    for number, stretch in enumerate(stretches):
        part = name_part(_frames(stretches), number)
        context = stretch_context(stretch.frames)
        entries[join_name("density", part)] = entry(stretch.density_g_cm3, "g/cm^3") | context
        for pair, rdf in stretch.rdf.items():
            if rdf.first_peak_A is not None:
                entries[join_name("first_peak", "-".join(pair), part)] = _peak_entry(rdf) | context
        for pair, coordination in stretch.coordination.items():
            shares = {"fractions": [float(share) for share in coordination.fractions]}
            name = join_name("coordination", "-".join(pair), part)
            entries[name] = entry(coordination, "neighbors") | shares | context
    return entries


def _peak_entry(rdf: RadialDistribution) -> dict[str, Any]:
    return {
        "value": rdf.first_peak_A,
        "unit": "A",
        "error": float(rdf.r[1] - rdf.r[0]) / 2,
        "method": f"highest bin of the first peak of g(r), error half a bin; {rdf.method}",
        "pair": list(rdf.pair),
        "first_minimum_A": rdf.first_minimum_A,
    }


def _rdf_figure(
    stretches: Sequence[StretchStructure],
    folder: Path,
    reference: Mapping[Pair, RadialDistribution],
    reference_label: str,
) -> FigureBlock:
    pairs = list(stretches[0].rdf)
    labels, colors = legend_labels(_frames(stretches)), stretch_colors(_frames(stretches))
    table: dict[str, Any] = {"r_A": stretches[0].rdf[pairs[0]].r}
    with new_grid(len(pairs)) as (figure, panels):
        for axes, pair in zip(panels, pairs, strict=True):
            curves = {label: stretch.rdf[pair] for label, stretch in zip(labels, stretches, strict=True)}
            plot_rdf(axes, curves, colors, reference.get(pair), reference_label)
            axes.set_xlabel("r (Å)")
            axes.set_ylabel("g(r)")
            for label, curve in curves.items():
                table[f"g {'-'.join(pair)} {label}"] = curve.g
            if pair in reference:
                table[f"r_A {reference_label}"] = reference[pair].r
                table[f"g {'-'.join(pair)} {reference_label}"] = reference[pair].g
        legend_above(figure, panels[0])
        path = save_figure(figure, folder / "rdf.png", table)
    filled = f" Filled: {reference_label}." if reference else ""
    caption = f"Radial distribution functions.{filled} The dotted line is an ideal gas."
    return FigureBlock(path, caption, wide=len(pairs) > 1)


def _coordination_figure(stretches: Sequence[StretchStructure], folder: Path) -> FigureBlock:
    pairs = list(dict.fromkeys(pair for stretch in stretches for pair in stretch.coordination))
    labels, colors = legend_labels(_frames(stretches)), stretch_colors(_frames(stretches))
    table: dict[str, Any] = {
        "neighbors": range(max(len(c.fractions) for s in stretches for c in s.coordination.values()))
    }
    with new_grid(len(pairs)) as (figure, panels):
        for axes, pair in zip(panels, pairs, strict=True):
            present = [index for index, stretch in enumerate(stretches) if pair in stretch.coordination]
            curves = {labels[index]: stretches[index].coordination[pair] for index in present}
            plot_coordination(axes, curves, [colors[index] for index in present])
            axes.set_xlabel("neighbors")
            axes.set_ylabel("share (%)")
            for label, result in curves.items():
                table[f"share {'-'.join(pair)} {label}"] = result.fractions
        legend_above(figure, panels[0])
        path = save_figure(figure, folder / "coordination.png", table)
    caption = "Shares of atoms with each number of neighbors within the first minimum of g(r)."
    return FigureBlock(path, caption, wide=len(pairs) > 1)


def _table(stretches: Sequence[StretchStructure]) -> TableBlock:
    rows: list[list[Any]] = []
    for label, stretch in zip(legend_labels(_frames(stretches)), stretches, strict=True):
        density = stretch.density_g_cm3
        rows.append([label, "density (g/cm³)", density.value, density.error, None])
        rows += [
            [label, f"{pair[1]} around {pair[0]}", result.value, result.error, f"{result.cutoff_A:.2f}"]
            for pair, result in stretch.coordination.items()
        ]
    header = ["run", "quantity", "value", "error", "within (Å)"]
    return TableBlock(header, rows, "Density and mean coordination numbers with one standard error.")


def _frames(stretches: Sequence[StretchStructure]) -> list[Frames]:
    return [stretch.frames for stretch in stretches]
