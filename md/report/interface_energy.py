"""The chapter on interfaces: formation and interfacial energy, elastic part, adhesion and its criteria."""

from collections.abc import Sequence
from pathlib import Path

import ase.io

from md.energetics.interface_energy import GOOD_ADHESION_J_M2, InterfaceEnergy
from md.report.chapter import Analysis, Entries
from md.report.entries import join_name
from md.report.picture import picture_figure
from mlip.report.figures import new_axes, save_figure
from mlip.report.html import FigureBlock, Highlight, Section, TableBlock
from mlip.report.style import INK, PALETTE

_EXPLANATION = (
    "Formation energy: what the interface costs beyond both bulks at their minimum. Interfacial energy "
    "sigma: the same beyond bulks that are strained as in the interface and relaxed along its normal. "
    "Their difference is elastic and grows with the thickness. Work of adhesion: W = g_A + g_B - sigma, "
    "of surfaces as thick as the slabs of the interface.\n\n"
    "W > 2 g of the side that is easier to cleave means that this side breaks before the interface parts."
)


def interface_energy_chapter(results: Sequence[InterfaceEnergy], folder: Path) -> Analysis:
    """Draw the energies, and write chapter and entries.

    Args:
        results: One an interface.
        folder: Where PNG, CSV and the relaxed interfaces go.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ase.io.write(folder.parent / "relaxed.extxyz", [each.relaxed for each in results])
    best = min(results, key=lambda each: each.value)
    header = [
        "interface",
        "E_f",
        "sigma",
        "elastic",
        "g of both",
        "W",
        "W > 2 g",
        f"W > {GOOD_ADHESION_J_M2}",
    ]
    rows = [
        [
            each.name,
            each.formation,
            each.value,
            each.elastic,
            ", ".join(f"{part:.3f}" for part in each.surface_energies),
            each.adhesion,
            "yes" if each.outlasts_bulk else "no",
            "yes" if each.adheres else "no",
        ]
        for each in results
    ]
    section = Section(
        heading="Interface energies",
        text=_EXPLANATION,
        figures=[
            _figure(results, folder),
            picture_figure({best.name: best.relaxed}, folder, "The interface of least sigma.", "interface"),
        ],
        tables=[TableBlock(header, rows, "Energies in J/m².")],
        warnings=_warnings(results),
    )
    cards = [
        Highlight("interfacial energy", f"{best.value:.3f}", "J/m²", best.name),
        Highlight("work of adhesion", f"{best.adhesion:.3f}", "J/m²", best.name),
    ]
    return Analysis(_entries(results), [section], cards)


def _figure(results: Sequence[InterfaceEnergy], folder: Path) -> FigureBlock:
    parts = {
        "E_f": [each.formation for each in results],
        "sigma": [each.value for each in results],
        "W": [each.adhesion for each in results],
    }
    width = 0.8 / len(parts)
    with new_axes("", "energy (J/m²)") as (figure, axes):
        axes.axhline(0.0, color=INK, linewidth=0.8)
        labels = {"E_f": "$E_f$", "sigma": r"$\sigma$", "W": "$W$"}
        for k, (name, values) in enumerate(parts.items()):
            places = [number + (k - 1) * width for number in range(len(results))]
            axes.bar(places, values, width=0.92 * width, color=PALETTE[k], label=labels[name])
        axes.set_xticks(range(len(results)), [each.name.replace(" ", "\n") for each in results])
        axes.set_xlim(-0.8, len(results) - 0.2)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        table = {"interface": [each.name for each in results]}
        path = save_figure(
            figure,
            folder / "interface_energy.png",
            table | {f"{name}_J_per_m2": values for name, values in parts.items()},
        )
    return FigureBlock(path, "Formation and interfacial energy, and work of adhesion.")


def _warnings(results: Sequence[InterfaceEnergy]) -> list[str]:
    found = [f"{each.name}: a relaxation is not done." for each in results if not each.converged]
    found += [
        f"{each.name}: the two interfaces differ, energies are their mean."
        for each in results
        if each.equivalent is False
    ]
    return found + [
        f"{each.name}: a free slab has two surfaces that differ, its surface energy is their mean."
        for each in results
        if not each.symmetric
    ]


def _entries(results: Sequence[InterfaceEnergy]) -> Entries:
    entries: Entries = {}
    for each in results:
        numbers = {
            "interface_energy": each.value,
            "formation_energy": each.formation,
            "elastic_energy": each.elastic,
            "work_of_adhesion": each.adhesion,
            "work_of_adhesion_with_strain": each.adhesion_with_strain,
        }
        for name, value in numbers.items():
            entries[join_name(name, each.name if len(results) > 1 else "")] = {
                "value": value,
                "unit": each.unit,
                "error": each.error,
                "method": each.method,
                "interface": each.name,
            }
        entries[join_name("interface_energy", each.name if len(results) > 1 else "")] |= {
            "value_eV_A2": each.value_eV_A2,
            "surface_energies": list(each.surface_energies),
            "formula_units": list(each.units),
            "area_A2": each.area_A2,
            "num_interfaces": each.num_interfaces,
            "equivalent": each.equivalent,
            "adhesion_above_cohesion": each.outlasts_bulk,
            "adhesion_above_0.7_J_m2": each.adheres,
            "converged": each.converged,
        }
    return entries
