"""Curves of pairs against the formula, and equations of state against ASE's fit."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.lj import LennardJones
from ase.eos import EquationOfState as AseFit

from md.energetics.energy_volume import compute_equation_of_state
from md.energetics.pair_curves import compute_pair_curves
from md.energetics.relaxed import Tolerance, relax
from mlip.units import EV_PER_A3_IN_GPA

AS_THEY_ARE = Tolerance(max_steps=0)


class Wobbly(Calculator):
    """Two atoms: repulsion with a hole at 1 A, and a step at 3 A if asked."""

    implemented_properties = ["energy", "free_energy", "forces"]

    def __init__(self, hole_eV, step_eV=0.0):
        super().__init__()
        self.hole_eV, self.step_eV = hole_eV, step_eV

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        energy, forces = 0.7, np.zeros((len(atoms), 3))
        if len(atoms) == 1:
            energy = 0.35
        else:
            r = atoms.get_distance(0, 1)
            hole = self.hole_eV * np.exp(-((r - 1.0) ** 2) / 0.02)
            energy += 5 * np.exp(-r) - hole + self.step_eV * (r > 3.0)
            slope = -5 * np.exp(-r) + hole * (r - 1.0) / 0.01
            forces[0, 0], forces[1, 0] = slope, -slope
        self.results = {"energy": energy, "free_energy": energy, "forces": forces}


def test_a_lennard_jones_pair_has_its_formula():
    calculator = LennardJones(sigma=2.0, epsilon=0.5, rc=9.0)
    (curve,) = compute_pair_curves(["Ar"], calculator, step_A=0.05)
    r = curve.distances_A
    assert (r[0], r[-1]) == (0.5, 6.0)
    x = (2.0 / r) ** 6
    shift = 4 * 0.5 * ((2 / 9) ** 12 - (2 / 9) ** 6)  # ASE's energy is zero at the cutoff
    assert curve.energies_eV == pytest.approx(4 * 0.5 * (x**2 - x) - shift, rel=1e-10)
    assert curve.forces_eV_A == pytest.approx(24 * 0.5 / r * (2 * x**2 - x), rel=1e-8)
    assert curve.minima_A == pytest.approx([2 ** (1 / 6) * 2.0], abs=0.01)
    assert curve.well_eV == pytest.approx(-0.5, rel=0.01)
    assert curve.is_repulsive
    assert curve.roughness_eV < 5e-3


def test_every_pair_is_there_and_atoms_alone_are_taken_off():
    curves = compute_pair_curves(["O", "Li"], Wobbly(0.0), distances_A=(1.0, 2.0))
    assert [curve.pair for curve in curves] == [("Li", "Li"), ("Li", "O"), ("O", "O")]
    for curve in curves:
        assert curve.energies_eV == pytest.approx(5 * np.exp(-curve.distances_A))


def test_a_hole_and_a_step_are_seen():
    (smooth,) = compute_pair_curves(["Li"], Wobbly(0.0))
    assert smooth.is_repulsive
    assert smooth.minima_A == ()
    assert smooth.well_eV == 0.0
    (hole,) = compute_pair_curves(["Li"], Wobbly(5.0))
    assert not hole.is_repulsive
    assert hole.holes_A[0] == pytest.approx(1.1)
    assert hole.minima_A == pytest.approx([1.0], abs=0.05)
    (step,) = compute_pair_curves(["Li"], Wobbly(0.0, step_eV=0.05))
    assert smooth.roughness_eV < 1e-4
    assert step.roughness_eV == pytest.approx(0.025, rel=0.01)


def test_copper_has_the_equation_of_state_that_ase_fits(emt, copper):
    found = compute_equation_of_state(copper, emt, tolerance=AS_THEY_ARE)
    theirs = AseFit(found.volumes_A3, found.energies_eV, eos="birchmurnaghan")
    volume, energy, modulus = theirs.fit()
    assert found.fit.volume_A3 == pytest.approx(volume, rel=1e-5)
    assert found.fit.energy_eV == pytest.approx(energy, abs=1e-6)
    assert found.fit.bulk_modulus_GPa == pytest.approx(modulus * EV_PER_A3_IN_GPA, rel=1e-3)
    assert found.has_minimum_inside
    assert found.misfit_meV_per_atom < 1.0
    assert found.fit.bulk_modulus_error_GPa < 1.0


def test_atoms_relax_at_each_volume(lennard_jones, tight):
    """A hexagonal crystal whose atoms were pushed aside has the equation of state of the whole one."""
    whole = relax(bulk("Ar", "hcp", a=1.09, c=1.78), lennard_jones, tight, cell="flexible").atoms
    pushed = whole.copy()
    pushed.positions[0] += [0.03, 0.0, 0.02]
    relaxed, exact = (
        compute_equation_of_state(atoms, lennard_jones, count=5, tolerance=tolerance)
        for atoms, tolerance in ((pushed, tight), (whole, AS_THEY_ARE))
    )
    assert relaxed.converged
    assert relaxed.energies_eV == pytest.approx(exact.energies_eV, abs=1e-5)
    assert "relaxed" in relaxed.method


def test_a_relaxation_reaches_the_lattice_constant(emt, tight):
    strained = bulk("Cu", a=3.7)
    strained.positions[0] += 0.1
    found = relax(strained, emt, tight, cell="flexible")
    assert found.converged
    assert found.force_eV_A < 1e-4
    volumes = compute_equation_of_state(
        bulk("Cu", a=3.59), emt, tolerance=AS_THEY_ARE, relative_volumes=(0.97, 1.03)
    )
    assert found.atoms.get_volume() == pytest.approx(volumes.fit.volume_A3, rel=1e-4)
    assert strained.get_volume() == pytest.approx(3.7**3 / 4)  # what was given stays as it is
