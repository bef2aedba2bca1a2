"""Elastic tensors against energies and Cauchy's relations; vibrations against ASE and a spring; glasses."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.units import _amu, _e
from ase.vibrations import Vibrations
from scipy.spatial.transform import Rotation

from md.energetics.amorphisation import compute_amorphisation_energy
from md.energetics.elastic import compute_elastic_tensor
from md.energetics.phonons import THZ_IN_PER_CM, compute_gamma_phonons
from md.energetics.relaxed import Tolerance, relax
from mlip.errors import ConfigError, DataError
from mlip.units import EV_PER_A3_IN_GPA

TIGHT = Tolerance(force_eV_A=1e-4, stress_GPa=1e-3)


class Spring(Calculator):
    """Two atoms of a chain along x on springs to each other, k on one side and k' on the other."""

    implemented_properties = ["energy", "forces"]

    def __init__(self, k, k_other, sign=1.0):
        super().__init__()
        self.k, self.k_other, self.sign = k, k_other, sign

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        away = atoms.positions[1] - atoms.positions[0] - [2.0, 0, 0]
        stiff = self.sign * (self.k + self.k_other)
        forces = np.array([stiff * away * [1, 0, 0], -stiff * away * [1, 0, 0]])
        self.results = {"energy": 0.5 * stiff * away[0] ** 2, "forces": forces}


@pytest.fixture(scope="module")
def copper():
    return relax(bulk("Cu", a=3.6), EMT(), TIGHT, cell="flexible").atoms


def energy_of(atoms, strain):
    strained = atoms.copy()
    strained.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    strained.calc = EMT()
    return strained.get_potential_energy()


def test_the_tensor_of_copper_is_the_curvature_of_its_energy(copper):
    found = compute_elastic_tensor(copper, EMT(), tolerance=TIGHT)
    c11, c12, c44 = found.tensor_GPa[0, 0], found.tensor_GPa[0, 1], found.tensor_GPa[3, 3]
    step, volume = 2e-3, copper.get_volume()
    kinds = {
        "c11": (np.diag([1.0, 0, 0]), c11),
        "biaxial": (np.diag([1.0, 1.0, 0]), 2 * (c11 + c12)),
        "shear": (np.array([[0, 0.5, 0], [0.5, 0, 0], [0, 0, 0]]), c44),
    }
    for strain, expected in kinds.values():
        curved = energy_of(copper, step * strain) + energy_of(copper, -step * strain)
        curvature = (curved - 2 * energy_of(copper, 0 * strain)) / step**2 / volume * EV_PER_A3_IN_GPA
        assert curvature == pytest.approx(expected, rel=5e-3)
    assert c11 > c12 > c44 > 0
    assert c44 != pytest.approx(c12, rel=0.1)  # many-body: no Cauchy relation
    assert found.is_stable
    assert found.bulk_modulus_GPa == pytest.approx((c11 + 2 * c12) / 3)
    assert found.shear_bounds_GPa[1] == pytest.approx((c11 - c12 + 3 * c44) / 5)
    assert found.shear_bounds_GPa[0] == pytest.approx(
        5 * (c11 - c12) * c44 / (4 * c44 + 3 * (c11 - c12)), rel=1e-6
    )
    assert found.anisotropy > 0
    assert found.residual_GPa < 0.01
    assert found.asymmetry_GPa < 0.5
    cubic = np.full((6, 6), 0.0)
    cubic[:3, :3] = c12
    cubic[np.arange(6), np.arange(6)] = [c11] * 3 + [c44] * 3
    assert found.tensor_GPa == pytest.approx(cubic, abs=1e-8)


def test_a_crystal_of_pairs_obeys_cauchy(lennard_jones):
    argon = relax(bulk("Ar", a=1.55), lennard_jones, TIGHT, cell="flexible").atoms
    found = compute_elastic_tensor(argon, lennard_jones, strain=0.004, tolerance=TIGHT)
    tensor = found.tensor_GPa
    assert tensor[0, 1] == pytest.approx(tensor[3, 3], rel=1e-3)
    assert found.is_stable


