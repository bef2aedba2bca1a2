"""The grade in potential, calculator and deployed file: one number everywhere, or none anywhere."""

import json
import zipfile

import numpy as np
import pytest
import torch
from graded_potential import TRAINED_ON, fit_to
from scipy.spatial.transform import Rotation
from structures import random_structure

from mlip.deploy import MLIPCalculator, Potential, deploy_potential
from mlip.deploy.torchscript import save_torchscript
from mlip.deploy.verify import TOLERANCES, verify_deployment
from mlip.errors import PotentialError
from mlip.models.grade import ExtrapolationGrade


@pytest.fixture(scope="module")
def deployed(graded_file, tmp_path_factory):
    return deploy_potential(graded_file, tmp_path_factory.mktemp("deployed"), device="cpu", grade=True)


def results(path, atoms, dtype=None):
    copy = atoms.copy()
    copy.calc = MLIPCalculator(path, device="cpu", dtype=dtype)
    copy.get_potential_energy()
    return copy.calc.results


def test_a_saved_potential_keeps_grade_thresholds_and_calibration(graded_file):
    again = Potential.load(graded_file).uncertainty
    fitted = fit_to(Potential.load(graded_file))
    for name, tensor in fitted.tensors().items():
        torch.testing.assert_close(again.tensors()[name], tensor, rtol=1e-9, atol=1e-9)
    assert again.settings() == fitted.settings()
    with zipfile.ZipFile(graded_file) as archive:
        assert json.loads(archive.read("potential.json"))["grade"]["stop"] == 8.0


def test_a_potential_without_grade_gives_none(potential_file, graded_file):
    assert Potential.load(potential_file).uncertainty is None
    plain, graded = (results(path, TRAINED_ON[0]) for path in (potential_file, graded_file))
    assert "extrapolation_grade" not in plain
    assert set(graded) - set(plain) == {"extrapolation_grade", "energy_uncertainty", "force_uncertainty"}
    np.testing.assert_allclose(plain["forces"], graded["forces"], rtol=1e-12, atol=1e-13)


def test_training_atoms_are_within_and_a_squeezed_structure_is_not(graded_file):
    for atoms in TRAINED_ON:
        assert results(graded_file, atoms)["extrapolation_grade"].max() <= 1.01 + 1e-6
    highest = []
    for scale in (1.0, 0.9, 0.8):
        squeezed = TRAINED_ON[0].copy()
        squeezed.set_cell(squeezed.cell * scale, scale_atoms=True)
        highest.append(results(graded_file, squeezed)["extrapolation_grade"].max())
    assert highest == sorted(highest)
    assert highest[-1] > 1.5


@pytest.mark.parametrize("kind", ["triclinic", "slab", "molecule", "atom"])
def test_rotation_and_inversion_change_no_grade(graded_file, kind):
    atoms = random_structure(kind, seed=30)
    expected = results(graded_file, atoms)
    turned = atoms.copy()
    turn = -Rotation.random(random_state=1).as_matrix()
    turned.set_cell(atoms.cell.array @ turn.T)
    turned.positions = atoms.positions @ turn.T
    found = results(graded_file, turned)
    for name in ("extrapolation_grade", "energy_uncertainty", "force_uncertainty"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("kind", ["triclinic", "slab", "molecule", "small_cell", "atom"])
def test_the_deployed_file_gives_the_same_grades(graded_file, deployed, kind):
    atoms = random_structure(kind, seed=5)
    expected, found = results(graded_file, atoms), results(deployed, atoms)
    assert found["extrapolation_grade"].shape == (len(atoms),)
    assert found["extrapolation_grade"].dtype == np.float64
    np.testing.assert_allclose(
        found["extrapolation_grade"], expected["extrapolation_grade"], rtol=1e-9, atol=1e-9
    )
    np.testing.assert_allclose(found["forces"], expected["forces"], rtol=1e-9, atol=1e-11)


def test_the_manifest_tells_the_difference_of_grades(deployed):
    manifest = json.loads((deployed.parent / "manifest.json").read_text())
    assert manifest["differences"]["grade"] <= TOLERANCES["float64"]["grade"]


def test_single_precision_keeps_the_grades(graded_file, tmp_path):
    file = deploy_potential(graded_file, tmp_path, device="cpu", dtype="float32", grade=True)
    atoms = random_structure("triclinic", seed=5)
    double, single = (results(path, atoms)["extrapolation_grade"] for path in (graded_file, file))
    difference = np.abs(single - double) / np.maximum(double, 1.0)
    assert 0.0 < difference.max() < TOLERANCES["float32"]["grade"]


def test_without_grade_the_file_returns_none(graded_file, tmp_path):
    file = deploy_potential(graded_file, tmp_path, device="cpu")
    assert "extrapolation_grade" not in results(file, random_structure("triclinic"))


def test_a_potential_without_grade_cannot_be_deployed_with_it(potential_file, tmp_path):
    with pytest.raises(PotentialError, match="no extrapolation grade") as caught:
        deploy_potential(potential_file, tmp_path, device="cpu", grade=True)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_other_grades_is_refused(graded_file, tmp_path):
    potential = Potential.load(graded_file)
    state = dict(potential.uncertainty.grade.state_dict())
    state["maps"] = state["maps"] * (1.0 + 1e-6)
    path = tmp_path / "spoilt.nequip.pth"
    metadata = {
        "r_max": "4.0",
        "num_types": "3",
        "type_names": "Li P S",
        "allow_tf32": "0",
        "model_dtype": "float64",
    }
    save_torchscript(potential.force_field(), metadata, path, ExtrapolationGrade.from_state(state))
    with pytest.raises(PotentialError, match="grade by"):
        verify_deployment(graded_file, path, potential.reference_structure, "float64", "cpu")
