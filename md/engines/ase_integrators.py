"""ASE's integrators as one family: build, set the temperature, read and write what a restart needs.

ASE keeps the variables of its thermostats in private attributes; only this file and `ase_barostat` know them.
Four things are set straight here. ASE's chains thermalise 3N degrees of freedom although total momentum stays
zero, which makes a system hotter by N/(N - 1); we count 3N - 3. The chain on its flexible barostat counts the
nine elements of the strain rate, of which symmetry leaves six: the cell moved as at 3/2 of the temperature.
ASE's chains know one temperature; on a ramp the masses of the thermostat follow it, at constant friction, and
the barostat's stay: as in LAMMPS. And ASE's constants are of CODATA 2014: here they are of `mlip.units`.
"""

import json
from collections.abc import Mapping
from operator import attrgetter
from typing import Any

import ase.units
import numpy as np
from ase import Atoms
from ase.md.bussi import Bussi
from ase.md.langevin import Langevin
from ase.md.md import MolecularDynamics
from ase.md.nose_hoover_chain import MTKNPT, NoseHooverChainNVT
from ase.md.verlet import VelocityVerlet
from numpy.typing import NDArray

from md.engines.ase_barostat import DilationMTKNPT, stretched_directions
from md.protocols.stages import PlannedStage
from mlip.units import AMU_A2_PER_FS2_IN_EV, BOLTZMANN_EV_PER_K, EV_PER_A3_IN_GPA

# A femtosecond in ASE's unit of time, A sqrt(amu/eV).
FEMTOSECOND = AMU_A2_PER_FS2_IN_EV**-0.5
_KELVIN = BOLTZMANN_EV_PER_K / ase.units.kB
_INDEPENDENT_STRAINS = 6
_CHAIN = ("_thermostat._eta", "_thermostat._p_eta", "_thermostat._Q", "_thermostat._kT")
_BAROSTAT = ("_barostat._xi", "_barostat._p_xi", "_barostat._kT")
Npt = DilationMTKNPT | MTKNPT
Chained = NoseHooverChainNVT | Npt
Integrator = VelocityVerlet | Langevin | Bussi | Chained

_INTERNALS: dict[type[MolecularDynamics], tuple[str, ...]] = {
    VelocityVerlet: (),
    Langevin: (),
    Bussi: ("transferred_energy",),
    NoseHooverChainNVT: _CHAIN,
    DilationMTKNPT: (*_CHAIN, *_BAROSTAT, "_eps", "_p_eps", "_volume0", "_cell0", "_directions"),
    MTKNPT: (*_CHAIN, *_BAROSTAT, "_p_g"),
}
_RANDOM = "random_generator"


def build_integrator(atoms: Atoms, stage: PlannedStage, seed: int) -> Integrator:
    """Make the integrator of a stage.

    Args:
        atoms: The atoms it moves, with a calculator.
        stage: Ensemble, temperature at the start, time step, relaxation times.
        seed: Seed of the run; each stage draws its own random numbers.
    """
    user = stage.stage
    timestep = user.timestep_fs * FEMTOSECOND
    start_K = stage.start_K
    if user.ensemble == "nve" or start_K is None:
        return VelocityVerlet(atoms, timestep)
    if user.ensemble == "npt":
        return _count_free_momenta(_build_npt(atoms, stage, start_K))
    if user.thermostat == "langevin":
        generator = np.random.default_rng([seed, stage.index])
        return Langevin(
            atoms,
            timestep,
            temperature_K=start_K * _KELVIN,
            friction=1.0 / (user.tdamp_fs * FEMTOSECOND),
            fixcm=False,
            rng=generator,
        )
    tdamp = user.tdamp_fs * FEMTOSECOND
    if user.thermostat == "velocity_rescaling":
        generator = np.random.default_rng([seed, stage.index])
        rescaling = Bussi(atoms, timestep, temperature_K=start_K * _KELVIN, taut=tdamp, rng=generator)
        rescaling.ndof = 3 * len(atoms) - stage.degrees_of_freedom_removed
        set_temperature(rescaling, start_K)
        return rescaling
    return _count_free_momenta(
        NoseHooverChainNVT(atoms, timestep, temperature_K=start_K * _KELVIN, tdamp=tdamp)
    )


