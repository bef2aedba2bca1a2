"""Our Allegro against nequip-allegro's own, with the same weights: energies, forces, virials to rounding."""

from types import SimpleNamespace

import pytest
import torch
from nequip_oracle import TOLERANCES, assert_equal, evaluate, nequip_state, weights_of
from structures import SPECIES, random_structure

from mlip.interop.allegro_weights import allegro_weights
from mlip.models.allegro import AllegroConfig
from mlip.models.build import build_force_field
from mlip.models.normalization import resolve_normalization

allegro_model = pytest.importorskip("allegro.model")

R_MAX = 4.0
SETTINGS = {
    "r_max": R_MAX,
    "l_max": 2,
    "num_scalar_features": 8,
    "num_tensor_features": 4,
    "scalar_embed_mlp_hidden_layers_width": 12,
    "allegro_mlp_hidden_layers_width": 12,
    "readout_mlp_hidden_layers_width": 6,
    "avg_num_neighbors": 17.0,
    "per_type_energy_scales": dict(zip(SPECIES, (1.0, 2.0, 3.0), strict=True)),
    "per_type_energy_shifts": dict(zip(SPECIES, (-1.0, 2.0, -3.0), strict=True)),
}
ARCHITECTURES = {
    "parity": {"parity": True},
    "no parity": {"parity": False},
    "one layer": {"num_layers": 1},
    "three layers": {"num_layers": 3, "l_max": 1},  # the middle one sees 0o and 1e
    "three layers, no parity": {"num_layers": 3, "l_max": 2, "parity": False, "num_tensor_features": 3},
    "l_max 0": {"l_max": 0},
    "l_max 0, no coupling": {"l_max": 0, "tp_path_channel_coupling": False},
    "l_max 3": {"l_max": 3, "num_tensor_features": 2},
    "l_max 4": {"l_max": 4, "parity": False, "num_tensor_features": 2},
    "no coupling": {"tp_path_channel_coupling": False},
    "spline": {"radial_chemical_embed": "spline", "num_splines": 7, "spline_span": 4},
    "spline, narrow": {"radial_chemical_embed": "spline", "spline_span": 1, "radial_chemical_embed_dim": 5},
    "other embedding": {
        "radial_chemical_embed_dim": 10,
        "num_bessels": 5,
        "bessel_trainable": True,
        "polynomial_cutoff_p": 8,
    },
    "mish and gelu": {
        "scalar_embed_mlp_nonlinearity": "mish",
        "scalar_embed_mlp_hidden_layers_depth": 2,
        "allegro_mlp_nonlinearity": "gelu",
        "allegro_mlp_hidden_layers_depth": 2,
        "readout_mlp_nonlinearity": "mish",
    },
    "no nonlinearity": {
        "scalar_embed_mlp_nonlinearity": None,
        "allegro_mlp_nonlinearity": None,
        "allegro_mlp_hidden_layers_depth": 2,
        "readout_mlp_nonlinearity": None,
    },
    "no hidden layers": {
        "scalar_embed_mlp_hidden_layers_depth": 0,
        "allegro_mlp_hidden_layers_depth": 0,
        "readout_mlp_hidden_layers_depth": 0,
    },
    "deep readout": {"readout_mlp_hidden_layers_depth": 3},
    "per species": {
        "avg_num_neighbors": {"Li": 9.0, "P": 17.0, "S": 25.0},
        "per_type_energy_scales_trainable": True,
        "per_type_energy_shifts_trainable": True,
    },
    "cutoffs per pair": {"per_edge_type_cutoff": {"Li": 3.1, "S": {"P": 2.7, "S": 3.8}}},
    "spline with cutoffs per pair": {
        "radial_chemical_embed": "spline",
        "per_edge_type_cutoff": {"P": {"Li": 3.1}, "S": 3.5},
    },
}


@pytest.fixture(scope="module", params=ARCHITECTURES, ids=list(ARCHITECTURES))
def settings(request):
    return SETTINGS | ARCHITECTURES[request.param]


@pytest.fixture(scope="module", params=TOLERANCES, ids=str)
def dtype(request):
    return request.param


@pytest.fixture(scope="module")
def pair(settings, dtype):
    """nequip-allegro's model with random weights and ours with the same ones."""
    return build_pair(settings, settings, dtype)


def build_pair(settings, their_settings, dtype):
    theirs = build_theirs(their_settings, dtype).eval()
    config = AllegroConfig(**settings)
    statistics = SimpleNamespace(species=SPECIES)  # the settings leave nothing to them
    ours = build_force_field(config, SPECIES, resolve_normalization(config, statistics), dtype).eval()
    ours.load_state_dict(allegro_weights(weights_of(theirs), config))
    return theirs, ours


def build_theirs(settings, dtype):
    """AllegroModel, with the radial-chemical embedding as the object that it wants."""
    numbers = dict(settings)
    kind = numbers.pop("radial_chemical_embed", "bessel")
    options = {
        "bessel": ("num_bessels", "bessel_trainable", "polynomial_cutoff_p"),
        "spline": ("num_splines", "spline_span"),
    }[kind]
    embedding = {"_target_": f"allegro.nn.TwoBody{kind.title()}ScalarEmbed"}
    embedding |= {name: numbers.pop(name) for name in options if name in numbers}
    with nequip_state():
        return allegro_model.AllegroModel(
            seed=1,
            model_dtype=str(dtype).removeprefix("torch."),
            type_names=list(SPECIES),
            radial_chemical_embed=embedding,
            **numbers,
        )


def assert_same_numbers(pair, dtype, kind):
    mine, other = evaluate(*pair, random_structure(kind, seed=3), R_MAX, SPECIES)
    tolerance = TOLERANCES[dtype]
    assert_equal(mine.energy, other["total_energy"].view(-1), tolerance)
    assert_equal(mine.atomic_energies, other["atomic_energy"].view(-1), tolerance)
    assert_equal(mine.forces, other["forces"], tolerance)
    assert_equal(mine.virial, other["virial"], tolerance)
    return mine


@pytest.mark.parametrize("kind", ["triclinic", "small_cell", "slab", "molecule", "atom"])
def test_the_same_weights_give_the_same_numbers(pair, dtype, kind):
    mine = assert_same_numbers(pair, dtype, kind)
    assert (mine.forces.abs().max() > 1e-3) == (kind != "atom")
    assert (mine.virial.abs().max() > 1e-3) == (kind != "atom")


@pytest.mark.parametrize("perceptron", ["scalar_embed_mlp", "allegro_mlp", "readout_mlp"])
def test_nonlinearity_named_none_keeps_its_gain(perceptron):
    """YAML's None is a string: nequip then puts the gain of a nonlinearity after an identity."""
    linear = SETTINGS | {f"{perceptron}_nonlinearity": None, f"{perceptron}_hidden_layers_depth": 2}
    theirs = linear | {f"{perceptron}_nonlinearity": "None"}
    assert_same_numbers(build_pair(linear, theirs, torch.float64), torch.float64, "triclinic")
