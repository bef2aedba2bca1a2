"""The chapter on the elastic tensor: its numbers, the means of a polycrystal, and whether it is stable."""

from pathlib import Path

import numpy as np

from md.energetics.elastic import Elasticity
from md.report.chapter import Analysis, Entries
from mlip.report.figures import new_axes, save_figure
from mlip.report.html import FigureBlock, Highlight, Section, TableBlock
from mlip.report.style import INK, MUTED, SQUARE

_AXES = ("xx", "yy", "zz", "yz", "xz", "xy")
# Of the largest component: a stress that a crystal at its minimum does not have.
_RESIDUAL_SHARE = 0.01


def elastic_chapter(found: Elasticity, folder: Path) -> Analysis:
    """Draw the tensor, and write chapter and entries.

    Args:
        found: The result.
        folder: Where PNG and CSV go.
    """
    warnings = [] if found.converged else ["Atoms were not relaxed at every strain."]
    if not found.is_stable:
        warnings.append("An eigenvalue is not above zero: the crystal is unstable against a strain (Born).")
    if found.residual_GPa > _RESIDUAL_SHARE * float(found.tensor_GPa.max()):
        warnings.append(
            f"A stress of {found.residual_GPa:.2g} GPa is there without strain: relax the crystal better."
        )
    entries = _entries(found, warnings)
    rows = [[name, entry["value"], entry["unit"]] for name, entry in entries.items() if "." not in name]
    section = Section(
        heading="Elastic tensor",
        text=f"{found.method}. Errors are what both strains differ by. Moduli are Hill's of a polycrystal.",
        figures=[_figure(found, folder)],
        tables=[TableBlock(["", "value", "unit"], rows)],
        warnings=warnings,
    )
    cards = [
        Highlight("bulk modulus", f"{found.bulk_modulus_GPa:.1f}", "GPa", "Hill"),
        Highlight("shear modulus", f"{found.shear_modulus_GPa:.1f}", "GPa", "Hill"),
    ]
    return Analysis(entries, [section], cards)


def _figure(found: Elasticity, folder: Path) -> FigureBlock:
    tensor, largest = found.tensor_GPa, float(np.abs(found.tensor_GPa).max())
    with new_axes("", "", size=SQUARE) as (figure, axes):
        axes.imshow(tensor, cmap="RdBu_r", vmin=-largest, vmax=largest)
        for i, j in np.ndindex(6, 6):
            strong = abs(tensor[i, j]) > 0.6 * largest
            text = f"{tensor[i, j]:.1f}" if abs(tensor[i, j]) > 1e-3 * largest else "0"
            color = "white" if strong else INK if text != "0" else MUTED
            axes.text(j, i, text, ha="center", va="center", fontsize=8, color=color)
        axes.set_xticks(range(6), _AXES)
        axes.set_yticks(range(6), _AXES)
        axes.grid(visible=False)
        table = {f"{name}_GPa": tensor[:, j] for j, name in enumerate(_AXES)}
        path = save_figure(figure, folder / "elastic.png", table)
    return FigureBlock(path, "C in GPa; stress in rows, strain in columns, Voigt order.")


def _entries(found: Elasticity, warnings: list[str]) -> Entries:
    entries: Entries = {}
    for i, j in zip(*np.triu_indices(6), strict=True):
        error = max(float(found.errors_GPa[i, j]), float(found.errors_GPa[j, i]))
        entries[f"elastic.C{i + 1}{j + 1}"] = {
            "value": float(found.tensor_GPa[i, j]),
            "unit": "GPa",
            "error": error,
            "method": found.method,
            "clamped_GPa": float(found.clamped_GPa[i, j]),
        }
    numbers = {
        "bulk_modulus_hill": (found.bulk_modulus_GPa, "GPa", found.bulk_bounds_GPa),
        "shear_modulus_hill": (found.shear_modulus_GPa, "GPa", found.shear_bounds_GPa),
        "young_modulus_hill": (found.young_modulus_GPa, "GPa", None),
        "poisson_ratio_hill": (found.poisson_ratio, "1", None),
        "elastic_anisotropy": (found.anisotropy, "1", None),
    }
    for name, (value, unit, bounds) in numbers.items():
        entries[name] = {"value": value, "unit": unit, "error": None, "method": found.method}
        if bounds is not None:
            entries[name]["reuss_voigt"] = list(bounds)
    entries["bulk_modulus_hill"] |= {
        "stable": found.is_stable,
        "asymmetry_GPa": found.asymmetry_GPa,
        "warnings": warnings,
    }
    return entries
