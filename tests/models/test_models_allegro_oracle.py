"""Our Allegro against nequip-allegro's own, with the same weights: energies, forces, virials to rounding."""

from functools import lru_cache
from types import SimpleNamespace

import pytest
import torch
from architectures import ALLEGRO, DEAR, R_MAX
from backends import on_every_backend
from nequip_oracle import TOLERANCES, assert_same_numbers, evaluate, nequip_state, weights_of
from structures import SPECIES, random_structure

from mlip.errors import PotentialError
from mlip.interop.allegro_weights import allegro_weights
from mlip.models.allegro import AllegroConfig
from mlip.models.build import build_force_field
from mlip.models.normalization import resolve_normalization
from mlip.nn.kernels.choose import use_kernel

allegro_model = pytest.importorskip("allegro.model")


@pytest.fixture(scope="module", params=on_every_backend(ALLEGRO, DEAR, TOLERANCES))
def case(request):
    return request.param


@pytest.fixture(scope="module")
def pair(case):
    """nequip-allegro's model with random weights and ours with the same ones, on a back end."""
    name, dtype, backend = case
    theirs = build_theirs_of(name, dtype)
    return theirs, use_kernel(build_ours(theirs, ALLEGRO[name], dtype), backend)


@lru_cache(maxsize=1)
def build_theirs_of(name, dtype):
    return build_theirs(ALLEGRO[name], dtype)


def build_ours(theirs, settings, dtype):
    """Ours with the weights of theirs."""
    config = AllegroConfig(**settings)
    statistics = SimpleNamespace(species=SPECIES)  # the settings leave nothing to them
    normalization = resolve_normalization(config, statistics)
    cutoffs = normalization.edge_cutoffs if config.pair_potential else None  # as nequip's end
    ours = build_force_field(config, SPECIES, normalization, dtype, cutoffs).eval()
    ours.load_state_dict(allegro_weights(weights_of(theirs), config))
    return ours


def build_theirs(settings, dtype):
    """AllegroModel, with radial-chemical embedding and pair potential as the objects that it wants."""
    zbl = {"_target_": "nequip.nn.pair_potential.ZBL", "units": "metal", "chemical_species": SPECIES}
    numbers = settings | {"pair_potential": zbl if settings.get("pair_potential") else None}
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
        ).eval()


def compare(pair, dtype, kind):
    mine, other = evaluate(*pair, random_structure(kind, seed=3), R_MAX, SPECIES)
    assert_same_numbers(mine, other, TOLERANCES[dtype])
    return mine


@pytest.mark.parametrize("kind", ["triclinic", "small_cell", "slab", "molecule", "atom"])
def test_the_same_weights_give_the_same_numbers(pair, case, kind):
    mine = compare(pair, case[1], kind)
    assert (mine.forces.abs().max() > 1e-3) == (kind != "atom")
    assert (mine.virial.abs().max() > 1e-3) == (kind != "atom")


@pytest.mark.parametrize("perceptron", ["scalar_embed_mlp", "allegro_mlp", "readout_mlp"])
def test_nonlinearity_named_none_keeps_its_gain(perceptron):
    """YAML's None is a string: nequip then puts the gain of a nonlinearity after an identity."""
    linear = ALLEGRO["parity"] | {f"{perceptron}_nonlinearity": None, f"{perceptron}_hidden_layers_depth": 2}
    named = linear | {f"{perceptron}_nonlinearity": "None"}
    theirs = build_theirs(named, torch.float64)
    compare((theirs, build_ours(theirs, linear, torch.float64)), torch.float64, "triclinic")


def test_weights_of_another_architecture_are_refused():
    settings = ALLEGRO["parity"]
    state = weights_of(build_theirs(settings, torch.float64))
    for other in (
        {"num_tensor_features": 3},
        {"l_max": 1},
        {"num_layers": 3},
        {"tp_path_channel_coupling": False},
    ):
        with pytest.raises(PotentialError, match=r"they do not belong to this file|found no weight") as error:
            allegro_weights(state, AllegroConfig(**(settings | other)))
        assert "\n" not in str(error.value)
