"""Edges longer than the cutoff add nothing: the candidates of a Verlet list may stand for the edges."""

import pytest
import torch
from structures import SPECIES, random_structure, shared_numbers

from mlip.data.graph import build_graph
from mlip.data.verlet import VerletList

PAIR_CUTOFFS = ((2.4, 2.2, 2.0), (2.2, 2.5, 2.0), (2.0, 2.0, 2.6))
MODELS = {
    "nequip": {"architecture": "nequip", "pair_potential": "zbl"},
    "repulsion": {"architecture": "nequip", "pair_potential": "repulsion"},
    "cutoffs per pair": {"architecture": "nequip", "per_edge_type_cutoff": {"Li": 3.1}},
    "allegro": {"architecture": "allegro"},
    "spline": {"architecture": "allegro", "radial_chemical_embed": "spline"},
}


@pytest.mark.parametrize("name", MODELS)
def test_candidates_give_what_the_edges_give(name, small_force_field):
    settings = MODELS[name]
    cutoffs = PAIR_CUTOFFS if "pair_potential" in settings else None
    force_field = small_force_field(pair_cutoffs=cutoffs, **settings)
    graph = build_graph(random_structure("triclinic"), 4.0, SPECIES)
    pbc = torch.ones(1, 3, dtype=torch.bool)
    candidates = VerletList.build(graph, pbc, 4.0, None, margin=1.0, skin=1.0).graph
    assert candidates.edge_index.shape[1] > graph.edge_index.shape[1]
    both = (shared_numbers(force_field(*each.inputs)) for each in (candidates, graph))
    for found, expected in zip(*both, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)
