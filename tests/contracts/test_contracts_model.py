"""The contract that every model keeps: symmetries, derivatives, locality; a new architecture is a row."""

import numpy as np
import pytest
import torch
from backends import on_every_backend
from scipy.spatial.transform import Rotation
from structures import SPECIES, predict, random_structure

from mlip.data.graph import build_graph, collate
from mlip.nn.derivatives import edge_vectors
from mlip.nn.kernels.choose import use_kernel

PAIR_CUTOFFS = ((3.5, 3.0, 2.5), (3.0, 3.2, 2.8), (2.5, 2.8, 3.3))
MODELS = {
    "no parity": {"parity": False},
    "parity": {"parity": True, "l_max": 1, "num_layers": 3},  # the third layer sees 0o and 1e features
    "l_max 0": {"l_max": 0},
    "channels per l": {"l_max": 2, "num_features": [5, 3, 2], "num_layers": 3},
    "zbl": {"pair_potential": "zbl", "pair_cutoffs": PAIR_CUTOFFS},
    "repulsion": {"pair_potential": "repulsion", "pair_cutoffs": PAIR_CUTOFFS},
    "l_max 3": {"l_max": 3, "parity": False, "num_features": 2},
    "Allegro": {"architecture": "allegro"},
    "Allegro, three layers": {"architecture": "allegro", "l_max": 1, "num_layers": 3},
    "Allegro, no parity": {
        "architecture": "allegro",
        "parity": False,
        "l_max": 3,
        "tp_path_channel_coupling": False,
    },
    "Allegro, spline": {
        "architecture": "allegro",
        "radial_chemical_embed": "spline",
        "allegro_mlp_nonlinearity": "gelu",
        "readout_mlp_nonlinearity": "mish",
        "per_edge_type_cutoff": {"Li": 3.1, "S": {"P": 3.6}},
    },
    "Allegro, linear readout": {
        "architecture": "allegro",
        "num_layers": 1,
        "l_max": 0,
        "readout_mlp_hidden_layers_depth": 0,
    },
}
# Their kernels take longest to compile.
DEAR = {"channels per l", "l_max 3", "Allegro, no parity"}
KINDS = ("triclinic", "slab", "molecule", "small_cell")


@pytest.fixture(params=on_every_backend(MODELS, DEAR))
def force_field(request, small_force_field):
    model, dtype, backend = request.param
    return use_kernel(small_force_field(dtype, **MODELS[model]), backend)


