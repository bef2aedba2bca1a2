"""Our NequIP against nequip's own, with the same weights: energies, forces and virials to rounding."""

from types import SimpleNamespace

import pytest
from architectures import NEQUIP, R_MAX
from nequip_oracle import TOLERANCES, assert_same_numbers, evaluate, nequip_state, weights_of
from structures import SPECIES, random_structure

from mlip.interop.nequip_weights import nequip_weights
from mlip.models.build import build_force_field
from mlip.models.nequip import NequIPConfig
from mlip.models.normalization import resolve_normalization

nequip_model = pytest.importorskip("nequip.model")


@pytest.fixture(scope="module", params=NEQUIP, ids=list(NEQUIP))
def settings(request):
    return NEQUIP[request.param]


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
    cutoffs = normalization.edge_cutoffs if config.pair_potential else None  # as nequip's end
    ours = build_force_field(config, SPECIES, normalization, dtype, cutoffs).eval()
    ours.load_state_dict(nequip_weights(weights_of(theirs), config))
    return theirs, ours


def build_theirs(settings, dtype):
    """NequIPGNNModel, with the pair potential as the object that it wants."""
    zbl = {"_target_": "nequip.nn.pair_potential.ZBL", "units": "metal", "chemical_species": SPECIES}
    with nequip_state():
        return nequip_model.NequIPGNNModel(
            seed=1,
            model_dtype=str(dtype).removeprefix("torch."),
            type_names=list(SPECIES),
            **(settings | {"pair_potential": zbl if settings.get("pair_potential") else None}),
        )


@pytest.mark.parametrize("kind", ["triclinic", "small_cell", "slab", "molecule", "atom"])
def test_the_same_weights_give_the_same_numbers(pair, dtype, kind):
    mine, other = evaluate(*pair, random_structure(kind, seed=3), R_MAX, SPECIES)
    assert_same_numbers(mine, other, TOLERANCES[dtype])
    assert (mine.forces.abs().max() > 1e-3) == (kind != "atom")
    assert (mine.virial.abs().max() > 1e-3) == (kind != "atom")
