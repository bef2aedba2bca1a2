"""Samples in the terms of physical_validation (Merz & Shirts 2018, 10.1371/journal.pone.0202764)."""

import physical_validation.data as terms

from mlip.units import BOLTZMANN_EV_PER_K

UNITS = terms.UnitData(
    kb=BOLTZMANN_EV_PER_K,
    energy_str="eV",
    energy_conversion=96.485,
    length_str="A",
    length_conversion=0.1,
    volume_str="A^3",
    volume_conversion=1e-3,
    temperature_str="K",
    temperature_conversion=1,
    pressure_str="GPa",
    pressure_conversion=1e4,
    time_str="ps",
    time_conversion=1,
)


def samples_of(atoms, stage, **observables):
    """Samples (kinetic_energy=, potential_energy=, volume=) of a stage that was run on these atoms."""
    is_open = stage.stage.ensemble == "npt"
    held = {"pressure": stage.stage.pressure_GPa} if is_open else {"volume": atoms.get_volume()}
    return terms.SimulationData(
        units=UNITS,
        ensemble=terms.EnsembleData(
            "NPT" if is_open else "NVT", natoms=len(atoms), temperature=stage.start_K, **held
        ),
        system=terms.SystemData(
            natoms=len(atoms),
            nconstraints=0,
            ndof_reduction_tra=stage.degrees_of_freedom_removed,
            ndof_reduction_rot=0,
            mass=atoms.get_masses(),
        ),
        observables=terms.ObservableData(**observables),
    )
