"""The chapter on structure factors: what neutrons and X-rays see, and the partial ones."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from md.analysis.frames import Frames
from md.analysis.structure_factor import StructureFactor
from md.report.chapter import Analysis, Entries, legend_labels, name_part, stretch_colors, stretch_context
from md.report.entries import join_name
from md.report.structure_plots import plot_structure_factor
from mlip.report.figures import new_panels, save_figure
from mlip.report.html import FigureBlock, Section
from mlip.report.style import PALETTE

_EXPLANATION = (
    "Static structure factors in the Faber-Ziman convention (1 at large q), from the Fourier components of "
    "the densities at wave vectors that fit the mean cell. Smaller wave vectors than the first point need a "
    "larger cell. Weights: bound coherent scattering lengths (Sears 1992) and form factors of neutral atoms "
    "(Waasmaier and Kirfel 1995), as tabulated in the package periodictable."
)


def scattering_chapter(
    stretches: Sequence[Frames], results: Sequence[StructureFactor], folder: Path
) -> Analysis:
    """Draw totals and partials, and write chapter and entries.

    Args:
        stretches: the frames.
        results: one a stretch.
        folder: where PNG and CSV go.
    """
    labels, colors = legend_labels(stretches), stretch_colors(stretches)
    probes = list(results[0].total)
    table: dict[str, Any] = {}
    with new_panels(1, len(probes), (9.6, 3.4)) as (figure, panels):
        for axes, probe in zip(panels, probes, strict=True):
            curves = {label: (each.q, each.total[probe]) for label, each in zip(labels, results, strict=True)}
            plot_structure_factor(axes, curves, colors)
            for label, result in zip(labels, results, strict=True):
                table[f"q_1/A {label}"] = result.q
                table[f"S {probe} {label}"] = result.total[probe]
                table[f"error {probe} {label}"] = result.errors[probe]
            axes.set_title(probe)
            axes.set_xlabel("q (1/Å)")
            axes.set_ylabel("S(q)")
        if len(labels) > 1:
            panels[0].legend()
        path = save_figure(figure, folder / "structure_factor.png", table)
    figures = [FigureBlock(path, "Total structure factors.", wide=True)]
    figures += [_partials(label, result, folder) for label, result in zip(labels, results, strict=True)]
    section = Section(heading="Scattering", text=_EXPLANATION, figures=figures)
    return Analysis(_entries(stretches, results), [section])


def _partials(label: str, result: StructureFactor, folder: Path) -> FigureBlock:
    curves = {"-".join(pair): curve for pair, curve in result.partial.items()}
    colors = [PALETTE[k % len(PALETTE)] for k in range(len(curves))]
    with new_panels(1, 1, (9.6, 3.4)) as (figure, (axes,)):
        plot_structure_factor(axes, {pair: (result.q, curve) for pair, curve in curves.items()}, colors)
        axes.set_xlabel("q (1/Å)")
        axes.set_ylabel("partial S(q)")
        axes.legend(ncols=2)
        table: dict[str, Any] = {"q_1/A": result.q, **{f"S {pair}": curve for pair, curve in curves.items()}}
        name = f"structure_factor_partial_{label}".replace(" ", "_").rstrip("_")
        path = save_figure(figure, folder / f"{name}.png", table)
    return FigureBlock(path, f"Partial structure factors (Faber-Ziman) of {label}.", wide=True)


def _entries(stretches: Sequence[Frames], results: Sequence[StructureFactor]) -> Entries:
    return {
        join_name("first_sharp_peak", name_part(stretches, number)): {
            "value": result.value,
            "unit": result.unit,
            "error": result.error,
            "method": f"highest bin of the first maximum above 1 that X-rays see; {result.method}",
            **stretch_context(frames),
        }
        for number, (frames, result) in enumerate(zip(stretches, results, strict=True))
    }
