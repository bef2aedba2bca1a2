"""The chapter on ions that go across: displacements normal to layers, passages from anion to anion."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from md.analysis.anion_crossings import AnionCrossings
from md.analysis.displacements import Displacements
from md.report.chapter import Analysis, Entries
from md.report.entries import entry, join_name
from mlip.report.figures import new_panels, save_figure
from mlip.report.html import FigureBlock, Section
from mlip.report.style import PALETTE, WIDE

_EXPLANATION = (
    "Displacements normal to the layers, from many time origins: ions that stay are in the middle. Where "
    "there are two anions, ions are counted that both coordinate now and did not 1 ps earlier (Wang, "
    "Aykol and Mueller 2023), by where along the axis they are."
)
_NUM_LAYERS = 40


def crossings_analysis(
    found: Sequence[tuple[str, float | None, Displacements, AnionCrossings | None]],
    missing: Sequence[str],
    folder: Path,
) -> Analysis:
    """Draw the histograms, write their chapter and their entries.

    Entries are `displacement.SPECIES` and `between_anions.SPECIES`, then the stretch where there are several.

    Args:
        found: label and temperature of a stretch, displacements and passages of a species in it.
        missing: why passages could not be counted.
        folder: where PNG, SVG and CSV go.
    """
    entries: Entries = {}
    figures = []
    for label, temperature, moved, passed in found:
        context: dict[str, Any] = {"stretch": label, "temperature_K": temperature}
        widths = {"lags_ps": moved.lags_ps.tolist()}
        entries[join_name("displacement", moved.species, label)] = (
            _without(entry(moved, species=moved.species), "lags_ps") | context | widths
        )
        if passed is not None:
            entries[join_name("between_anions", passed.species, label)] = entry(passed) | context
        figures.append(_figure(moved, passed, label, folder))
    return Analysis(entries, [Section("Crossings", _EXPLANATION, figures, warnings=missing)])


def _without(found: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key != name}


def _figure(moved: Displacements, passed: AnionCrossings | None, label: str, folder: Path) -> FigureBlock:
    middle = 0.5 * (moved.edges_A[1:] + moved.edges_A[:-1])
    table: dict[str, Any] = {"displacement_A": middle}
    panels_wanted = 1 if passed is None else 2
    with new_panels(1, panels_wanted, (WIDE[0] / 2 * panels_wanted, WIDE[1])) as (figure, panels):
        for number, (lag, density) in enumerate(zip(moved.lags_ps, moved.density, strict=True)):
            panels[0].plot(middle, density, color=PALETTE[number % len(PALETTE)], label=f"{lag:.3g} ps")
            table[f"density {lag:.4g} ps 1/A"] = density
        panels[0].set_yscale("log")
        panels[0].set_xlabel(f"displacement along {moved.axis} (Å)")
        panels[0].set_ylabel("density (1/Å)")
        panels[0].set_title(f"{moved.species} {label}".strip())
        panels[0].legend()
        if passed is not None:
            edges = np.linspace(0.0, 1.0, _NUM_LAYERS + 1)
            along = passed.places[:, "abc".index(moved.axis)]
            counts = np.histogram(along, edges)[0] / len(passed.counts)
            panels[1].stairs(counts, edges, fill=True, color=PALETTE[0], alpha=0.8)
            panels[1].set_xlabel(f"place along {moved.axis} (fraction)")
            panels[1].set_ylabel("ions in a frame")
            panels[1].set_title(f"newly between {passed.anions[0]} and {passed.anions[1]}")
            table["fraction"], table["ions"] = edges[:-1], counts
        name = "_".join(part for part in ("crossings", moved.species, label) if part)
        path = save_figure(figure, folder / f"{name}.png", table)
    return FigureBlock(
        path, f"Displacements of {moved.species} normal to the layers.", wide=passed is not None
    )
