"""The chapter on reactions: reduction, species and interphase against time, laws of growth, kymographs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from md.analysis.frames import Frames
from md.analysis.kinetics import Growth
from md.analysis.reactions import Reactions
from md.report.chapter import Analysis, Entries, legend_labels, name_part, stretch_context
from md.report.entries import join_name
from md.report.layers import kymograph_figure
from md.report.structure_plots import plot_counts, plot_growth
from mlip.report.figures import new_axes, save_figure
from mlip.report.html import FigureBlock, Highlight, Section, TableBlock

_EXPLANATION = (
    "Reduction of thiophosphates is the share of the electrons that their groups have taken up, a = [8 N(P) "
    "+ 6 N(PS) + 4 N(PS2) + 2 N(PS3)] / 8Z with P-S bonds up to 3 Å. The interphase is where the "
    "composition is between 10 and 90 % of the way from one side to the other, per interface. Laws of "
    "growth c + k f(t) with f = log t, √t and t are weighed by Akaike's criterion; errors and criterion "
    "count independent samples only. Log t is kinetics that slow as they go, √t is limited by diffusion, t "
    "by the front."
)
_UNITS = {"reduction": "", "interphase_thickness": " (Å)"}


def reactions_chapter(stretches: Sequence[Frames], results: Sequence[Reactions], folder: Path) -> Analysis:
    """Draw time series, maps and laws, and write chapter and entries.

    Args:
        stretches: the frames.
        results: one a stretch.
        folder: where PNG and CSV go.
    """
    labels = legend_labels(stretches)
    figures: list[FigureBlock] = []
    warnings: list[str] = []
    for label, result in zip(labels, results, strict=True):
        name = f"_{label}".replace(" ", "_") if len(labels) > 1 else ""
        figures += _series_figures(result, folder, name, label)
        caption = f"Where and when, {label}. Layers without the atoms in question are white."
        figures.append(kymograph_figure(result.maps, folder, f"kymograph{name}", caption))
        warnings += [f"{label}: {each}." for each in result.warnings]
    section = Section(
        heading="Reactions",
        text=_EXPLANATION,
        figures=figures,
        tables=[_laws_table(labels, results)],
        warnings=warnings,
    )
    return Analysis(_entries(stretches, results), [section], _highlights(labels, results))


def _series_figures(result: Reactions, folder: Path, name: str, label: str) -> list[FigureBlock]:
    figures = []
    if result.reduction is not None and result.reduction.times_ps is not None:
        times = result.reduction.times_ps
        figures.append(_growth_figure("reduction", times, result.reduction.series, result, folder, name))
        with new_axes("time (ps)", "groups", label) as (figure, axes):
            plot_counts(axes, times - times[0], result.reduction.counts)
            axes.legend()
            table: dict[str, Any] = {"time_ps": times - times[0], **result.reduction.counts}
            path = save_figure(figure, folder / f"thiophosphates{name}.png", table)
        figures.append(FigureBlock(path, "Thiophosphate groups by their number of bonded S."))
    if result.interphase is not None and result.interphase.times_ps is not None:
        interphase = result.interphase
        figures.append(
            _growth_figure(
                "interphase_thickness", interphase.times_ps, interphase.thickness_A, result, folder, name
            )
        )
    if result.units is not None and result.units.times_ps is not None:
        times = result.units.times_ps - result.units.times_ps[0]
        with new_axes("time (ps)", "number", label) as (figure, axes):
            plot_counts(axes, times, result.units.counts)
            axes.legend()
            path = save_figure(
                figure, folder / f"species{name}.png", {"time_ps": times, **result.units.counts}
            )
        figures.append(FigureBlock(path, "Covalent units and free anions; the seven most frequent."))
    return figures


def _growth_figure(
    quantity: str, times_ps: Any, values: np.ndarray, result: Reactions, folder: Path, name: str
) -> FigureBlock:
    words = quantity.replace("_", " ")
    since = times_ps - times_ps[0]
    with new_axes("time (ps)", f"{words}{_UNITS[quantity]}") as (figure, axes):
        plot_growth(axes, since, values, result.growth.get(quantity), words)
        axes.legend()
        table = {"time_ps": since, quantity: values}
        path = save_figure(figure, folder / f"{quantity}{name}.png", table)
    return FigureBlock(path, f"{words.capitalize()} and laws of growth with their probabilities.")


def _laws_table(labels: Sequence[str], results: Sequence[Reactions]) -> TableBlock:
    rows = [
        [label, name.replace("_", " "), law.law, 100 * law.weight, law.value, *law.interval]
        for label, result in zip(labels, results, strict=True)
        for name, growth in result.growth.items()
        for law in growth.laws
    ]
    header = ["run", "quantity", "law", "probability (%)", "rate k", "from", "to (95 %)"]
    return TableBlock(header, rows, "Laws of growth c + k f(t), t in ps.")


def _highlights(labels: Sequence[str], results: Sequence[Reactions]) -> list[Highlight]:
    cards = []
    for label, result in zip(labels, results, strict=True):
        if result.reduction is not None:
            law = result.growth["reduction"].best.law if "reduction" in result.growth else "no law fitted"
            value = f"{100 * result.reduction.value:.1f}"
            cards.append(Highlight(f"Reduced, {label}".rstrip(", "), value, "%", f"last fifth; {law}"))
    return cards


def _entries(stretches: Sequence[Frames], results: Sequence[Reactions]) -> Entries:
    entries: Entries = {}
    for number, (frames, result) in enumerate(zip(stretches, results, strict=True)):
        part, context = name_part(stretches, number), stretch_context(frames)
        for name, measured in (("reduction", result.reduction), ("interphase_thickness", result.interphase)):
            if measured is not None:
                entries[join_name(name, part)] = {
                    "value": measured.value,
                    "unit": measured.unit,
                    "error": measured.error,
                    "method": measured.method,
                    **context,
                }
        for name, growth in result.growth.items():
            entries[join_name(f"{name}_rate", part)] = _growth_entry(growth) | context
    return entries


def _growth_entry(growth: Growth) -> dict[str, Any]:
    best = growth.best
    units = {"log t": "per ln(t/ps)", "sqrt t": "per ps^(1/2)", "t": "per ps"}
    return {
        "value": best.value,
        "unit": units[best.law],
        "error": best.error,
        "method": growth.method,
        "law": best.law,
        "interval": list(best.interval),
        "window_ps": list(growth.window_ps),
        "probabilities": {law.law: law.weight for law in growth.laws},
        "warnings": list(growth.warnings),
    }
