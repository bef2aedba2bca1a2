"""The compiled back end gives the reference's numbers, in evaluation and in training, for any sizes."""

import copy
import logging

import pytest
import torch
from architectures import ALLEGRO, NEQUIP, R_MAX
from structures import SPECIES, random_structure

from mlip.data.graph import build_graph, collate
from mlip.errors import ConfigError
from mlip.models.allegro import AllegroConfig
from mlip.models.build import build_force_field
from mlip.models.nequip import NequIPConfig
from mlip.models.normalization import resolve_normalization
from mlip.nn.kernels.choose import resolve_kernel, use_kernel

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}
PAIR_CUTOFFS = ((2.4, 2.2, 2.0), (2.2, 2.5, 2.0), (2.0, 2.0, 2.6))
MODELS = {
    "smallest": NequIPConfig(**NEQUIP["one layer"] | {"l_max": 0, "num_features": 2}),
    "nequip, parity": NequIPConfig(**NEQUIP["parity"] | {"num_features": 2}),
    "nequip, repulsion": NequIPConfig(**NEQUIP["repulsion with cutoffs per pair"]),
    "allegro, repulsion": AllegroConfig(**ALLEGRO["spline with repulsion"]),
    "allegro, mish and gelu": AllegroConfig(**ALLEGRO["mish and gelu"] | {"num_layers": 1, "l_max": 1}),
}


class Known:
    """Statistics of data that nobody needs here but for their species."""

    species = SPECIES


def build(name, dtype):
    torch.manual_seed(0)
    config = MODELS[name]
    cutoffs = PAIR_CUTOFFS if config.pair_potential else None
    return build_force_field(config, SPECIES, resolve_normalization(config, Known()), dtype, cutoffs)


def batches():
    """From many to one: several structures; one; one atom without neighbors."""
    kinds = ("triclinic", "slab", "molecule", "small_cell")
    graphs = [build_graph(random_structure(kind, seed), R_MAX, SPECIES) for seed, kind in enumerate(kinds)]
    atom = build_graph(random_structure("atom"), R_MAX, SPECIES)
    return collate(graphs), graphs[3], atom


def assert_close(found, expected, dtype=torch.float64):
    """To the rounding of the model's dtype; energies are float64 in any."""
    assert found.shape == expected.shape
    if not expected.numel():
        return
    scale = max(float(expected.detach().abs().max()), 0.1)
    assert found.dtype == expected.dtype
    assert found.requires_grad == expected.requires_grad
    assert (found - expected).abs().max() <= TOLERANCE[dtype] * scale


def loss(prediction):
    """Of every field, and linear in none."""
    return sum(field.double().square().sum() for field in prediction)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_evaluation_agrees_with_the_reference(name, dtype):
    reference = build(name, dtype).eval()
    compiled = use_kernel(reference, "compiled")
    assert list(compiled.state_dict()) == list(reference.state_dict())
    with torch._dynamo.config.patch(error_on_recompile=True):
        for graph in batches():
            for found, expected in zip(compiled(*graph.inputs), reference(*graph.inputs), strict=True):
                assert_close(found, expected, dtype)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_training_agrees_with_the_reference(name, dtype, caplog):
    reference = build(name, dtype)
    compiled = use_kernel(reference, "compiled")
    with caplog.at_level(logging.INFO), torch._dynamo.config.patch(error_on_recompile=True):
        for graph in batches():
            check_training(compiled, reference, graph, dtype)
        with torch.no_grad():
            reference.model.readout.weights[-1].mul_(2.0)
        check_training(compiled, reference, batches()[0], dtype)
    assert caplog.text.count("minutes") == 1


def check_training(compiled, reference, graph, dtype):
    """Predictions and the gradients of a loss in all weights."""
    results = compiled(*graph.inputs), reference(*graph.inputs)
    for found, expected in zip(*results, strict=True):
        assert_close(found, expected, dtype)
    weights = [weight for weight in reference.parameters() if weight.requires_grad]
    gradients = [torch.autograd.grad(loss(result), weights, materialize_grads=True) for result in results]
    for found, expected in zip(*gradients, strict=True):
        assert_close(found, expected, dtype)


@pytest.mark.slow
def test_copies_have_weights_of_their_own():
    reference = build("smallest", torch.float64).eval()
    graph = batches()[0]
    compiled = use_kernel(reference, "compiled")
    before = compiled(*graph.inputs)
    twin = copy.deepcopy(compiled)
    with torch.no_grad():
        reference.model.readout.weights[-1].mul_(2.0)
    assert_close(compiled(*graph.inputs).forces, 2.0 * before.forces)
    assert_close(twin(*graph.inputs).forces, before.forces)


def test_without_a_compiler_it_says_so(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigError, match="kernel=reference"):
        resolve_kernel("compiled", torch.device("cpu"))
