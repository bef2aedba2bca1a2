"""The chapter on collective transport: Onsager coefficients, charge diffusion, Haven ratio, fluxes."""

from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import numpy as np

from md.analysis.collective_transport import CollectiveTransport
from md.analysis.onsager import Onsager
from md.report.chapter import Analysis, Entries
from md.report.entries import entry, join_name
from md.report.plots import temperature_colors
from md.report.text import with_error, with_interval
from mlip.report.figures import new_axes, save_figure
from mlip.report.html import FigureBlock, Highlight, Section, TableBlock
from mlip.report.style import MUTED, SINGLE

_EXPLANATION = (
    "Onsager coefficients are the slopes of <sum dr_i . sum dr_j> / (2 d k T V). Ions that move together "
    "carry more charge than their self-diffusion says, or less: the Haven ratio is D of tracer over D of "
    "charge, and the conductivity here assumes nothing about it. A run holds as many independent samples of "
    "collective motion as it is longer than its memory, however many ions there are. Intervals are 95 %."
)


def collective_analysis(found: Sequence[CollectiveTransport], folder: Path) -> Analysis:
    """Draw the figures of collective transport, write its chapter and its entries.

    Entries are `onsager.A-B`, `charge_diffusivity`, `conductivity_collective`, `haven_ratio` and
    `flux.A`, followed by the temperature where there are several.

    Args:
        found: the results, one a temperature.
        folder: where PNG and CSV go.
    """
    entries: Entries = {}
    highlights: list[Highlight] = []
    for result in found:
        part = f"{result.temperature_K:.0f}K" if len(found) > 1 else ""
        entries |= _entries(result, part)
        if result.charge is not None and result.charge.haven_ratio is not None:
            value = with_interval(result.charge.haven_ratio, result.charge.haven_interval)
            label = f"Haven ratio, {result.temperature_K:.0f} K"
            highlights.append(Highlight(label, value, "", f"95 % interval, {result.charge.frame} frame"))
    known = [result for result in found if result.onsager is not None]
    section = Section(
        heading="Collective transport",
        text=_EXPLANATION,
        figures=_figures(known, folder) if known else [],
        tables=[_table(known)] if known else [],
        warnings=_warnings(found),
    )
    return Analysis(entries, [section], highlights[-1:])


def _entries(result: CollectiveTransport, part: str) -> Entries:
    context: dict[str, Any] = {"temperature_K": result.temperature_K}
    if result.onsager is None:
        return {
            join_name("charge_diffusivity", part): {
                "value": None,
                "unit": "cm^2/s",
                "error": None,
                "method": f"not given: {result.reason}",
            }
            | context
        }
    onsager = result.onsager
    entries: Entries = {}
    for i, j in combinations_with_replacement(range(len(onsager.species)), 2):
        pair = f"{onsager.species[i]}-{onsager.species[j]}"
        entries[join_name("onsager", pair, part)] = {
            "value": float(onsager.value[i, j]),
            "unit": onsager.unit,
            "error": float(onsager.error[i, j]),
            "method": onsager.method,
            "interval": onsager.interval[:, i, j].tolist(),
            "num_samples": onsager.num_samples,
            "frame": onsager.frame,
            "warnings": list(onsager.warnings),
        } | context
    for flux in result.fluxes:
        entries[join_name("flux", flux.species, part)] = entry(flux, **context)
    charge = result.charge
    if charge is None:
        return entries
    relative = charge.error / charge.value
    shared = {"frame": charge.frame, "method": charge.method} | context
    entries[join_name("charge_diffusivity", part)] = entry(charge, **context)
    entries[join_name("conductivity_collective", part)] = {
        "value": charge.conductivity,
        "unit": "S/cm",
        "error": relative * charge.conductivity,
        "interval": list(charge.conductivity_interval),
    } | shared
    if charge.haven_ratio is not None and charge.haven_interval is not None:
        entries[join_name("haven_ratio", part)] = {
            "value": charge.haven_ratio,
            "unit": "1",
            "error": relative * charge.haven_ratio,
            "interval": list(charge.haven_interval),
        } | shared
    return entries


