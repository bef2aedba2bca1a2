"""The chapter on covalent units: polyhedra, molecules, sites of anions, Qn, chains and rings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from md.analysis.averages import Average
from md.analysis.census import Census
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
from md.report.structure_plots import plot_shares
from mlip.report.figures import legend_above, new_grid, save_figure
from mlip.report.html import FigureBlock, Section, TableBlock

_EXPLANATION = (
    "Bonds of formers (such as P or B) and anions, and among formers, are those shorter than 1.3 sums of "
    "covalent radii. Polyhedra are what each former holds, units what bonds connect; an anion is terminal, "
    "bridging or triple by the formers that it has (N: Na, Nd, Nt), and Qn counts bridging anions of a "
    "former. Rings are shortest closed ways through two neighbors of a former (King)."
)
_SMALLEST_SHARE = 0.002


def units_chapter(
    stretches: Sequence[Frames], censuses: Sequence[Mapping[str, Census]], folder: Path
) -> Analysis:
    """Draw the figure of shares and write chapter and entries.

    Args:
        stretches: the frames.
        censuses: name of the entry -> census, one mapping a stretch.
        folder: where PNG and CSV go.
    """
    shares = [{name: census.shares() for name, census in each.items()} for each in censuses]
    names = [
        name for name in dict.fromkeys(n for each in shares for n in each) if any(e.get(name) for e in shares)
    ]
    labels, colors = legend_labels(stretches), stretch_colors(stretches)
    table: dict[str, Any] = {}
    with new_grid(len(names), row_height=3.0) as (figure, panels):
        for axes, name in zip(panels, names, strict=True):
            found = {label: each.get(name, {}) for label, each in zip(labels, shares, strict=True)}
            plot_shares(axes, found, colors, censuses[0][name].subject)
            axes.set_ylabel("share (%)")
            for label, kinds in found.items():
                table[f"{name} {label}"] = list(kinds)
                table[f"{name} share {label}"] = [share.value for share in kinds.values()]
        if len(labels) > 1:
            legend_above(figure, panels[0])
        path = save_figure(figure, folder / "units.png", table)
    caption = "Shares of kinds with one standard error over time; the eight most frequent kinds."
    section = Section(
        heading="Covalent units",
        text=_EXPLANATION,
        figures=[FigureBlock(path, caption, wide=len(names) > 1)],
        tables=[_table(labels, shares)],
    )
    return Analysis(_entries(stretches, censuses, shares), [section])


def _entries(
    stretches: Sequence[Frames],
    censuses: Sequence[Mapping[str, Census]],
    shares: Sequence[Mapping[str, Mapping[str, Average]]],
) -> Entries:
    """One entry for each kind: its share; `units.PS4`, `polyhedra_B.BO4`, `sites_N.Nd`, `qn_P.Q1`, ..."""
    entries: Entries = {}
    for number, frames in enumerate(stretches):
        for name, kinds in shares[number].items():
            census = censuses[number][name]
            for kind, share in kinds.items():
                entries[join_name(name, kind.replace(" ", "_"), name_part(stretches, number))] = {
                    "value": share.value,
                    "unit": f"share of {census.subject}",
                    "error": share.error,
                    "method": f"{census.method}; {share.method}",
                    "mean_number": float(census.counts[kind].mean()),
                    **stretch_context(frames),
                }
    return entries


def _table(labels: Sequence[str], shares: Sequence[Mapping[str, Mapping[str, Average]]]) -> TableBlock:
    rows = [
        [
            label,
            name.replace("_", " "),
            kind,
            100 * share.value,
            None if share.error is None else 100 * share.error,
        ]
        for label, each in zip(labels, shares, strict=True)
        for name, kinds in each.items()
        for kind, share in kinds.items()
        if share.value > _SMALLEST_SHARE
    ]
    return TableBlock(["run", "of", "kind", "share (%)", "error (%)"], rows, "Shares above 0.2 %.")
