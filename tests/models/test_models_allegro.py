"""Allegro's architecture: which irreps its layers carry, how far it sees, which numbers it refuses."""

import pytest
import torch
from structures import SPECIES, random_structure

from mlip.data.graph import build_graph
from mlip.errors import ConfigError
from mlip.models.allegro import AllegroConfig


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"num_layers": 1, "l_max": 2}, ["0e+1o+2e", "0e"]),
        # Only natural parity gives a scalar with harmonics, so the layer before the last keeps that alone.
        ({"num_layers": 2, "l_max": 1}, ["0e+1o", "0e+1o", "0e"]),
        ({"num_layers": 3, "l_max": 1}, ["0e+1o", "0e+1e+1o", "0e+1o", "0e"]),
        # 0o comes from 1e x 1o, and must become 1e and 1o again before it counts.
        ({"num_layers": 5, "l_max": 1}, ["0e+1o", "0e+1e+1o", "0e+0o+1e+1o", "0e+1e+1o", "0e+1o", "0e"]),
        ({"num_layers": 3, "l_max": 1, "parity": False}, ["0e+1o", "0e+1o", "0e+1o", "0e"]),
        ({"num_layers": 2, "l_max": 0}, ["0e", "0e", "0e"]),
    ],
)
def test_layers_carry_what_is_reached_and_leads_to_scalars(settings, expected):
    found = AllegroConfig(**settings).tensor_irreps
    assert [[str(ir) for _, ir in irreps] for irreps in found] == [text.split("+") for text in expected]


def test_an_atom_feels_only_its_own_neighbors(small_force_field):
    """Strictly local: the energy of an atom does not change with edges between other atoms, in any layer."""
    model = small_force_field(architecture="allegro", num_layers=3, l_max=1).model
    graph = build_graph(random_structure("triclinic"), 4.0, SPECIES)
    edge_vec = torch.randn(graph.edge_index.shape[1], 3, dtype=torch.float64, requires_grad=True)
    energies, _ = model(edge_vec, graph.species, graph.edge_index)
    (gradient,) = torch.autograd.grad(energies[0], edge_vec)
    own = graph.edge_index[0] == 0
    assert not gradient[~own].any()
    assert gradient[own].abs().max() > 0.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_scalar_features": 0}, "num_scalar_features=0; expected a positive number"),
        ({"num_tensor_features": -1}, "num_tensor_features=-1; expected a positive number"),
        ({"num_layers": 0}, "num_layers=0"),
        ({"l_max": 5}, "l_max=5; expected 0 to 4"),
        ({"radial_chemical_embed": "gauss"}, "radial_chemical_embed=gauss; expected bessel or spline"),
        ({"radial_chemical_embed_dim": 7}, "expected an even number"),
        ({"num_scalar_features": 5}, "expected an even number"),
        ({"spline_span": 17}, "spline_span=17; expected at most model.num_splines=16"),
        ({"spline_span": 0}, "spline_span=0; expected a positive number"),
        ({"num_splines": 0}, "num_splines=0; expected a positive number"),
        ({"scalar_embed_mlp_hidden_layers_depth": -1}, "expected 0 or more"),
        ({"allegro_mlp_hidden_layers_width": 0}, "expected a positive number"),
        ({"allegro_mlp_nonlinearity": "relu"}, "allegro_mlp_nonlinearity=relu; expected one of silu"),
        ({"readout_mlp_nonlinearity": "relu"}, "readout_mlp_nonlinearity=relu; expected one of silu"),
    ],
)
def test_senseless_numbers_are_refused_in_one_line(settings, message):
    with pytest.raises(ConfigError) as error:
        AllegroConfig(**settings)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_an_odd_spline_embedding_is_fine():
    assert AllegroConfig(radial_chemical_embed="spline", radial_chemical_embed_dim=7).embedding_dim == 7