def _warnings(found: Sequence[CollectiveTransport]) -> list[str]:
    warnings = []
    for result in found:
        place = f"{result.temperature_K:.0f} K"
        if result.reason:
            warnings.append(f"{place}: {result.reason}.")
        warnings += [
            f"{place}: {warning}." for warning in (result.onsager.warnings if result.onsager else ())
        ]
    return warnings


def _figures(known: Sequence[CollectiveTransport], folder: Path) -> list[FigureBlock]:
    coefficients = {
        _name(result): _coefficients(result.onsager) for result in known if result.onsager is not None
    }
    label = "$L_{ij}$ (1/(eV Å ps))"
    path = _interval_figure(coefficients, known, label, folder / "onsager.png")
    figures = [FigureBlock(path, "Onsager coefficients of each pair of species with 95 % intervals.")]
    fluxes = {
        _name(result): {flux.species: (flux.value, flux.interval) for flux in result.fluxes}
        for result in known
        if result.fluxes
    }
    if fluxes:
        path = _interval_figure(fluxes, known, "J (1/(Å² ps))", folder / "onsager_flux.png")
        figures.append(FigureBlock(path, "Fluxes under the gradients given, with 95 % intervals."))
    return figures


def _name(result: CollectiveTransport) -> str:
    return f"{result.temperature_K:.0f} K"


def _coefficients(onsager: Onsager) -> dict[str, tuple[float, tuple[float, float]]]:
    low, high = onsager.interval
    return {
        f"{a} – {b}": (onsager.value[i, j], (low[i, j], high[i, j]))
        for (i, a), (j, b) in combinations_with_replacement(enumerate(onsager.species), 2)
    }


def _interval_figure(
    values: Mapping[str, Mapping[str, tuple[float, tuple[float, float]]]],
    known: Sequence[CollectiveTransport],
    label: str,
    path: Path,
) -> Path:
    """Values with intervals, side by side for each temperature."""
    colors = temperature_colors([result.temperature_K for result in known])
    table: dict[str, Any] = {}
    with new_axes("species", label, "", SINGLE) as (figure, axes):
        for number, ((name, found), color) in enumerate(zip(values.items(), colors, strict=False)):
            middles = np.array([value for value, _ in found.values()])
            ends = np.array([interval for _, interval in found.values()]).T
            places = np.arange(len(found)) + 0.5 * (number - (len(values) - 1) / 2) / len(values)
            bars = np.abs(ends - middles)
            axes.errorbar(places, middles, bars, fmt="o", color=color, capsize=3, label=name)
            axes.set_xticks(range(len(found)), list(found))
            table["species"] = list(found)
            table[f"value {name}"], table[f"low {name}"], table[f"high {name}"] = middles, *ends
        axes.axhline(0.0, color=MUTED, linewidth=0.8)
        axes.set_xlim(-0.7, len(table["species"]) - 0.3)
        axes.legend()
        return save_figure(figure, path, table)


def _table(known: Sequence[CollectiveTransport]) -> TableBlock:
    rows = []
    for result in known:
        charge, onsager = result.charge, result.onsager
        haven = charge and charge.haven_ratio
        rows.append(
            [
                f"{result.temperature_K:.0f} K",
                with_error(charge.value, charge.error) if charge else None,
                with_error(charge.conductivity, charge.error / charge.value * charge.conductivity)
                if charge
                else None,
                with_interval(haven, charge.haven_interval) if charge and haven else None,
                f"{onsager.num_samples:.0f}" if onsager else None,
            ]
        )
    header = ["temperature", "D of charge (cm²/s)", "σ (S/cm)", "Haven ratio", "samples"]
    return TableBlock(header, rows, "Charge diffusion: one standard error; Haven ratio: 95 % interval.")
