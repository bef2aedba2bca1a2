"""The chapter on crystalline and amorphous atoms: shares of lattices, domains, bond order."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from md.analysis.crystallinity import Crystallinity
from md.analysis.frames import Frames
from md.report.chapter import Analysis, Entries, legend_labels, name_part, stretch_context
from md.report.entries import join_name
from md.report.structure_plots import plot_counts
from mlip.report.figures import new_panels, save_figure
from mlip.report.html import FigureBlock, Section, TableBlock
from mlip.report.style import PALETTE

_EXPLANATION = (
    "Atoms of a sublattice (the anions, with P in sulfides: the products Li2S, Li3P, LiCl have it in an fcc "
    "lattice) are compared with perfect surroundings over shifts, turns and scale, and are amorphous where "
    "the root mean square deviation is above 0.15 of the mean distance: so are those of a crystal that is "
    "none of these, such as Li7P3S11. Domains are crystalline atoms that touch; their size is that of the "
    "domain which a crystalline atom is in. Averaged q6 (Lechner and "
    "Dellago) is 0.575 in fcc, 0.485 in hcp, about 0.2 in a liquid."
)


def crystallinity_chapter(
    stretches: Sequence[Frames], results: Sequence[Crystallinity], folder: Path
) -> Analysis:
    """Draw shares and domains against time and the bond order, and write chapter and entries.

    Args:
        stretches: the frames.
        results: one a stretch.
        folder: where PNG and CSV go.
    """
    labels = legend_labels(stretches)
    figures = [_figure(label, result, folder) for label, result in zip(labels, results, strict=True)]
    rows = [
        [label, kind, 100 * share.value, None if share.error is None else 100 * share.error]
        for label, result in zip(labels, results, strict=True)
        for kind, share in result.averages.items()
    ]
    section = Section(
        heading="Crystalline and amorphous",
        text=_EXPLANATION,
        figures=figures,
        tables=[
            TableBlock(["run", "surroundings", "share (%)", "error (%)"], rows, "Shares of the sublattice.")
        ],
    )
    return Analysis(_entries(stretches, results), [section])


def _figure(label: str, result: Crystallinity, folder: Path) -> FigureBlock:
    times = result.times_ps if result.times_ps is not None else np.arange(len(result.largest_domain))
    table: dict[str, Any] = {"time_ps": times}
    with new_panels(1, 3, (12.0, 3.4)) as (figure, (shares, domains, order)):
        percent = {kind: 100 * series for kind, series in result.shares.items() if series.any()}
        plot_counts(shares, times, percent)
        shares.set_ylabel("share of the sublattice (%)")
        plot_counts(domains, times, {"largest": result.largest_domain, "mean": result.mean_domain})
        domains.set_ylabel("atoms in a domain")
        for axes in (shares, domains):
            axes.set_xlabel("time (ps)" if result.times_ps is not None else "frame")
            axes.legend()
        for kind, color in zip(sorted(set(result.names)), PALETTE, strict=False):
            order.hist(
                result.bond_order[result.names == kind], bins=50, range=(0.0, 0.7), color=color, label=kind
            )
        order.set_xlabel("averaged $q_6$, last frame")
        order.set_ylabel("atoms")
        order.legend()
        table |= {f"share {kind} (%)": series for kind, series in percent.items()}
        table |= {"largest domain": result.largest_domain, "mean domain": result.mean_domain}
        table |= {"q6 last frame": result.bond_order, "lattice last frame": result.names}
        name = f"crystallinity_{label}".replace(" ", "_").rstrip("_")
        path = save_figure(figure, folder / f"{name}.png", table)
    atoms = ", ".join(result.sublattice)
    return FigureBlock(path, f"Surroundings, domains and bond order of {atoms}, {label}.", wide=True)


def _entries(stretches: Sequence[Frames], results: Sequence[Crystallinity]) -> Entries:
    entries: Entries = {}
    for number, (frames, result) in enumerate(zip(stretches, results, strict=True)):
        part, context = name_part(stretches, number), stretch_context(frames)
        entries[join_name("crystallinity", part)] = {
            "value": result.value,
            "unit": result.unit,
            "error": result.error,
            "method": result.method,
            "shares": {kind: average.value for kind, average in result.averages.items()},
            "mean_q6_last_frame": float(result.bond_order.mean()),
            "warnings": list(result.warnings),
            **context,
        }
        entries[join_name("largest_domain", part)] = {
            "value": float(result.largest_domain[-1]),
            "unit": "atoms",
            "error": None,
            "method": f"crystalline atoms that touch, last frame; {result.method}",
            "mean_domain": float(result.mean_domain[-1]),
            **context,
        }
    return entries
