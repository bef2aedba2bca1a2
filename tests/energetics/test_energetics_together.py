"""Relaxations in one batch of a potential: as one after the other, and as those of ASE."""

import numpy as np
import pytest
from ase.optimize import FIRE
from structures import random_structure

import md.energetics.relaxing
from md.energetics.relaxed import Tolerance, compute_energies, relax_all
from md.energetics.relaxing import relax_one_by_one
from md.engines.torch.engine import TorchBackend
from mlip.deploy import MLIPCalculator
from mlip.errors import ConfigError

TOLERANCE = Tolerance(force_eV_A=0.05, stress_GPa=0.1, max_steps=80)
CELLS = (None, "z", "flexible", None, "flexible")


@pytest.fixture(scope="module")
def structures():
    kinds = ("triclinic", "small_cell", "triclinic", "slab", "small_cell")
    return [random_structure(kind, seed) for seed, kind in enumerate(kinds)]


def one_by_one(monkeypatch, *arguments):
    """The same by the way of other calculators."""
    with monkeypatch.context() as patched:
        patched.setattr("md.energetics.relaxed.relax_together", relax_one_by_one)
        return relax_all(*arguments)


@pytest.mark.parametrize("at_once", [None, 2])
def test_a_batch_finds_what_each_finds_alone(structures, potential_file, monkeypatch, at_once):
    """Also where some wait for a place; those that end early, late, or not at all."""
    monkeypatch.setattr(md.energetics.relaxing, "TorchBackend", lambda: TorchBackend(max_systems=at_once))
    calculator = MLIPCalculator(potential_file, device="cpu", kernel="reference")
    together = relax_all(structures, calculator, TOLERANCE, CELLS)
    alone = one_by_one(monkeypatch, structures, calculator, TOLERANCE, CELLS)
    for ours, theirs, start in zip(together, alone, structures, strict=True):
        assert ours.energy_eV == pytest.approx(theirs.energy_eV, abs=1e-6)
        assert ours.converged == theirs.converged
        np.testing.assert_allclose(ours.atoms.positions, theirs.atoms.positions, rtol=0, atol=1e-5)
        np.testing.assert_allclose(ours.atoms.cell, theirs.atoms.cell, rtol=0, atol=1e-5)
        np.testing.assert_allclose(ours.stress_GPa, theirs.stress_GPa, rtol=1e-4, atol=1e-4)
        assert np.abs(ours.atoms.positions - start.positions).max() > 0.01
    assert {each.converged for each in together} == {True, False}


def test_energies_are_those_of_ase(structures, potential_file):
    """ASE's FIRE with its own steps ends in the same minimum; as they are, energies are the calculator's."""
    calculator = MLIPCalculator(potential_file, device="cpu", kernel="reference")
    still = []
    for atoms in structures:
        probe = atoms.copy()
        probe.calc = calculator
        still.append(probe.get_potential_energy())
    np.testing.assert_allclose(compute_energies(structures, calculator), still, rtol=0, atol=1e-9)
    tight = Tolerance(force_eV_A=0.01, max_steps=400)
    (found,) = relax_all(structures[:1], calculator, tight)
    theirs = structures[0].copy()
    theirs.calc = calculator
    FIRE(theirs, logfile=None).run(fmax=0.01, steps=400)
    assert found.converged
    assert found.energy_eV == pytest.approx(theirs.get_potential_energy(), abs=1e-3)


def test_the_cell_of_what_is_open_stays(structures, potential_file):
    calculator = MLIPCalculator(potential_file, device="cpu", kernel="reference")
    with pytest.raises(ConfigError, match="open in a direction"):
        relax_all([structures[3]], calculator, TOLERANCE, ["z"])
