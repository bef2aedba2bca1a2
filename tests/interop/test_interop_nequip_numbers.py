"""`mlip import` against nequip: the same energies, forces, stress from checkpoints of all architectures."""

from types import SimpleNamespace

import pytest
import torch
from architectures import ALLEGRO, NEQUIP, R_MAX
from interop.nequip_checkpoints import (
    evaluate_nequip,
    evaluation_model,
    in_our_order,
    nequip_arguments,
    save_checkpoint,
    training_module,
)
from nequip_oracle import TOLERANCES
from structures import SPECIES, random_structure

from mlip.data.graph import build_graph
from mlip.interop.nequip import import_nequip

pytest.importorskip("nequip.model")
pytest.importorskip("allegro.model")

KINDS = ["triclinic", "slab", "molecule", "atom"]
MODELS = {f"nequip, {name}": settings for name, settings in NEQUIP.items()}
MODELS |= {f"allegro, {name}": settings for name, settings in ALLEGRO.items()}
MODELS |= {
    "nequip, one number for all": NEQUIP["parity"]
    | {"per_type_energy_scales": 1.7, "per_type_energy_shifts": -2.5, "r_max": 4},
    "nequip, no scales and shifts": NEQUIP["parity"]
    | {"per_type_energy_scales": None, "per_type_energy_shifts": None},
    "nequip, one trained number": NEQUIP["parity"]
    | {"per_type_energy_scales": 1.7, "per_type_energy_scales_trainable": True},
    "nequip, readout without nonlinearity in text": NEQUIP["linear deep readout"]
    | {"readout_mlp_nonlinearity": "None", "readout_mlp_hidden_layers_depth": 2},
    "allegro, no nonlinearity in text": ALLEGRO["deep readout"] | {"readout_mlp_nonlinearity": "None"},
    "allegro, repulsion": ALLEGRO["parity"] | {"pair_potential": "zbl"},
}


@pytest.fixture(
    scope="module",
    params=[torch.float64, pytest.param(torch.float32, marks=pytest.mark.slow)],
    ids=str,
)
def dtype(request):
    return request.param


@pytest.fixture(scope="module", params=MODELS, ids=list(MODELS))
def imported(request, dtype, tmp_path_factory):
    """nequip's model, and the potential from its checkpoint; every second one has averaged weights."""
    arguments = nequip_arguments(MODELS[request.param], str(dtype).removeprefix("torch."))
    module = training_module(arguments, ema=list(MODELS).index(request.param) % 2 == 0)
    path = save_checkpoint(module, tmp_path_factory.mktemp("checkpoint") / "last.ckpt")
    return SimpleNamespace(theirs=evaluation_model(module), potential=import_nequip(path), dtype=dtype)


def assert_same(mine, theirs, tolerance):
    """Within the tolerance of the largest number."""
    assert mine.shape == theirs.shape
    assert (mine - theirs).abs().max() <= tolerance * theirs.abs().max()


@pytest.mark.parametrize("kind", KINDS)
def test_imported_potentials_give_the_numbers_of_nequip(imported, kind):
    atoms = random_structure(kind, seed=3)
    cutoffs = imported.potential.normalization.edge_cutoffs
    mine = imported.potential.force_field()(*build_graph(atoms, R_MAX, SPECIES, cutoffs).inputs)
    graph = build_graph(atoms, R_MAX, SPECIES)
    theirs = evaluate_nequip(imported.theirs, graph, atoms.pbc, in_our_order(graph.species))
    tolerance = TOLERANCES[imported.dtype]
    assert_same(mine.energy, theirs["total_energy"].view(-1), tolerance)
    assert_same(mine.atomic_energies, theirs["atomic_energy"].view(-1), tolerance)
    assert_same(mine.forces, theirs["forces"], tolerance)
    assert_same(mine.virial, theirs["virial"], tolerance)
    if atoms.pbc.any():
        assert_same(-mine.virial / atoms.get_volume(), theirs["stress"], tolerance)
    assert (mine.forces.abs().max() > 1e-3) == (kind != "atom")
