"""The chapter on curves of pairs: energy against distance, with holes where atoms should repel."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from md.energetics.pair_curves import REACHED_EV, PairCurve
from md.report.chapter import Analysis, Entries
from mlip.report.figures import new_grid, save_figure
from mlip.report.html import FigureBlock, Section, TableBlock
from mlip.report.style import MUTED, PALETTE

_EXPLANATION = (
    "Two atoms alone, from where they overlap. Below the dotted line, 0.7 of the sum of covalent radii, "
    "every pair should repel: where it does not, atoms can fall into each other in a simulation. "
    "Roughness is how far an energy is from the smooth curve through its neighbors: steps and kinks show."
)
_SHOWN_EV = 5.0


def pair_curves_chapter(curves: Sequence[PairCurve], folder: Path) -> Analysis:
    """Draw the curves, and write chapter and entries.

    Args:
        curves: One a pair of species.
        folder: Where PNG and CSV go.
    """
    rows = [
        [
            "-".join(curve.pair),
            "yes" if curve.is_repulsive else "no",
            ", ".join(f"{place:.2f}" for place in curve.minima_A) or None,
            curve.well_eV,
            1e3 * curve.roughness_eV,
        ]
        for curve in curves
    ]
    warnings = [
        f"{'-'.join(curve.pair)} does not repel at "
        f"{min(curve.holes_A):.2f} to {max(curve.holes_A):.2f} Å: atoms could fall into each other."
        for curve in curves
        if not curve.is_repulsive
    ]
    header = ["pair", "repels", "minima (Å)", "well (eV)", "roughness (meV)"]
    section = Section(
        heading="Curves of pairs",
        text=_EXPLANATION,
        figures=[_figure(curves, folder)],
        tables=[TableBlock(header, rows, f"Roughness up to {REACHED_EV:g} eV above atoms alone.")],
        warnings=warnings,
    )
    return Analysis(_entries(curves), [section])


def _figure(curves: Sequence[PairCurve], folder: Path) -> FigureBlock:
    table: dict[str, Any] = {}
    with new_grid(len(curves)) as (figure, panels):
        for axes, curve in zip(panels, curves, strict=True):
            axes.axhline(0.0, color=MUTED, linewidth=0.8)
            axes.axvline(curve.wall_A, color=MUTED, linewidth=0.9, linestyle=":")
            axes.plot(curve.distances_A, curve.energies_eV, color=PALETTE[0])
            low = min(1.2 * float(curve.energies_eV.min()), -1.0)
            axes.set_ylim(max(low, -10 * _SHOWN_EV), _SHOWN_EV)
            axes.set_title(" – ".join(curve.pair))
            axes.set_xlabel("distance (Å)")
            axes.set_ylabel("energy (eV)")
            name = "-".join(curve.pair)
            table |= {f"{name}_distance_A": curve.distances_A, f"{name}_energy_eV": curve.energies_eV}
            table |= {f"{name}_force_eV_per_A": curve.forces_eV_A}
        path = save_figure(figure, folder / "pair_curves.png", table)
    return FigureBlock(path, "Energy of two atoms less that of both alone.", wide=len(curves) > 1)


def _entries(curves: Sequence[PairCurve]) -> Entries:
    return {
        f"pair_curve.{'-'.join(curve.pair)}": {
            "value": curve.well_eV,
            "unit": "eV",
            "error": None,
            "method": curve.method,
            "repulsive": curve.is_repulsive,
            "holes_A": list(curve.holes_A),
            "minima_A": list(curve.minima_A),
            "roughness_eV": curve.roughness_eV,
        }
        for curve in curves
    }
