"""The chapter on interfaces: formation and interfacial energy, elastic part, adhesion and its criteria."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ase.io

from md.energetics.interface_energy import GOOD_ADHESION_J_M2, InterfaceEnergy
from md.energetics.interface_samples import InterfaceSamples
from md.energetics.registries import RegistryScan
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
_SAMPLES = (
    "\n\nEnergies of an interface with a glass are means over samples, each compared with bulks of the "
    "glasses it was made of; errors are those of the means."
)
_QUANTITIES: Mapping[str, Callable[[InterfaceEnergy], float]] = {
    "interface_energy": lambda sample: sample.value,
    "formation_energy": lambda sample: sample.formation,
    "elastic_energy": lambda sample: sample.elastic,
    "work_of_adhesion": lambda sample: sample.adhesion,
    "work_of_adhesion_with_strain": lambda sample: sample.adhesion_with_strain,
}
_HEADER = ["interface", "samples", "E_f", "sigma", "elastic", "g of both", "W", "W > 2 g"]


def interface_energy_chapter(results: Sequence[InterfaceSamples], folder: Path) -> Analysis:
    """Draw the energies, and write chapter and entries.

    Args:
        results: One an interface, with its samples.
        folder: Where PNG, CSV and the relaxed interfaces go.
    """
    folder.mkdir(parents=True, exist_ok=True)
    every = [sample for each in results for sample in each.samples]
    ase.io.write(folder.parent / "relaxed.extxyz", [sample.relaxed for sample in every])
    best = min(results, key=lambda each: each.sigma[0])
    header = [*_HEADER, f"W > {GOOD_ADHESION_J_M2}"]
    tables = [TableBlock(header, [_row(each) for each in results], "Energies in J/m².")]
    scans = {each.name: sample.scan for each in results for sample in each.samples if sample.scan is not None}
    if scans:
        tables.append(_registry_table(scans))
    picture = {best.name: min(best.samples, key=lambda sample: sample.value).relaxed}
    section = Section(
        heading="Interface energies",
        text=_EXPLANATION + (_SAMPLES if any(sample.is_glass for sample in every) else ""),
        figures=[
            _figure(results, folder),
            picture_figure(picture, folder, "The interface of least sigma.", "interface"),
        ],
        tables=tables,
        warnings=_warnings(results),
    )
    cards = [
        Highlight("interfacial energy", _shown(best.sigma), "J/m²", best.name),
        Highlight("work of adhesion", _shown(best.adhesion), "J/m²", best.name),
    ]
    return Analysis(_entries(results), [section], cards)


def _row(each: InterfaceSamples) -> list[Any]:
    first, _ = each.mean(lambda sample: sample.surface_energies[0])
    second, _ = each.mean(lambda sample: sample.surface_energies[1])
    return [
        each.name,
        len(each.samples),
        _shown(each.formation),
        _shown(each.sigma),
        _shown(each.mean(lambda sample: sample.elastic)),
        f"{first:.3f}, {second:.3f}",
        _shown(each.adhesion),
        _share(each, lambda sample: sample.outlasts_bulk),
        _share(each, lambda sample: sample.adheres),
    ]


def _share(each: InterfaceSamples, holds: Callable[[InterfaceEnergy], bool]) -> str:
    """Yes or no, or of how many samples it is true."""
    count = sum(holds(sample) for sample in each.samples)
    if count in (0, len(each.samples)):
        return "yes" if count else "no"
    return f"{count} of {len(each.samples)}"


def _shown(number: tuple[float, float | None]) -> str:
    value, error = number
    return f"{value:.3f}" if error is None else f"{value:.3f} ± {error:.3f}"


def _registry_table(scans: Mapping[str, RegistryScan]) -> TableBlock:
    rows = [
        [
            name,
            len(scan.shifts),
            " ".join(f"{part:.3f}" for part in scan.kept_shift),
            f"{scan.built_J_m2:.3f}",
            f"{scan.spread_J_m2:.3f}",
        ]
        for name, scan in scans.items()
    ]
    return TableBlock(
        ["interface", "registries", "kept: shift", "as built", "highest"],
        rows,
        "Shifts of one side in the plane, tried before the lowest was relaxed: that one, in fractions of the "
        "vectors of the interface, and how far the others are above it unrelaxed, in J/m².",
    )


def _figure(results: Sequence[InterfaceSamples], folder: Path) -> FigureBlock:
    parts = {
        "E_f": [each.formation for each in results],
        "sigma": [each.sigma for each in results],
        "W": [each.adhesion for each in results],
    }
    width = 0.8 / len(parts)
    table: dict[str, Sequence[str | float | None]] = {"interface": [each.name for each in results]}
    with new_axes("", "energy (J/m²)") as (figure, axes):
        axes.axhline(0.0, color=INK, linewidth=0.8)
        labels = {"E_f": "$E_f$", "sigma": r"$\sigma$", "W": "$W$"}
        for k, (name, numbers) in enumerate(parts.items()):
            values, errors = [value for value, _ in numbers], [error for _, error in numbers]
            places = [number + (k - 1) * width for number in range(len(results))]
            axes.bar(places, values, width=0.92 * width, color=PALETTE[k], label=labels[name])
            for place, value, error in zip(places, values, errors, strict=True):
                if error is not None:
                    axes.errorbar(place, value, error, color=INK, linewidth=1.0, capsize=2.5)
            table |= {f"{name}_J_per_m2": values, f"{name}_error_J_per_m2": errors}
        axes.set_xticks(range(len(results)), [each.name.replace(" ", "\n") for each in results])
        axes.set_xlim(-0.8, len(results) - 0.2)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        path = save_figure(figure, folder / "interface_energy.png", table)
    return FigureBlock(path, "Formation and interfacial energy, and work of adhesion.")


def _warnings(results: Sequence[InterfaceSamples]) -> list[str]:
    found = []
    for each in results:
        samples = each.samples
        if not all(sample.converged for sample in samples):
            found.append(f"{each.name}: a relaxation is not done.")
        if samples[0].is_glass:
            if len(samples) == 1:
                found.append(f"{each.name}: one sample of a glass, so there is no error; take several.")
        elif any(sample.equivalent is False for sample in samples):
            found.append(f"{each.name}: the two interfaces differ, energies are their mean.")
        if not all(sample.symmetric for sample in samples):
            found.append(
                f"{each.name}: a free slab has two surfaces that differ, its surface energy is their mean."
            )
    return found


def _entries(results: Sequence[InterfaceSamples]) -> Entries:
    entries: Entries = {}
    for each in results:
        part = each.name if len(results) > 1 else ""
        first, count = each.samples[0], len(each.samples)
        method = f"mean over {count} samples; {first.method}" if count > 1 else first.method
        for name, quantity in _QUANTITIES.items():
            (value, error), interval = each.mean(quantity), each.interval(quantity)
            entries[join_name(name, part)] = {
                "value": value,
                "unit": first.unit,
                "error": error,
                "method": method,
                "interface": each.name,
            } | ({} if interval is None else {"interval": list(interval)})
        entries[join_name("interface_energy", part)] |= _details(each)
    return entries


def _details(each: InterfaceSamples) -> dict[str, Any]:
    """What is told of the samples: of several, a list of each number."""

    def told(quantity: Callable[[InterfaceEnergy], Any]) -> Any:
        values = [quantity(sample) for sample in each.samples]
        return values if len(values) > 1 else values[0]

    scan = each.samples[0].scan
    return {
        "value_eV_A2": each.mean(lambda sample: sample.value_eV_A2)[0],
        "of_samples": [sample.value for sample in each.samples],
        "surface_energies": told(lambda sample: list(sample.surface_energies)),
        "formula_units": told(lambda sample: list(sample.units)),
        "area_A2": told(lambda sample: sample.area_A2),
        "num_interfaces": each.samples[0].num_interfaces,
        "equivalent": told(lambda sample: sample.equivalent),
        "adhesion_above_cohesion": told(lambda sample: sample.outlasts_bulk),
        "adhesion_above_0.7_J_m2": told(lambda sample: sample.adheres),
        "converged": told(lambda sample: sample.converged),
    } | ({} if scan is None else _registry_details(scan))


def _registry_details(scan: RegistryScan) -> dict[str, Any]:
    return {
        "registries": len(scan.shifts),
        "registry_kept": list(scan.kept_shift),
        "registry_built_J_m2": scan.built_J_m2,
        "registry_spread_J_m2": scan.spread_J_m2,
    }
