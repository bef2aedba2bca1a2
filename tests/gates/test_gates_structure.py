"""Voids, segregation and the difference of radial distributions, by structures whose answer is known."""

import numpy as np
import pytest
from ase.build import bulk

from md.analysis import Frames
from md.gates.rdf import RdfLimits, check_rdf
from md.gates.segregation import measure_segregation
from md.gates.voids import atomic_spacing, largest_void
from mlip.errors import DataError


def test_the_octahedral_void_of_fcc():
    atoms = bulk("Ar", "fcc", a=5.3, cubic=True).repeat(2)
    assert largest_void(atoms) == pytest.approx(5.3 / 2, abs=0.22 * atomic_spacing(atoms))
    assert atomic_spacing(atoms) == pytest.approx(5.3 / 4 ** (1 / 3))


def test_the_void_does_not_depend_on_the_choice_of_the_cell():
    atoms = bulk("Ar", "fcc", a=5.3, cubic=True).repeat(3)
    del atoms[np.linalg.norm(atoms.positions - atoms.positions[40], axis=1) < 5.0]
    sheared = atoms.copy()
    sheared.set_cell(atoms.cell.array + np.array([[0, 0, 0], [6, 0, 0], [5, -7, 0]]) @ atoms.cell.array)
    assert largest_void(atoms) > 4.0
    assert largest_void(sheared) == pytest.approx(largest_void(atoms), abs=0.5)


def test_segregation_of_a_mixture_and_of_two_phases():
    atoms = bulk("Ar", "fcc", a=5.3, cubic=True).repeat(6)
    random = np.random.default_rng(0)
    atoms.symbols[random.permutation(len(atoms))[: len(atoms) // 2]] = "Kr"
    mixed = measure_segregation(atoms)
    assert set(mixed) == {"Ar", "Kr"}
    assert mixed["Ar"] == pytest.approx(1 / 42, rel=0.3)  # 42 atoms in three shells of fcc
    atoms.symbols[:] = np.where(atoms.get_scaled_positions()[:, 0] < 0.5, "Ar", "Kr")
    assert measure_segregation(atoms)["Kr"] > 0.45
    assert measure_segregation(bulk("Ar", "fcc", a=5.3, cubic=True)) == {}


def lattice_frames(sigma, count=12, a=5.3, symbol="Ar", seed=0):
    atoms = bulk(symbol, "fcc", a=a, cubic=True).repeat(2)
    random = np.random.default_rng(seed)
    shaken = atoms.positions + random.normal(0.0, sigma, (count, len(atoms), 3))
    fractional = shaken @ np.linalg.inv(atoms.cell.array)
    return Frames(fractional, np.repeat(atoms.cell.array[None], count, axis=0), atoms.numbers)


def test_the_same_structure_passes_and_another_does_not():
    reference = lattice_frames(0.15)
    assert check_rdf(lattice_frames(0.15, seed=1), reference, RdfLimits()).passed
    result = check_rdf(lattice_frames(0.15, a=5.7), reference, RdfLimits())
    assert not result.passed
    assert result.checks[0].value > 0.4
    assert result.advice == [
        "Ar-Ar distances are not those of the reference: add frames of reference dynamics"
    ]


def test_a_noisy_reference_judges_less():
    """Four frames cannot tell what twelve can."""
    short, long = lattice_frames(0.4, count=4), lattice_frames(0.4, count=400)
    limits = [
        check_rdf(lattice_frames(0.4, seed=2), each, RdfLimits()).checks[0].limit for each in (short, long)
    ]
    assert limits[0] > 1.5 * limits[1]
    assert limits[1] == 0.1


def test_a_reference_of_other_species_is_refused():
    with pytest.raises(DataError, match="expected Ar"):
        check_rdf(lattice_frames(0.1), lattice_frames(0.1, symbol="Kr"), RdfLimits())
