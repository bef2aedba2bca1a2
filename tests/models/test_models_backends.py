"""Every back end against the reference with the same weights: predictions, gradients of a loss of forces."""

from types import SimpleNamespace

import pytest
import torch
from architectures import ALLEGRO, DEAR, NEQUIP, R_MAX
from backends import BACKENDS, on_every_backend
from structures import SPECIES, random_structure, shared_numbers

from mlip.data.graph import build_graph, collate
from mlip.models.allegro import AllegroConfig
from mlip.models.build import build_force_field
from mlip.models.nequip import NequIPConfig
from mlip.models.normalization import resolve_normalization
from mlip.nn.kernels.choose import use_kernel

CONFIGS = {f"nequip, {name}": NequIPConfig(**settings) for name, settings in NEQUIP.items()}
CONFIGS |= {f"allegro, {name}": AllegroConfig(**settings) for name, settings in ALLEGRO.items()}
DEAR_CONFIGS = [name for name in CONFIGS if name.partition(", ")[2] in DEAR]
CASES = [
    case
    for case in on_every_backend(CONFIGS, DEAR_CONFIGS, (torch.float64, torch.float32))
    if case.values[0][2] != "reference"
]
# Largest difference over the largest number, of predictions and of gradients.
TOLERANCES = {torch.float64: (1e-11, 1e-10), torch.float32: (1e-5, 1e-4)}
KINDS = ("triclinic", "small_cell", "slab", "molecule", "atom")


def build(name, dtype):
    torch.manual_seed(0)
    config = CONFIGS[name]
    normalization = resolve_normalization(config, SimpleNamespace(species=SPECIES))
    cutoffs = normalization.edge_cutoffs if config.pair_potential else None
    return build_force_field(config, SPECIES, normalization, dtype, cutoffs)


def batch():
    return collate([build_graph(random_structure(kind, 3), R_MAX, SPECIES) for kind in KINDS])


def assert_close(found, expected, tolerance):
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    assert (found - expected).abs().max() <= tolerance * max(expected.abs().max(), 0.1)


def gradients(force_field, graph):
    """Of a loss of energies, forces and virials by every parameter."""
    prediction = force_field(*graph.inputs)
    loss = sum(t.square().sum() for t in (prediction.energy, prediction.forces, prediction.virial))
    trained = {name: p for name, p in force_field.named_parameters() if p.requires_grad}
    return dict(zip(trained, torch.autograd.grad(loss, list(trained.values())), strict=True))


@pytest.mark.parametrize("case", CASES)
def test_predictions_and_gradients_are_those_of_the_reference(case):
    name, dtype, backend = case
    reference, ours = build(name, dtype), use_kernel(build(name, dtype), backend)
    assert list(ours.state_dict()) == list(reference.state_dict())
    graph = batch()
    for mine, other in zip(
        *(shared_numbers(f.eval()(*graph.inputs)) for f in (ours, reference)), strict=True
    ):
        assert_close(mine, other, TOLERANCES[dtype][0])
    mine, other = gradients(ours.train(), graph), gradients(reference.train(), graph)
    for parameter, gradient in other.items():
        assert_close(mine[parameter], gradient, TOLERANCES[dtype][1])


@pytest.mark.parametrize("case", CASES)
def test_trained_weights_that_take_no_gradients(case):
    """As potentials compute: no weight has the value that it starts with, none is differentiated by."""
    name, dtype, backend = case
    found = []
    for kernel in (backend, "reference"):
        force_field = build(name, dtype).eval().requires_grad_(False)
        noise = torch.Generator().manual_seed(1)
        for parameter in force_field.parameters():
            change = torch.randn(parameter.shape, generator=noise, dtype=torch.float64)
            parameter.mul_(1.0 + 0.1 * change.to(dtype))
        found.append(shared_numbers(use_kernel(force_field, kernel)(*batch().inputs)))
    for mine, other in zip(*found, strict=True):
        assert_close(mine, other, TOLERANCES[dtype][0])


@pytest.mark.parametrize("architecture", ["nequip, one layer", "allegro, one layer"])
def test_every_back_end_has_modules_of_its_own(architecture):
    """Else the suites would compare the reference with itself."""
    kinds = set()
    for backend in BACKENDS:
        ours = use_kernel(build(architecture, torch.float64), backend)
        kinds.add((type(ours), *(type(module) for module in ours.modules())))
    assert len(kinds) == len(BACKENDS)
