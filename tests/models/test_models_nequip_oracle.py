"""Our NequIP against nequip's own, with the same weights: energies, forces and virials to rounding."""

from functools import lru_cache
from types import SimpleNamespace

import pytest
from architectures import DEAR, NEQUIP, R_MAX
from backends import on_every_backend
from nequip_oracle import TOLERANCES, assert_same_numbers, evaluate, nequip_state, weights_of
from structures import SPECIES, random_structure

from mlip.interop.nequip_weights import nequip_weights
from mlip.models.build import build_force_field
from mlip.models.nequip import NequIPConfig
from mlip.models.normalization import resolve_normalization
from mlip.nn.kernels.choose import use_kernel

nequip_model = pytest.importorskip("nequip.model")


@pytest.fixture(scope="module", params=on_every_backend(NEQUIP, DEAR, TOLERANCES))
def case(request):
    return request.param


@pytest.fixture(scope="module")
def pair(case):
    """nequip's model with random weights and ours with the same ones, on a back end."""
    name, dtype, backend = case
    theirs = build_theirs(name, dtype)
    config = NequIPConfig(**NEQUIP[name])
    statistics = SimpleNamespace(species=SPECIES)  # the settings leave nothing to them
    normalization = resolve_normalization(config, statistics)
    cutoffs = normalization.edge_cutoffs if config.pair_potential else None  # as nequip's end
    ours = build_force_field(config, SPECIES, normalization, dtype, cutoffs).eval()
    ours.load_state_dict(nequip_weights(weights_of(theirs), config))
    return theirs, use_kernel(ours, backend)


@lru_cache(maxsize=1)
def build_theirs(name, dtype):
    """NequIPGNNModel, with the pair potential as the object that it wants."""
    settings = NEQUIP[name]
    zbl = {"_target_": "nequip.nn.pair_potential.ZBL", "units": "metal", "chemical_species": SPECIES}
    with nequip_state():
        return nequip_model.NequIPGNNModel(
            seed=1,
            model_dtype=str(dtype).removeprefix("torch."),
            type_names=list(SPECIES),
            **(settings | {"pair_potential": zbl if settings.get("pair_potential") else None}),
        ).eval()


@pytest.mark.parametrize("kind", ["triclinic", "small_cell", "slab", "molecule", "atom"])
def test_the_same_weights_give_the_same_numbers(pair, case, kind):
    mine, other = evaluate(*pair, random_structure(kind, seed=3), R_MAX, SPECIES)
    assert_same_numbers(mine, other, TOLERANCES[case[1]])
    assert (mine.forces.abs().max() > 1e-3) == (kind != "atom")
    assert (mine.virial.abs().max() > 1e-3) == (kind != "atom")
