"""The chapter on what glasses have beyond their crystal."""

from pathlib import Path

from md.energetics.amorphisation import AmorphisationEnergy
from md.report.chapter import Analysis
from md.report.entries import entry
from mlip.report.figures import new_axes, save_figure
from mlip.report.html import FigureBlock, Highlight, Section
from mlip.report.style import INK, PALETTE


def amorphisation_chapter(found: AmorphisationEnergy, folder: Path) -> Analysis:
    """Draw the energies, and write chapter and entries.

    Args:
        found: The result.
        folder: Where PNG and CSV go.
    """
    numbers = list(range(1, len(found.of_glasses) + 1))
    with new_axes("glass", "energy above the crystal (meV/atom)") as (figure, axes):
        axes.axhline(0.0, color=INK, linewidth=0.8)
        axes.bar(numbers, found.of_glasses, color=PALETTE[0], width=0.6)
        axes.set_xticks(numbers)
        axes.set_xlim(0.2, len(numbers) + 0.8)
        path = save_figure(
            figure,
            folder / "amorphisation_energy.png",
            {"glass": numbers, "energy_meV_per_atom": found.of_glasses},
        )
    section = Section(
        heading="Amorphisation energy",
        text=f"{found.method}; {found.formula}. The error is that of the mean over glasses.",
        figures=[FigureBlock(path, "Energy of each glass above the crystal.")],
        warnings=[] if found.converged else ["A relaxation is not done."],
    )
    shown = f"{found.value:.1f}" if found.error is None else f"{found.value:.1f} ± {found.error:.1f}"
    card = Highlight("amorphisation energy", shown, "meV/atom", found.formula)
    return Analysis({"amorphisation_energy": entry(found)}, [section], [card])
