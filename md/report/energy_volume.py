"""The chapter on energy against volume: the equation of state and the bulk modulus."""

from pathlib import Path

import numpy as np

from md.energetics.energy_volume import EnergyVolume
from md.report.chapter import Analysis
from mlip.report.figures import new_axes, save_figure
from mlip.report.html import FigureBlock, Highlight, Section
from mlip.report.style import INK, PALETTE


def energy_volume_chapter(found: EnergyVolume, folder: Path) -> Analysis:
    """Draw energies and their fit, and write chapter and entries.

    Args:
        found: The energies.
        folder: Where PNG and CSV go.
    """
    fit, atoms = found.fit, found.num_atoms
    volumes, energies = found.volumes_A3 / atoms, found.energies_eV / atoms
    fine = np.linspace(volumes[0], volumes[-1], 200)
    curve = fit.energies_at(fine * atoms) / atoms
    with new_axes("volume (Å³/atom)", "energy (eV/atom)") as (figure, axes):
        axes.plot(fine, curve, color=PALETTE[0])
        axes.plot(volumes, energies, "o", color=INK)
        axes.annotate(
            f"$B_0$ = {fit.bulk_modulus_GPa:.1f} GPa", (0.5, 0.92), xycoords="axes fraction", ha="center"
        )
        table = {"volume_A3": volumes, "energy_eV": energies, "fit_volume_A3": fine, "fit_energy_eV": curve}
        path = save_figure(figure, folder / "equation_of_state.png", table)
    warnings = [] if found.converged else ["Atoms did not reach their minimum at every volume."]
    if not found.has_minimum_inside:
        warnings.append(
            "The volume of least energy is outside those computed: shift energetics.relative_volumes."
        )
    section = Section(
        heading="Equation of state",
        text=f"{found.method}. The fit misses an energy by at most {found.misfit_meV_per_atom:.2g} meV/atom.",
        figures=[FigureBlock(path, "Energies (points) and the fit, an atom.")],
        warnings=warnings,
    )
    numbers = {
        "bulk_modulus": (fit.bulk_modulus_GPa, "GPa", fit.bulk_modulus_error_GPa),
        "bulk_modulus_slope": (fit.bulk_modulus_slope, "1", None),
        "equilibrium_volume": (fit.volume_A3 / atoms, "A^3/atom", fit.volume_error_A3 / atoms),
        "equilibrium_energy": (fit.energy_eV / atoms, "eV/atom", None),
        "equation_of_state_misfit": (found.misfit_meV_per_atom, "meV/atom", None),
    }
    entries = {
        name: {"value": value, "unit": unit, "error": error, "method": found.method, "warnings": warnings}
        for name, (value, unit, error) in numbers.items()
    }
    card = Highlight("bulk modulus", f"{fit.bulk_modulus_GPa:.1f}", "GPa", "Birch-Murnaghan")
    return Analysis(entries, [section], [card])