@pytest.mark.parametrize("kind", KINDS)
def test_rotation_and_inversion(force_field, kind):
    atoms = random_structure(kind)
    turn = -Rotation.random(rng=np.random.default_rng(3)).as_matrix()
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ turn.T)
    turned.positions = atoms.positions @ turn.T
    before, after = predict(force_field, atoms), predict(force_field, turned)
    torch.testing.assert_close(after.energy, before.energy, rtol=1e-11, atol=1e-11)
    rotation = torch.tensor(turn)
    torch.testing.assert_close(after.forces, before.forces @ rotation.T, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(
        after.virial[0], rotation @ before.virial[0] @ rotation.T, rtol=1e-9, atol=1e-10
    )


@pytest.mark.parametrize("kind", KINDS)
def test_translation_and_wrapping(force_field, kind):
    atoms = random_structure(kind)
    moved = atoms.copy()
    moved.positions += [0.7, -3.1, 12.3]
    moved.wrap()
    torch.testing.assert_close(
        predict(force_field, moved).forces, predict(force_field, atoms).forces, rtol=1e-9, atol=1e-11
    )


def test_permutation(force_field):
    atoms = random_structure("triclinic")
    order = np.random.default_rng(1).permutation(len(atoms))
    before, after = predict(force_field, atoms), predict(force_field, atoms[order])
    torch.testing.assert_close(after.forces, before.forces[order], rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(after.atomic_energies, before.atomic_energies[order], rtol=1e-11, atol=1e-11)


def test_batch_equals_single_structures(force_field):
    structures = [random_structure(kind, seed) for seed, kind in enumerate((*KINDS, "atom"))]
    graph = collate([build_graph(atoms, 4.0, SPECIES) for atoms in structures])
    together = force_field(*graph.inputs)
    alone = [predict(force_field, atoms) for atoms in structures]
    for field in ("energy", "forces", "virial"):
        expected = torch.cat([getattr(p, field) for p in alone])
        torch.testing.assert_close(getattr(together, field), expected, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_forces_are_minus_the_energy_gradient(force_field, kind):
    atoms = random_structure(kind)
    forces = predict(force_field, atoms).forces
    step = 1e-4
    for atom, axis in ((0, 0), (1, 1), (2, 2)):
        energies = []
        for sign in (-1, 1):
            moved = atoms.copy()
            moved.positions[atom, axis] += sign * step
            energies.append(predict(force_field, moved).energy.item())
        numerical = -(energies[1] - energies[0]) / (2 * step)
        assert forces[atom, axis].item() == pytest.approx(numerical, rel=1e-6, abs=1e-7)
    assert forces.abs().max() > 1e-2


@pytest.mark.parametrize("kind", ["triclinic", "small_cell"])
def test_virial_is_minus_the_strain_gradient(force_field, kind):
    atoms = random_structure(kind)
    virial = predict(force_field, atoms).virial[0]
    step = 1e-5
    for a in range(3):
        for b in range(3):
            energies = []
            for sign in (-1, 1):
                strain = np.eye(3)
                strain[a, b] += sign * step / 2
                strain[b, a] += sign * step / 2
                strained = atoms.copy()
                strained.set_cell(atoms.cell.array @ strain, scale_atoms=True)
                energies.append(predict(force_field, strained).energy.item())
            assert virial[a, b].item() == pytest.approx(
                -(energies[1] - energies[0]) / (2 * step), rel=1e-5, abs=1e-6
            )
    assert virial.abs().max() > 1e-2


def test_smooth_at_the_cutoff(force_field):
    """The energy of a pair goes to that of isolated atoms, with zero slope, at the cutoff."""
    atoms = random_structure("molecule")[:2]
    atoms.positions = [[0, 0, 0], [4.0 - 1e-4, 0, 0]]
    inside = predict(force_field, atoms)
    atoms.positions[1, 0] = 4.0 + 1e-4
    outside = predict(force_field, atoms)
    assert inside.energy.item() == pytest.approx(outside.energy.item(), abs=1e-9)
    assert inside.forces.abs().max() < 1e-6
    assert outside.forces.abs().max() == 0.0


def test_isolated_atom_has_its_reference_energy(force_field):
    prediction = predict(force_field, random_structure("atom"))
    assert prediction.energy.item() == pytest.approx(-1.0, abs=1e-12)
    assert prediction.forces.abs().max() == 0.0


@pytest.mark.parametrize("case", on_every_backend(MODELS, DEAR, [torch.float32]))
def test_float32_agrees_with_float64(small_force_field, case):
    model, dtype, backend = case
    atoms = random_structure("triclinic")
    single, double = (small_force_field(dtype, **MODELS[model]) for dtype in (dtype, torch.float64))
    double.load_state_dict(single.state_dict())
    a, b = predict(use_kernel(single, backend), atoms), predict(double, atoms)
    assert (a.forces - b.forces).abs().max() / b.forces.abs().max() < 1e-5
    assert (a.energy - b.energy).abs().max() / len(atoms) < 1e-5


def test_loss_gradient_of_forces_reaches_every_parameter(force_field):
    force_field.train()
    prediction = predict(force_field, random_structure("triclinic"))
    (prediction.forces.square().sum() + prediction.energy.square().sum()).backward()
    untouched = [name for name, p in force_field.named_parameters() if p.requires_grad and p.grad is None]
    assert not untouched


def test_energies_are_linear_in_the_descriptors(force_field):
    """e_i = shift + scale * w . descriptor_i: what grades and last-layer variances rest on."""
    atoms = random_structure("triclinic")
    graph = build_graph(atoms, 4.0, SPECIES)
    prediction, model = force_field(*graph.inputs), force_field.model
    readout = prediction.descriptors @ model.readout.weights[-1].squeeze(1) * model.readout.factors[-1]
    expected = model.scale_shift.shifts[graph.species] + model.scale_shift.scales[graph.species] * readout
    if force_field.pair_potential is not None:
        vectors = edge_vectors(*(graph.inputs[k] for k in (0, 2, 3, 4, 5)))
        expected = expected + force_field.pair_potential(vectors, graph.species, graph.edge_index)
    torch.testing.assert_close(prediction.atomic_energies, expected, rtol=1e-12, atol=1e-12)
