"""The calculator keeps a neighbor list over the steps of dynamics, and nobody can tell."""

import numpy as np
import pytest
from structures import random_structure

from mlip.data import verlet
from mlip.deploy import MLIPCalculator


@pytest.mark.parametrize("kind", ["triclinic", "slab"])
def test_results_are_those_of_a_fresh_calculator_to_the_bit(potential_file, kind, monkeypatch):
    radii, search = [], verlet._search
    monkeypatch.setattr(verlet, "_search", lambda *given: radii.append(given[-1]) or search(*given))
    rng = np.random.default_rng(0)
    atoms = random_structure(kind)
    keeps = MLIPCalculator(potential_file, device="cpu", kernel="reference")
    for _ in range(10):
        atoms.calc = keeps
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        found = len(radii)
        atoms.calc = MLIPCalculator(potential_file, device="cpu", kernel="reference")
        assert energy == atoms.get_potential_energy()
        assert np.array_equal(forces, atoms.get_forces())
        del radii[found:]
        atoms.positions += rng.normal(size=atoms.positions.shape) * 0.05
    assert radii[:2] == [4.0, 4.0 + verlet.SKIN]
    assert 2 <= len(radii) <= 5
