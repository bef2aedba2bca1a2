"""The potential file: a round trip through a fresh process, other dtypes, damaged files."""

import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from structures import random_structure

from mlip.deploy import MLIPCalculator, Potential
from mlip.errors import PotentialError


def test_round_trip_in_a_fresh_process_without_training_code(potential_file):
    atoms = random_structure("triclinic")
    atoms.calc = MLIPCalculator(potential_file, device="cpu")
    code = (
        "import json, sys; from ase import Atoms; from mlip.deploy import MLIPCalculator\n"
        "spec = json.load(sys.stdin); atoms = Atoms(**spec)\n"
        f"atoms.calc = MLIPCalculator({str(potential_file)!r}, device='cpu')\n"
        "bad = [m for m in sys.modules if m.split('.')[0] in ('train', 'md', 'lightning')]\n"
        "print(json.dumps([atoms.get_potential_energy(), atoms.get_stress().tolist(), bad]))"
    )
    spec = {
        "numbers": atoms.numbers.tolist(),
        "positions": atoms.positions.tolist(),
        "cell": atoms.cell.array.tolist(),
        "pbc": True,
    }
    result = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(spec), capture_output=True, text=True, check=True
    )
    energy, stress, training_modules = json.loads(result.stdout)
    assert energy == pytest.approx(atoms.get_potential_energy(), rel=1e-13)
    np.testing.assert_allclose(stress, atoms.get_stress(), rtol=1e-10, atol=1e-13)
    assert training_modules == []


def test_the_file_holds_no_pickle(potential_file):
    with zipfile.ZipFile(potential_file) as archive:
        assert sorted(archive.namelist()) == ["card.md", "potential.json", "weights.safetensors"]
        content = json.loads(archive.read("potential.json"))
    assert content["species"] == ["Li", "P", "S"]
    assert content["units"]["energy"] == "eV"


def test_dtype_can_be_chosen(potential_file):
    atoms = random_structure("triclinic")
    forces = {}
    for dtype in ("float32", "float64"):
        atoms.calc = MLIPCalculator(potential_file, device="cpu", dtype=dtype)
        forces[dtype] = atoms.get_forces()
    difference = np.abs(forces["float32"] - forces["float64"]).max()
    assert 0.0 < difference / np.abs(forces["float64"]).max() < 1e-5


def test_a_file_of_format_1_gives_what_it_gave():
    """Made by version 0.1, with the numbers it printed."""
    path = Path(__file__).parent / "files" / "format1.mlip"
    atoms = random_structure("triclinic", seed=7)
    atoms.calc = MLIPCalculator(path, device="cpu")
    assert atoms.get_potential_energy() == pytest.approx(7.033287303889498, rel=1e-12)
    np.testing.assert_allclose(
        atoms.get_forces()[0], [2.204661884884467, -0.292433672148964, -0.667186350899239], rtol=1e-10
    )


@pytest.mark.parametrize("keep", [0, 100, -40])
def test_a_truncated_file_is_refused_in_one_line(potential_file, tmp_path, keep):
    damaged = tmp_path / "damaged.mlip"
    damaged.write_bytes(potential_file.read_bytes()[:keep])
    with pytest.raises(PotentialError, match="not a whole") as caught:
        Potential.load(damaged)
    assert "\n" not in str(caught.value)


def test_a_newer_format_is_refused(potential_file, tmp_path):
    newer = tmp_path / "newer.mlip"
    with zipfile.ZipFile(potential_file) as old, zipfile.ZipFile(newer, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(
                name, data.replace(b'"format": 2', b'"format": 99') if name.endswith("json") else data
            )
    with pytest.raises(PotentialError, match="format 99"):
        Potential.load(newer)


def test_unknown_species_are_named(potential_file):
    atoms = random_structure("triclinic")
    atoms.symbols[0] = "Cl"
    atoms.calc = MLIPCalculator(potential_file, device="cpu")
    with pytest.raises(Exception, match="Cl"):
        atoms.get_potential_energy()


@pytest.mark.parametrize("kind", ["triclinic", "slab", "molecule", "small_cell", "atom"])
def test_calculator_results_are_consistent(potential_file, kind):
    atoms = random_structure(kind)
    atoms.calc = MLIPCalculator(potential_file, device="cpu")
    assert atoms.get_potential_energy() == pytest.approx(atoms.calc.results["energies"].sum(), rel=1e-12)
    assert atoms.calc.results["free_energy"] == atoms.calc.results["energy"]
    np.testing.assert_allclose(atoms.get_forces().sum(axis=0), 0.0, atol=1e-10)
    assert ("stress" in atoms.calc.results) == bool(atoms.pbc.all())


def test_calculator_stress_is_the_strain_derivative(potential_file):
    from ase.calculators.fd import calculate_numerical_stress

    atoms = random_structure("triclinic")
    atoms.calc = MLIPCalculator(potential_file, device="cpu")
    numerical = calculate_numerical_stress(atoms, eps=1e-5)
    np.testing.assert_allclose(atoms.get_stress(), numerical, rtol=1e-5, atol=1e-8)
    assert np.abs(numerical).max() > 1e-4


def test_the_cutoffs_of_the_repulsion_keep_every_digit(potential_file):
    """Rounded to float32 they could reach past the shortest distance of the training data."""
    shortest = 2.357022603955158
    potential = replace(Potential.load(potential_file), pair_cutoffs=((shortest,) * 3,) * 3)
    cutoffs = potential.force_field().pair_potential.cutoffs
    assert cutoffs.unique().tolist() == [shortest]
