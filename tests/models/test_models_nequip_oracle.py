"""Our NequIP against nequip's own, with the same weights: energies, forces and virials to rounding."""

import numpy as np
import pytest
import torch
from structures import SPECIES, random_structure

from mlip.data.graph import build_graph
from mlip.models.build import build_force_field
from mlip.models.nequip import NequIPConfig

nequip_model = pytest.importorskip("nequip.model")

R_MAX, AVG_NUM_NEIGHBORS = 4.0, 17.0
SCALES, SHIFTS = (1.0, 2.0, 3.0), (-1.0, 2.0, -3.0)
ARCHITECTURES = {
    "no parity": {"num_layers": 3, "l_max": 2, "parity": False, "num_features": 4},
    "parity": {"num_layers": 2, "l_max": 2, "parity": True, "num_features": 4},
    "parity, three layers": {"num_layers": 3, "l_max": 1, "parity": True, "num_features": 3},
    "deep radial": {"num_layers": 2, "l_max": 1, "parity": True, "num_features": 4, "radial_mlp_depth": 2},
    "channels per l": {"num_layers": 3, "l_max": 3, "parity": True, "num_features": [4, 3, 2, 5]},
    "l_max 0": {"num_layers": 2, "l_max": 0, "parity": False, "num_features": 4},
    "own embedding": {"num_layers": 2, "l_max": 1, "num_features": 4, "type_embed_num_features": 6},
    "other basis": {
        "num_layers": 2,
        "l_max": 1,
        "num_features": 4,
        "num_bessels": 5,
        "polynomial_cutoff_p": 4,
    },
}


@pytest.fixture(scope="module")
def state_of_nequip():
    """nequip sets the default dtype of torch for the whole process; other tests must not see it."""
    from nequip.utils.global_state import set_global_state

    before = torch.get_default_dtype()
    set_global_state()
    yield
    torch.set_default_dtype(before)


@pytest.fixture(scope="module", params=ARCHITECTURES, ids=list(ARCHITECTURES))
def pair(request, state_of_nequip):
    """nequip's model with random weights and ours with the same ones."""
    settings = {"radial_mlp_width": 16, "r_max": R_MAX, **ARCHITECTURES[request.param]}
    theirs = nequip_model.NequIPGNNModel(
        seed=1,
        model_dtype="float64",
        type_names=list(SPECIES),
        avg_num_neighbors=AVG_NUM_NEIGHBORS,
        per_type_energy_scales=dict(zip(SPECIES, SCALES, strict=True)),
        per_type_energy_shifts=dict(zip(SPECIES, SHIFTS, strict=True)),
        **settings,
    ).eval()
    config = NequIPConfig(**settings)
    ours = build_force_field(config, len(SPECIES), AVG_NUM_NEIGHBORS, SCALES, SHIFTS, torch.float64).eval()
    copy_weights(theirs.state_dict(), ours.model)
    return theirs, ours


def copy_weights(state, model):
    """Put each weight of nequip's state dict where it stands in ours; none may be left over on our side."""
    taken = set()

    def put(parameter, suffix):
        (name,) = [name for name in state if name.endswith(suffix)]
        assert parameter.numel() == state[name].numel(), suffix
        parameter.data.copy_(state[name].reshape(parameter.shape))
        taken.add(id(parameter))

    put(model.species_embedding, "type_embed.embed_module.weight")
    for index, layer in enumerate(model.layers):
        convolution = f"layer{index}_convnet.conv."
        put(layer.linear_before.weight, f"{convolution}linear_1.weight")
        put(layer.linear_after.weight, f"{convolution}linear_2.weight")
        if layer.self_connection is not None:
            put(layer.self_connection.weight, f"{convolution}sc.weight")
        radial = [name for name in state if f"{convolution}edge_mlp" in name]
        for parameter, name in zip(layer.radial_mlp.weights, radial, strict=True):
            put(parameter, name)
    put(model.readout.weights[0], "per_atom_energy_readout.mlp_module.mlp.0.weight")
    assert taken == {id(parameter) for parameter in model.parameters() if parameter.requires_grad}


def evaluate(theirs, ours, atoms):
    graph = build_graph(atoms, R_MAX, SPECIES)
    mine = ours(*graph.inputs)
    cell = graph.cell if bool(graph.cell.any()) else torch.eye(3, dtype=torch.float64).unsqueeze(0)
    other = theirs(
        {
            "pos": graph.positions,
            "edge_index": graph.edge_index,
            "edge_cell_shift": graph.edge_shift,
            "cell": cell,
            "pbc": torch.tensor(np.array([atoms.pbc])),
            "atom_types": graph.species,
            "batch": graph.batch,
            "num_atoms": graph.num_atoms,
        }
    )
    return mine, other


def assert_equal_to_rounding(mine, theirs):
    """Within 1e-10 of the largest number."""
    assert mine.shape == theirs.shape
    assert (mine - theirs).abs().max() <= 1e-10 * theirs.abs().max()


@pytest.mark.parametrize("kind", ["triclinic", "small_cell", "slab", "molecule", "atom"])
def test_the_same_weights_give_the_same_numbers(pair, kind):
    mine, other = evaluate(*pair, random_structure(kind, seed=3))
    assert_equal_to_rounding(mine.energy, other["total_energy"].view(-1))
    assert_equal_to_rounding(mine.atomic_energies, other["atomic_energy"].view(-1))
    assert_equal_to_rounding(mine.forces, other["forces"])
    assert_equal_to_rounding(mine.virial, other["virial"])
    assert (mine.forces.abs().max() > 1e-3) == (kind != "atom")
    assert (mine.virial.abs().max() > 1e-3) == (kind != "atom")