def test_atoms_that_relax_soften_a_hexagonal_crystal_and_a_turned_one_turns_its_tensor(lennard_jones):
    crystal = relax(bulk("Ar", "hcp", a=1.09, c=1.78), lennard_jones, TIGHT, cell="flexible").atoms
    found = compute_elastic_tensor(crystal, lennard_jones, strain=0.004, tolerance=TIGHT)
    relaxed, clamped = found.tensor_GPa, found.clamped_GPa
    assert relaxed[0, 0] < 0.99 * clamped[0, 0]  # the atoms inside the cell give way
    assert clamped[0, 1] == pytest.approx(clamped[5, 5], rel=5e-3)  # Cauchy, of clamped atoms alone
    assert relaxed[5, 5] == pytest.approx((relaxed[0, 0] - relaxed[0, 1]) / 2, rel=1e-6)
    assert relaxed[0, 3:] == pytest.approx(0, abs=1e-6 * relaxed[0, 0])
    turn = Rotation.from_euler("y", 90, degrees=True).as_matrix()
    turned = crystal.copy()
    turned.set_cell(crystal.cell.array @ turn.T, scale_atoms=True)
    still = Tolerance(max_steps=0)
    other = compute_elastic_tensor(turned, lennard_jones, strain=0.004, tolerance=still).tensor_GPa
    assert other[0, 0] == pytest.approx(clamped[2, 2], rel=1e-3)  # c along x now
    assert other[3, 3] == pytest.approx(clamped[5, 5], rel=1e-3)


def test_a_crystal_that_wants_to_shear_is_unstable():
    """Body-centred copper of effective medium theory."""
    found = compute_elastic_tensor(
        relax(bulk("Cu", "bcc", a=2.86), EMT(), TIGHT, cell="iso").atoms,
        EMT(),
        tolerance=Tolerance(max_steps=0),
    )
    assert found.tensor_GPa[0, 0] < found.tensor_GPa[0, 1]
    assert not found.is_stable


def test_what_is_no_strain_or_has_no_stress_is_refused(copper):
    with pytest.raises(ConfigError, match=r"energetics\.strain=0"):
        compute_elastic_tensor(copper, EMT(), strain=0.0)
    with pytest.raises(ConfigError, match="without stress"):
        compute_elastic_tensor(copper, Spring(1, 1))


def test_a_diatomic_chain_has_its_optical_frequency():
    """omega^2 = (k + k') (1/m + 1/M) at Gamma; across the chain nothing holds the atoms."""
    masses = (7.0, 32.0)
    chain = Atoms("LiS", positions=[[0, 0, 0], [2, 0, 0]], cell=[4, 5, 6], pbc=True, masses=masses)
    found = compute_gamma_phonons(chain, Spring(2.0, 1.5))
    omega = np.sqrt(3.5 * _e / 1e-20 * sum(1 / (mass * _amu) for mass in masses))
    assert found.frequencies_THz[-1] == pytest.approx(omega / (2 * np.pi) / 1e12, rel=1e-5)
    assert found.frequencies_THz[:-1] == pytest.approx(0, abs=1e-3)
    assert found.frequencies_per_cm[-1] == pytest.approx(omega / (2 * np.pi * 2.99792458e10), rel=1e-5)
    assert found.imaginary_THz == ()
    falling = compute_gamma_phonons(chain, Spring(2.0, 1.5, sign=-1.0))
    assert falling.imaginary_THz == pytest.approx([-omega / (2 * np.pi) / 1e12], rel=1e-5)


def test_vibrations_are_those_of_ase(tmp_path):
    """All modes of a cell of copper and gold."""
    alloy = bulk("Cu", a=3.9, cubic=True)
    alloy.numbers[0] = 79
    alloy = relax(alloy, EMT(), TIGHT, cell="iso").atoms
    found = compute_gamma_phonons(alloy, EMT())
    alloy.calc = EMT()
    theirs = Vibrations(alloy, name=str(tmp_path / "vibrations"))
    theirs.run()
    expected = np.sort(theirs.get_frequencies().real)[3:]
    assert found.optical_THz * THZ_IN_PER_CM == pytest.approx(expected, rel=2e-3)
    assert np.abs(found.acoustic_THz).max() < 0.05


def test_a_glass_has_more_energy_than_its_crystal(copper):
    """Two cells of copper, one with an atom pushed aside that may not come back, against the crystal."""
    still = Tolerance(max_steps=0)
    pushed = copper.repeat((2, 2, 2))
    pushed.positions[0] += [0.2, 0.1, 0.0]
    glasses = [copper.repeat((2, 2, 2)), pushed]
    found = compute_amorphisation_energy(glasses, copper, EMT(), tolerance=still)
    energies = []
    for atoms in (*glasses, copper):
        atoms.calc = EMT()
        energies.append(1e3 * atoms.get_potential_energy() / len(atoms))
    above = np.array(energies[:2]) - energies[2]
    assert found.of_glasses == pytest.approx(above, abs=1e-8)
    assert found.value == pytest.approx(above.mean())
    assert found.error == pytest.approx(abs(above[1] - above[0]) / 2)
    assert found.value > 0
    relaxed = compute_amorphisation_energy([pushed], copper, EMT(), tolerance=TIGHT)
    assert relaxed.value == pytest.approx(0.0, abs=0.1)
    assert relaxed.error is None
    with pytest.raises(DataError, match=r"a glass .*chemical potentials"):
        compute_amorphisation_energy([bulk("Au")], copper, EMT())
