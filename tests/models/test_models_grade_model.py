"""The grade through every kind of readout: what it is fitted to, what turns, what moves."""

import pytest
import torch
from scipy.spatial.transform import Rotation
from structures import SPECIES, predict, random_structure

from mlip.models.grade_fit import DescribedAtoms, fit_grade

MODELS = {
    "nequip, linear readout": {"architecture": "nequip"},
    "nequip, hidden readout": {
        "architecture": "nequip",
        "readout_mlp_hidden_layers_depth": 1,
        "readout_mlp_hidden_layers_width": 6,
    },
    "allegro": {"architecture": "allegro"},
}
TRAINED_ON = [random_structure("triclinic", seed=seed) for seed in range(10)] + [random_structure("atom")]


def described(force_field, atoms):
    species = torch.tensor([SPECIES.index(symbol) for symbol in atoms.symbols])
    return DescribedAtoms(predict(force_field, atoms).descriptors, species, torch.zeros_like(species))


@pytest.fixture(params=MODELS)
def fitted(request, small_force_field):
    force_field = small_force_field(**MODELS[request.param])
    return force_field, fit_grade([described(force_field, atoms) for atoms in TRAINED_ON], len(SPECIES))


def grades(fitted, atoms):
    force_field, grade = fitted
    found = described(force_field, atoms)
    return grade(found.descriptors, found.species)


def test_training_structures_are_within(fitted):
    highest = [float(grades(fitted, atoms).max()) for atoms in TRAINED_ON]
    assert max(highest) == pytest.approx(1.0, abs=0.01)
    assert highest[-1] == 0.0  # the lone atom, whose energy is the shift


def test_rotation_translation_and_order_change_nothing(fitted):
    atoms = random_structure("triclinic", seed=20)
    expected = grades(fitted, atoms)
    turn = Rotation.random(random_state=2).as_matrix()
    moved = atoms.copy()
    moved.set_cell(atoms.cell.array @ turn.T)
    moved.positions = atoms.positions @ turn.T + [0.3, -2.0, 5.0]
    torch.testing.assert_close(grades(fitted, moved[::-1]).flip(0), expected, rtol=1e-7, atol=1e-8)


def test_displaced_atoms_are_graded_higher(fitted):
    means = []
    for stdev in (0.0, 0.1, 0.3):
        rattled = [atoms.copy() for atoms in TRAINED_ON[:-1]]
        for atoms in rattled:
            atoms.rattle(stdev, seed=3)
        means.append(float(torch.cat([grades(fitted, atoms) for atoms in rattled]).log().mean()))
    assert means == sorted(means)
    assert means[-1] > means[0] + 0.1
