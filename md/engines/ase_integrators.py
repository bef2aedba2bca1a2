"""ASE's integrators as one family: build, set the temperature, read and write what a restart needs.

ASE keeps the variables of its thermostats in private attributes; this file is the only one that knows them.
Two things are set straight here. ASE's chains thermalise 3N degrees of freedom although total momentum stays
zero, which makes a system hotter by N/(N - 1); we count 3N - 3. And ASE's chains know one temperature; on a
ramp the masses of the thermostat follow it, at constant friction, and the barostat's stay: as in LAMMPS.
"""

import json
from collections.abc import Mapping
from operator import attrgetter
from typing import Any

import ase.units
import numpy as np
from ase import Atoms
from ase.md.langevin import Langevin
from ase.md.md import MolecularDynamics
from ase.md.nose_hoover_chain import MTKNPT, IsotropicMTKNPT, MaskedMTKNPT, NoseHooverChainNVT
from ase.md.verlet import VelocityVerlet
from numpy.typing import NDArray

from md.protocols.stages import PlannedStage
from mlip.errors import ConfigError

_CHAIN = ("_thermostat._eta", "_thermostat._p_eta", "_thermostat._Q", "_thermostat._kT")
_BAROSTAT = ("_barostat._xi", "_barostat._p_xi", "_barostat._kT")
Npt = IsotropicMTKNPT | MTKNPT
Chained = NoseHooverChainNVT | Npt
Integrator = VelocityVerlet | Langevin | Chained

_INTERNALS: dict[type[MolecularDynamics], tuple[str, ...]] = {
    VelocityVerlet: (),
    Langevin: (),
    NoseHooverChainNVT: _CHAIN,
    IsotropicMTKNPT: (*_CHAIN, *_BAROSTAT, "_eps", "_p_eps", "_volume0", "_cell0"),
    MTKNPT: (*_CHAIN, *_BAROSTAT, "_p_g"),
    MaskedMTKNPT: (*_CHAIN, *_BAROSTAT, "_p_c", "_h0_basis"),
}
_RANDOM = "random_generator"


def build_integrator(atoms: Atoms, stage: PlannedStage, seed: int) -> Integrator:
    """Make the integrator of a stage.

    Args:
        atoms: The atoms it moves, with a calculator.
        stage: Ensemble, temperature at the start, time step, relaxation times.
        seed: Seed of the run; each stage draws its own random numbers.

    Raises:
        ConfigError: A barostat that ASE does not have.
    """
    user, fs = stage.stage, ase.units.fs
    timestep = user.timestep_fs * fs
    start_K = stage.start_K
    if user.ensemble == "nve" or start_K is None:
        return VelocityVerlet(atoms, timestep)
    if user.ensemble == "npt":
        return _count_free_momenta(_build_npt(atoms, stage, start_K))
    if user.thermostat == "langevin":
        generator = np.random.default_rng([seed, stage.index])
        friction = 1.0 / (user.tdamp_fs * fs)
        return Langevin(atoms, timestep, temperature_K=start_K, friction=friction, fixcm=False, rng=generator)
    chain = NoseHooverChainNVT(atoms, timestep, temperature_K=start_K, tdamp=user.tdamp_fs * fs)
    return _count_free_momenta(chain)


def _build_npt(atoms: Atoms, stage: PlannedStage, start_K: float) -> Npt:
    user, fs = stage.stage, ase.units.fs
    if user.barostat == "xy":
        raise ConfigError(
            f"stage {user.name} asks barostat=xy, which engine=ase does not have; expected iso, z or "
            "flexible, or engine=lammps"
        )
    settings: dict[str, Any] = {
        "timestep": user.timestep_fs * fs,
        "temperature_K": start_K,
        "pressure_au": user.pressure_GPa * ase.units.GPa,
        "tdamp": user.tdamp_fs * fs,
        "pdamp": user.pdamp_fs * fs,
    }
    if user.barostat == "iso":
        return IsotropicMTKNPT(atoms, **settings)
    if user.barostat == "z":
        # an array: ASE indexes momenta with the mask, and a tuple of flags would select nothing
        settings["mask"] = np.array([False, False, True])
        return MaskedMTKNPT(atoms, **settings)
    return MTKNPT(atoms, **settings)


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
    if isinstance(dynamics, VelocityVerlet):
        return
    thermal_energy = ase.units.kB * temperature_K
    if isinstance(dynamics, Langevin):
        if thermal_energy != dynamics.temp:
            dynamics.set_temperature(temperature_K=temperature_K)
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
    if isinstance(dynamics, Langevin):
        internals[_RANDOM] = np.array(json.dumps(dynamics.rng.bit_generator.state))
    return internals


def write_internals(dynamics: Integrator, internals: Mapping[str, NDArray]) -> None:
    """Put back what `read_internals` read."""
    for name in _INTERNALS[type(dynamics)]:
        value = internals[name]
        _set(dynamics, name, float(value) if value.ndim == 0 else value.copy())
    if isinstance(dynamics, Langevin):
        dynamics.rng.bit_generator.state = json.loads(str(internals[_RANDOM]))


def conserved_energy(dynamics: Integrator) -> float:
    """The quantity the integrator conserves at fixed temperature, eV; NaN for Langevin."""
    if isinstance(dynamics, Langevin):
        return float("nan")
    if isinstance(dynamics, VelocityVerlet):
        return float(
            dynamics.atoms.get_potential_energy(force_consistent=True) + dynamics.atoms.get_kinetic_energy()
        )
    return dynamics.get_conserved_energy()


def _get(dynamics: Integrator, path: str) -> Any:
    return attrgetter(path)(dynamics)


def _set(dynamics: Integrator, path: str, value: NDArray | float) -> None:
    owner, _, name = path.rpartition(".")
    setattr(attrgetter(owner)(dynamics) if owner else dynamics, name, value)
