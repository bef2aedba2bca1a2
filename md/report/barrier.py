"""The energy along a path as a figure, a chapter and entries of results.json."""

from pathlib import Path
from typing import Any

from md.energetics.barrier import Barrier
from md.energetics.neb import EnergyPath
from mlip.report.figures import new_axes, save_figure
from mlip.report.html import FigureBlock, Highlight, Section, TableBlock
from mlip.report.style import INK, MUTED, PALETTE


def barrier_entries(barrier: Barrier, path: EnergyPath, tolerance_eV_A: float) -> dict[str, dict[str, Any]]:
    """Entries of results.json.

    Args:
        barrier: What the path says.
        path: The path.
        tolerance_eV_A: The largest force that was allowed to be left, eV/A.
    """
    energies = {
        "barrier_forward": barrier.forward_eV,
        "barrier_reverse": barrier.reverse_eV,
        "reaction_energy": barrier.reaction_eV,
    }
    entries: dict[str, dict[str, Any]] = {
        name: {"value": value, "unit": "eV", "error": None, "method": barrier.method}
        for name, value in energies.items()
    }
    entries["reaction_energy"]["method"] = "energies of the ends"
    entries["residual_force"] = {
        "value": path.residual_eV_A,
        "unit": "eV/A",
        "error": None,
        "method": "largest force on an atom of the band",
        "tolerance": tolerance_eV_A,
    }
    entries["converged"] = {
        "value": path.is_converged,
        "unit": None,
        "error": None,
        "method": "residual force of band and ends against the tolerance",
        "warnings": list(barrier.warnings),
    }
    return entries


def barrier_section(barrier: Barrier, folder: Path) -> Section:
    """Draw the energy along a path and write its chapter.

    Args:
        barrier: What the path says.
        folder: Where PNG and CSV go.
    """
    with new_axes("length of the path (Å)", "energy (eV)") as (figure, axes):
        axes.axhline(0.0, color=MUTED, linewidth=0.8)
        axes.plot(barrier.curve_A, barrier.curve_eV, color=PALETTE[0])
        axes.plot(barrier.coordinates_A, barrier.energies_eV, "o", color=INK)
        axes.annotate(
            f"{barrier.forward_eV:.3f} eV",
            (barrier.curve_A[barrier.curve_eV.argmax()], barrier.forward_eV),
            xytext=(0, 8),
            textcoords="offset points",
            ha="center",
        )
        axes.margins(y=0.18)
        image = save_figure(
            figure,
            folder / "barrier.png",
            {
                "image_path_A": barrier.coordinates_A,
                "image_energy_eV": barrier.energies_eV,
                "curve_path_A": barrier.curve_A,
                "curve_energy_eV": barrier.curve_eV,
            },
        )
    rows = [
        [str(k), float(length), float(energy)]
        for k, (length, energy) in enumerate(zip(barrier.coordinates_A, barrier.energies_eV, strict=True))
    ]
    caption = "Energy of the images, and the curve through them with the slopes of their forces."
    return Section(
        heading="Barrier",
        figures=[FigureBlock(image, caption)],
        tables=[TableBlock(["image", "path (Å)", "energy (eV)"], rows)],
        warnings=barrier.warnings,
    )


def barrier_highlights(barrier: Barrier) -> list[Highlight]:
    """The three numbers at the top of the report."""
    return [
        Highlight("forward barrier", f"{barrier.forward_eV:.3f}", "eV", barrier.method),
        Highlight("reverse barrier", f"{barrier.reverse_eV:.3f}", "eV"),
        Highlight("reaction energy", f"{barrier.reaction_eV:.3f}", "eV"),
    ]
