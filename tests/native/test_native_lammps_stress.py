"""The virial by strains of the box in lmp itself, and the pressure by our own arithmetic, in both units."""

import numpy as np
import pytest
from ase import units
from native_lammps_runs import command_of, numbers_after, run_lmp, write_input
from native_random_models import structure

COMPONENTS = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]  # LAMMPS: xx yy zz xy xz yz
STRAINS = 1e-3 * np.array([-2.0, -1.0, 1.0, 2.0])
DERIVATIVE = np.array([1.0, -8.0, 8.0, -1.0]) / 12e-3  # of fourth order
# LAMMPS's pressure of an energy over a volume; its digits, which end at the seventh, matter to one check only.
NKTV2P = {"metal": 1.6021765e6, "real": 68568.415}
ENERGY = {"metal": 1.0, "real": units.kcal / units.mol}  # eV
PRESSURE = {"metal": 1e5 * units.Pascal, "real": 101325.0 * units.Pascal}  # bar and atm in eV/A^3
VELOCITY = {"metal": 1.0 / (1000.0 * units.fs), "real": 1.0 / units.fs}  # A/ps and A/fs in ASE's units

# Style, cell, units, ranks, newton: each two of the choices meet somewhere.
CASES = [
    ("nequip", "triclinic", "metal", 2, "on"),
    ("nequip", "orthogonal", "real", 2, "off"),
    ("nequip", "triclinic", "real", 1, "off"),
    ("nequip", "orthogonal", "metal", 1, "on"),
    ("allegro", "orthogonal", "real", 2, "on"),
    ("allegro", "triclinic", "metal", 1, "off"),
    ("allegro", "triclinic", "real", 1, "on"),
    ("allegro", "orthogonal", "metal", 2, "off"),
]


def set_box(cell: np.ndarray) -> str:
    """The command that strains box and atoms to a cell of lower triangular rows."""
    (lx, _, _), (xy, ly, _), (xz, yz, lz) = cell
    edges = " ".join(
        f"{axis} final 0 {length:.17g}" for axis, length in zip("xyz", (lx, ly, lz), strict=True)
    )
    tilts = f"xy final {xy:.17g} xz final {xz:.17g} yz final {yz:.17g}"
    return f"change_box all {edges} {tilts} remap units box\nrun 0 post no"


def strained_energies(cell: np.ndarray) -> str:
    """Commands that print the energy of each strain, and strain back."""
    script = ["change_box all triclinic"]
    for i, j in COMPONENTS:
        for strain in STRAINS:
            gradient = np.eye(3)
            gradient[i, j] += strain
            script += [set_box(cell @ gradient.T), 'print "STRAINED $(pe:%.17g)"']
    return "\n".join([*script, set_box(cell)])


@pytest.mark.parametrize(("style", "name", "unit", "ranks", "newton"), CASES)
def test_virial_and_pressure(tmp_path, plugin, deployed, style, name, unit, ranks, newton):
    atoms = structure(name)
    last = """
velocity all create 900 7 loop geom
run 0
print "PRESS $(press:%.17g)"
print "TENSOR $(pxx:%.17g) $(pyy:%.17g) $(pzz:%.17g) $(pxy:%.17g) $(pxz:%.17g) $(pyz:%.17g)"
write_dump all custom velocities.dump id mass vx vy vz modify sort id format float %.17g"""
    options = {"style": style, "units": unit, "before": f"newton {newton}"}
    write_input(tmp_path, atoms, deployed[style], after=strained_energies(atoms.cell.array) + last, **options)
    finished = run_lmp(tmp_path, command=command_of(ranks))
    assert finished.returncode == 0, finished.stdout[-2000:] + finished.stderr

    energies = np.array(numbers_after("STRAINED", finished.stdout)).reshape(6, 4)
    by_strain = -energies @ DERIVATIVE
    assert np.abs(by_strain).min() > 0.01
    volume = atoms.get_volume()
    _, found_volume, *virial = numbers_after("RESULT", finished.stdout)[-1]
    assert found_volume == pytest.approx(volume, rel=1e-12)
    virial = np.array(virial) * volume / NKTV2P[unit]
    np.testing.assert_allclose(virial, by_strain, rtol=0, atol=1e-7 * np.abs(by_strain).max())

    mass, *velocity = np.loadtxt(tmp_path / "velocities.dump", skiprows=9)[:, 1:].T
    velocity = np.array(velocity) * VELOCITY[unit]
    kinetic = np.array([(mass * velocity[i] * velocity[j]).sum() for i, j in COMPONENTS])
    by_strain = by_strain * ENERGY[unit]
    expected = (kinetic + by_strain) / volume / PRESSURE[unit]
    scale = np.abs(expected).max()
    assert np.abs(kinetic).max() > 0.01 * np.abs(by_strain).max()
    found = numbers_after("TENSOR", finished.stdout)[-1]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * scale)
    press = numbers_after("PRESS", finished.stdout)[-1][0]
    assert press == pytest.approx(expected[:3].mean(), abs=1e-6 * scale)