def _build_npt(atoms: Atoms, stage: PlannedStage, start_K: float) -> Npt:
    user = stage.stage
    settings: dict[str, Any] = {
        "timestep": user.timestep_fs * FEMTOSECOND,
        "temperature_K": start_K * _KELVIN,
        "pressure_au": user.pressure_GPa / EV_PER_A3_IN_GPA,
        "tdamp": user.tdamp_fs * FEMTOSECOND,
        "pdamp": user.pdamp_fs * FEMTOSECOND,
    }
    if user.barostat != "flexible":
        directions = stretched_directions(user.barostat, np.array(atoms.cell))
        return DilationMTKNPT(atoms, directions, **settings)
    flexible = MTKNPT(atoms, **settings)
    barostat = flexible._barostat
    barostat._R[0] *= _INDEPENDENT_STRAINS / barostat._cell_dof
    barostat._cell_dof = _INDEPENDENT_STRAINS
    return flexible


def _count_free_momenta(dynamics: Chained) -> Chained:
    """Let the chain thermalise 3N - 3 degrees of freedom: total momentum stays at zero."""
    free = len(dynamics.atoms) - 1
    thermostat = dynamics._thermostat
    thermostat._Q[0] *= free / thermostat._num_atoms_global
    thermostat._num_atoms_global = free
    if not isinstance(dynamics, NoseHooverChainNVT):
        dynamics._num_atoms_global = free
    return dynamics


def set_temperature(dynamics: Integrator, temperature_K: float) -> None:
    """Change the target temperature; nothing happens in NVE or if it is the present one."""
    thermal_energy = ase.units.kB * (temperature_K * _KELVIN)  # as ASE has it, to the bit
    if isinstance(dynamics, Bussi):
        dynamics.target_kinetic_energy = 0.5 * thermal_energy * dynamics.ndof
        return
    if isinstance(dynamics, VelocityVerlet):
        return
    if isinstance(dynamics, Langevin):
        if thermal_energy != dynamics.temp:
            dynamics.set_temperature(temperature_K=temperature_K * _KELVIN)
        return
    thermostat = dynamics._thermostat
    ratio = thermal_energy / thermostat._kT
    if ratio == 1.0:
        return
    thermostat._kT = thermal_energy
    thermostat._Q *= ratio
    thermostat._p_eta *= ratio
    if not isinstance(dynamics, NoseHooverChainNVT):
        dynamics._barostat._kT = thermal_energy


def read_internals(dynamics: Integrator) -> dict[str, NDArray]:
    """Everything beside positions, momenta and cell that the next step depends on."""
    internals = {name: np.array(_get(dynamics, name)) for name in _INTERNALS[type(dynamics)]}
    if isinstance(dynamics, Langevin | Bussi):
        internals[_RANDOM] = np.array(json.dumps(dynamics.rng.bit_generator.state))
    return internals


def write_internals(dynamics: Integrator, internals: Mapping[str, NDArray]) -> None:
    """Put back what `read_internals` read."""
    for name in _INTERNALS[type(dynamics)]:
        value = internals[name]
        _set(dynamics, name, float(value) if value.ndim == 0 else value.copy())
    if isinstance(dynamics, Langevin | Bussi):
        dynamics.rng.bit_generator.state = json.loads(str(internals[_RANDOM]))


def conserved_energy(dynamics: Integrator) -> float:
    """The quantity the integrator conserves at fixed temperature, eV; NaN for Langevin."""
    if isinstance(dynamics, Langevin):
        return float("nan")
    if isinstance(dynamics, VelocityVerlet):
        atoms = dynamics.atoms
        energy = atoms.get_potential_energy(force_consistent=True) + atoms.get_kinetic_energy()
        return float(energy - (dynamics.transferred_energy if isinstance(dynamics, Bussi) else 0.0))
    return dynamics.get_conserved_energy()


def _get(dynamics: Integrator, path: str) -> Any:
    return attrgetter(path)(dynamics)


def _set(dynamics: Integrator, path: str, value: NDArray | float) -> None:
    owner, _, name = path.rpartition(".")
    setattr(attrgetter(owner)(dynamics) if owner else dynamics, name, value)
