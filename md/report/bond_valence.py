"""The chapter on bond valences: sums of each species and the global instability index."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from md.analysis.bond_valence import BondValence
from md.analysis.chemistry import FORMAL_CHARGES
from md.analysis.frames import Frames
from md.report.chapter import (
    Analysis,
    Entries,
    legend_labels,
    name_part,
    stretch_colors,
    stretch_context,
)
from md.report.entries import join_name
from mlip.report.figures import legend_above, new_grid, save_figure
from mlip.report.html import FigureBlock, Section, TableBlock
from mlip.report.style import INK

_EXPLANATION = (
    "The bond valences exp((R0 - R) / 0.37 Å) of an ion sum up to its charge where its surroundings suit "
    "it. The global instability index is the root mean square of what is missing or too much: below 0.1 e "
    "in unstrained crystals at rest; vibrations add to it. Figures: sums of single ions, averaged over "
    "time; the line is the formal charge."
)


def bond_valence_chapter(
    stretches: Sequence[Frames], results: Sequence[BondValence], folder: Path
) -> Analysis:
    """Draw the distributions of the sums and write chapter and entries.

    Args:
        stretches: the frames.
        results: one a stretch.
        folder: where PNG and CSV go.
    """
    labels, colors = legend_labels(stretches), stretch_colors(stretches)
    species = stretches[0].species
    table: dict[str, Any] = {}
    with new_grid(len(species)) as (figure, panels):
        for axes, symbol in zip(panels, species, strict=True):
            for frames, result, label, color in zip(stretches, results, labels, colors, strict=True):
                sums = result.per_atom[frames.select(symbol)]
                axes.hist(sums, bins=30, color=color, alpha=0.65, label=label)
                table[f"sum of {symbol} {label}"] = sums
            axes.axvline(abs(FORMAL_CHARGES[symbol]), color=INK, linewidth=1.1)
            axes.set_title(symbol)
            axes.set_xlabel("bond-valence sum (e)")
            axes.set_ylabel("ions")
        if len(labels) > 1:
            legend_above(figure, panels[0])
        path = save_figure(figure, folder / "bond_valence.png", table)
    rows_of = [
        [label, symbol, FORMAL_CHARGES[symbol], result.sums[symbol].value, result.sums[symbol].error]
        for label, result in zip(labels, results, strict=True)
        for symbol in species
    ]
    parameters = [[pair, length, source] for pair, (length, source) in results[0].parameters.items()]
    section = Section(
        heading="Bond valences",
        text=_EXPLANATION,
        figures=[FigureBlock(path, "Bond-valence sums of the ions.", wide=len(species) > 1)],
        tables=[
            TableBlock(["run", "ion", "charge (e)", "mean sum (e)", "error (e)"], rows_of, "Mean sums."),
            TableBlock(["bond", "R0 (Å)", "source"], parameters, "Parameters, with b = 0.37 Å."),
        ],
        warnings=[
            f"{label}: {warning}."
            for label, result in zip(labels, results, strict=True)
            for warning in result.warnings
        ],
    )
    return Analysis(_entries(stretches, results), [section])


def _entries(stretches: Sequence[Frames], results: Sequence[BondValence]) -> Entries:
    entries: Entries = {}
    for number, (frames, result) in enumerate(zip(stretches, results, strict=True)):
        part, context = name_part(stretches, number), stretch_context(frames)
        entries[join_name("global_instability_index", part)] = {
            "value": result.value,
            "unit": result.unit,
            "error": result.error,
            "method": result.method,
            "warnings": list(result.warnings),
            **context,
        }
        for symbol, average in result.sums.items():
            entries[join_name("bond_valence_sum", symbol, part)] = {
                "value": average.value,
                "unit": result.unit,
                "error": average.error,
                "method": f"mean over {symbol}; {result.method}",
                **context,
            }
    return entries
