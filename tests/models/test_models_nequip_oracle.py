"""Our NequIP against nequip's own, with the same weights: energies, forces and virials to rounding."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from structures import SPECIES, random_structure

from mlip.data.graph import build_graph
from mlip.interop.nequip_weights import nequip_weights
from mlip.models.build import build_force_field
from mlip.models.nequip import NequIPConfig
from mlip.models.normalization import resolve_normalization

nequip_model = pytest.importorskip("nequip.model")

R_MAX = 4.0
SETTINGS = {
    "r_max": R_MAX,
    "radial_mlp_width": 16,
    "avg_num_neighbors": 17.0,
    "per_type_energy_scales": dict(zip(SPECIES, (1.0, 2.0, 3.0), strict=True)),
    "per_type_energy_shifts": dict(zip(SPECIES, (-1.0, 2.0, -3.0), strict=True)),
}
ARCHITECTURES = {
    "no parity": {"num_layers": 3, "l_max": 2, "parity": False, "num_features": 4},
    "parity": {"num_layers": 2, "l_max": 2, "parity": True, "num_features": 4},
    "parity, three layers": {"num_layers": 3, "l_max": 1, "parity": True, "num_features": 3},
    "deep radial": {"num_layers": 2, "l_max": 1, "parity": True, "num_features": 4, "radial_mlp_depth": 2},
    "no radial perceptron": {"num_layers": 2, "l_max": 1, "num_features": 4, "radial_mlp_depth": 0},
    "channels per l": {"num_layers": 3, "l_max": 3, "parity": True, "num_features": [4, 3, 2, 5]},
    "l_max 0": {"num_layers": 2, "l_max": 0, "parity": False, "num_features": 4},
    "l_max 4": {"num_layers": 2, "l_max": 4, "parity": False, "num_features": [4, 3, 2, 1, 1]},
    "one layer": {"num_layers": 1, "l_max": 1, "num_features": 4},
    "own embedding": {"num_layers": 2, "l_max": 1, "num_features": 4, "type_embed_num_features": 6},
    "other basis": {
        "num_layers": 2,
        "l_max": 1,
        "num_features": 4,
        "num_bessels": 5,
        "polynomial_cutoff_p": 4,
        "bessel_trainable": True,
    },
    "deep readout": {
        "num_layers": 2,
        "num_features": 4,
        "readout_mlp_hidden_layers_depth": 2,
        "readout_mlp_hidden_layers_width": 5,
        "readout_mlp_nonlinearity": "mish",
    },
    "linear deep readout": {
        "num_layers": 2,
        "num_features": 4,
        "readout_mlp_hidden_layers_depth": 1,
        "readout_mlp_nonlinearity": None,
    },
    "gelu readout": {
        "num_layers": 2,
        "num_features": 4,
        "readout_mlp_hidden_layers_depth": 1,
        "readout_mlp_nonlinearity": "gelu",
    },
    "per species": {
        "num_layers": 3,
        "num_features": 4,
        "avg_num_neighbors": {"Li": 9.0, "P": 17.0, "S": 25.0},
        "per_type_energy_scales_trainable": True,
        "per_type_energy_shifts_trainable": True,
    },
    "cutoffs per pair": {
        "num_layers": 2,
        "l_max": 2,
        "num_features": 4,
        "per_edge_type_cutoff": {"Li": 3.1, "S": {"P": 2.7, "S": 3.8}},
    },
    "repulsion": {"num_layers": 2, "num_features": 4, "pair_potential": "zbl"},
    "repulsion with cutoffs per pair": {
        "num_layers": 2,
        "num_features": 4,
        "pair_potential": "zbl",
        "per_edge_type_cutoff": {"Li": 3.1},
    },
}
# Largest difference over the largest number.
TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-5}


@pytest.fixture(scope="module", params=ARCHITECTURES, ids=list(ARCHITECTURES))
def settings(request):
    return SETTINGS | ARCHITECTURES[request.param]


@pytest.fixture(scope="module", params=TOLERANCES, ids=str)
def dtype(request):
    return request.param


@pytest.fixture(scope="module")
def pair(settings, dtype):
    """nequip's model with random weights and ours with the same ones."""
    theirs = build_theirs(settings, dtype).eval()
    config = NequIPConfig(**settings)
    statistics = SimpleNamespace(species=SPECIES)  # the settings leave nothing to them
    normalization = resolve_normalization(config, statistics)
    cutoffs = normalization.edge_cutoffs if config.pair_potential else None  # nequip's end where the model's do
    ours = build_force_field(config, SPECIES, normalization, dtype, cutoffs).eval()
    state = {name.removeprefix("model.func."): tensor for name, tensor in theirs.state_dict().items()}
    ours.load_state_dict(nequip_weights(state, config))
    return theirs, ours


def build_theirs(settings, dtype):
    """nequip sets the default dtype of torch for the whole process; other tests must not see it."""
    from nequip.utils.global_state import set_global_state

    pair_potential = {"_target_": "nequip.nn.pair_potential.ZBL", "units": "metal", "chemical_species": SPECIES}
    chosen = pair_potential if settings.get("pair_potential") else None
    before = torch.get_default_dtype()
    try:
        set_global_state()
        return nequip_model.NequIPGNNModel(
            seed=1,
            model_dtype=str(dtype).removeprefix("torch."),
            type_names=list(SPECIES),
            **(settings | {"pair_potential": chosen}),
        )
    finally:
        torch.set_default_dtype(before)


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


def assert_equal(mine, theirs, tolerance):
    assert mine.shape == theirs.shape
    assert (mine - theirs).abs().max() <= tolerance * theirs.abs().max()


@pytest.mark.parametrize("kind", ["triclinic", "small_cell", "slab", "molecule", "atom"])
def test_the_same_weights_give_the_same_numbers(pair, dtype, kind):
    mine, other = evaluate(*pair, random_structure(kind, seed=3))
    tolerance = TOLERANCES[dtype]
    assert_equal(mine.energy, other["total_energy"].view(-1), tolerance)
    assert_equal(mine.atomic_energies, other["atomic_energy"].view(-1), tolerance)
    assert_equal(mine.forces, other["forces"], tolerance)
    assert_equal(mine.virial, other["virial"], tolerance)
    assert (mine.forces.abs().max() > 1e-3) == (kind != "atom")
    assert (mine.virial.abs().max() > 1e-3) == (kind != "atom")
