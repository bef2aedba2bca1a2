"""The gate `energy`: without a thermostat the total energy stays, at the time step that will be used."""

from dataclasses import dataclass

import numpy as np

from md.gates.dynamics import Held, check_drift, check_end
from mlip.deploy.gates import Check, GateResult
from mlip.report.panels import Panel


@dataclass(frozen=True)
class EnergyLimits:
    """What is conserved well enough.

    Attributes:
        drift_meV_atom_ps: Of the total energy; 0.01 heats a solid by 39 K in a nanosecond.
        fluctuation: Share of the fluctuation of the total energy in that of the kinetic energy, both rms.
    """

    drift_meV_atom_ps: float = 0.01
    fluctuation: float = 0.1


def check_energy(held: Held, limits: EnergyLimits) -> GateResult:
    """Judge a run under nve.

    Args:
        held: The run.
        limits: What it has to keep.
    """
    total = held.table["conserved_eV"]
    share = float(total.std() / held.table["kinetic_eV"].std()) if held.table["kinetic_eV"].std() else np.nan
    advice = (
        f"timestep_fs={held.stage.timestep_fs:g} is too long for this potential, or its energy is not "
        "smooth: take a shorter one; if that does not help, add data where the energy jumps"
    )
    fluctuation = Check(
        "fluctuation of the total energy", 100.0 * share, "%", 100.0 * limits.fluctuation, advice
    )
    checks = (check_end(held), check_drift(held, "conserved_eV", limits.drift_meV_atom_ps), fluctuation)
    slope, error = held.drift("conserved_eV")
    method = (
        f"nve from {held.stage.temperature_K:g} K, {held.stage.duration_ps:g} ps in steps of "
        f"{held.stage.timestep_fs:g} fs, {held.num_atoms} atoms; drift {1000 * slope:.2g} +- "
        f"{1000 * error:.1g} meV/atom/ps by ten parts; fluctuation in per cent of that of the kinetic energy"
    )
    return GateResult("energy", checks, method, (_panel(held),))


def _panel(held: Held) -> Panel:
    curves = {
        name: (
            held.table["time_ps"],
            1000.0 * (held.table[column] - held.table[column].mean()) / held.num_atoms,
        )
        for name, column in (("kinetic", "kinetic_eV"), ("total", "conserved_eV"))
    }
    return Panel("energy without a thermostat", "time (ps)", "energy - mean (meV/atom)", curves)
