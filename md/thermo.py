"""Thermodynamic quantities of a state, and thermo.csv, the table of them along a run.

The pressure includes the kinetic term; it is NaN where the calculator has no stress or a direction is open.
The temperature counts 3N - 3 degrees of freedom where total momentum is conserved at zero and 3N where it is
not: under Langevin, with tethers or walls, with a thermostat for some atoms; N are the atoms that are not
frozen. `conserved_eV` is what the integrator keeps constant at fixed temperature: the total energy in NVE,
the extended energy of a Nose-Hoover chain or MTK, the energy less the heat of a stochastic bath. ASE's
Langevin and relaxations have none: NaN. `grade` is the largest of the atoms' extrapolation grades.
"""

import csv
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from md.groups import degrees_of_freedom
from md.protocols.stages import PlannedStage
from md.state import State
from mlip.units import AMU_PER_A3_IN_G_PER_CM3, BOLTZMANN_EV_PER_K, EV_PER_A3_IN_GPA
from mlip.whole_files import whole_file

# More than two rows of the table, in bytes.
_LONGEST_ROWS = 4096


@dataclass(frozen=True)
class Residual:
    """How far a relaxation is from the end.

    Attributes:
        steps: It has moved the atoms so often.
        force_eV_A: The largest force on an atom, eV/A.
        stress_GPa: The largest stress, beside the pressure, on what may change of the cell, GPa.
        is_converged: Neither is larger than its tolerance.
    """

    steps: int
    force_eV_A: float
    stress_GPa: float
    is_converged: bool


@dataclass(frozen=True)
class Observation:
    """What an engine can say about the present step.

    Attributes:
        potential_eV: Potential energy, eV.
        conserved_eV: The conserved quantity of the integrator, eV, or NaN.
        stress: (1/V) dE/dstrain of the potential alone, shape (3, 3), eV/A^3; None if it has none.
        grades: Extrapolation grade of each atom, shape (N,); None if the potential has none.
        residual: Of a relaxation.
    """

    potential_eV: float
    conserved_eV: float
    stress: NDArray[np.float64] | None
    grades: NDArray[np.float64] | None = None
    residual: Residual | None = None


@dataclass(frozen=True)
class ThermoRow:
    """One row of thermo.csv; the fields are its columns, `grade` only where the potential has one."""

    step: int
    time_ps: float
    temperature_K: float
    potential_eV: float
    kinetic_eV: float
    conserved_eV: float
    pressure_GPa: float
    volume_A3: float
    density_g_cm3: float
    grade: float | None = None


def thermo_row(state: State, stage: PlannedStage, observation: Observation) -> ThermoRow:
    """Compute the row of a state.

    Args:
        state: The present state.
        stage: The stage it belongs to.
        observation: Energies and stress of the present state.
    """
    return ThermoRow(
        step=stage.start_step + state.steps_done,
        time_ps=stage.time_ps(state.steps_done),
        temperature_K=temperature_K(state, stage),
        potential_eV=observation.potential_eV,
        kinetic_eV=state.kinetic_energy,
        conserved_eV=observation.conserved_eV,
        pressure_GPa=pressure_GPa(state, observation.stress),
        volume_A3=state.volume,
        density_g_cm3=float(state.masses.sum()) / state.volume * AMU_PER_A3_IN_G_PER_CM3,
        grade=None if observation.grades is None else float(observation.grades.max()),
    )


def temperature_K(state: State, stage: PlannedStage) -> float:
    """Temperature over the degrees of freedom of the stage, K."""
    return 2.0 * state.kinetic_energy / (degrees_of_freedom(state, stage) * BOLTZMANN_EV_PER_K)


def pressure_GPa(state: State, stress: NDArray[np.float64] | None) -> float:
    """Pressure with its kinetic term, GPa: 2 E_kin / 3V - tr(stress) / 3."""
    if stress is None:
        return math.nan
    pressure = 2.0 * state.kinetic_energy / (3.0 * state.volume) - np.trace(stress) / 3.0
    return float(pressure * EV_PER_A3_IN_GPA)


class ThermoWriter:
    """Append rows to thermo.csv; each row is flushed."""

    def __init__(self, path: Path) -> None:
        self._is_new = not path.exists() or path.stat().st_size == 0
        self._stream = path.open("a", newline="")
        self._writer = csv.writer(self._stream, lineterminator="\n")

    def append(self, row: ThermoRow) -> None:
        """Write one row."""
        values = {key: value for key, value in asdict(row).items() if value is not None}
        if self._is_new:
            self._writer.writerow(values)
            self._is_new = False
        self._writer.writerow([value if key == "step" else f"{value:.10g}" for key, value in values.items()])
        self._stream.flush()

    def close(self) -> None:
        """Close the table."""
        self._stream.close()


def last_thermo_row(path: Path) -> ThermoRow | None:
    """The last complete row of a table, which may be growing; None without one."""
    if not path.exists():
        return None
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - _LONGEST_ROWS))
        lines = stream.read().decode().splitlines(keepends=True)
    complete = [line for line in lines if line.endswith("\n") and line[0].isdigit()]
    if not complete:
        return None
    step, *values = complete[-1].split(",")
    return ThermoRow(int(step), *map(float, values))


def cut_thermo(path: Path, last_step: int) -> None:
    """Drop the rows after `last_step`, and a last row that a kill left incomplete."""
    if not path.exists():
        return
    lines = path.read_text().splitlines(keepends=True)
    kept = lines[:1] + [
        line for line in lines[1:] if line.endswith("\n") and int(line.split(",")[0]) <= last_step
    ]
    with whole_file(path) as temporary:
        temporary.write_text("".join(kept))
