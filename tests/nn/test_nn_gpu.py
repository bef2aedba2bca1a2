"""Triton kernels on a CUDA device: run by `pytest -m gpu` where there is one."""

import pytest
import torch
from interaction_cases import GRAPHS, LARGE, Irreps
from structures import SPECIES, random_structure
from triton_checks import (
    check_environment,
    check_force_field,
    check_interaction,
    check_tabulated,
    derivatives,
)

from mlip.data.graph import build_graph, collate
from mlip.nn.kernels.choose import resolve_kernel, use_kernel

pytestmark = pytest.mark.gpu

IRREPS = {
    "first layer": Irreps("32x0e", 2, "0e+1o+2e"),
    "middle layer": Irreps("32x0e+32x1o+32x2e", 2, "0e+1o+2e"),
    "both parities": Irreps("16x0e+16x0o+16x1e+16x1o", 1, "0e+0o+1e+1o"),
    "channels per l": Irreps("65x0e+33x1o+7x2e+1x3o", 3, "0e+1o+2e+3o"),
    "l_max 4": Irreps("8x0e+8x1o+8x2e+8x3o+8x4e", 4, "0e+1o+2e+3o+4e"),
}


def random_graph(num_atoms, num_edges):
    centre = torch.randint(num_atoms, (num_edges,)).sort().values
    return torch.stack([centre, torch.randint(num_atoms, (num_edges,))])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("irreps", IRREPS.values(), ids=IRREPS.keys())
def test_interaction_is_that_of_the_reference(irreps, dtype):
    num_atoms, edge_index, _ = LARGE
    check_interaction(irreps, edge_index, num_atoms, dtype, "cuda")


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS.keys())
def test_interaction_on_graphs(graph):
    num_atoms, edge_index, _ = graph
    check_interaction(IRREPS["both parities"], edge_index, num_atoms, torch.float64, "cuda")


@pytest.mark.parametrize("irreps", IRREPS.values(), ids=IRREPS.keys())
def test_tabulated_interaction_is_that_of_the_reference(irreps):
    num_atoms, edge_index, _ = LARGE
    check_tabulated(irreps, edge_index, num_atoms, torch.float64, "cuda")


def test_same_numbers_every_time():
    again = check_interaction(IRREPS["middle layer"], random_graph(1000, 50_000), 1000, torch.float32, "cuda")
    assert all(map(torch.equal, derivatives(*again), derivatives(*again)))


def test_more_bytes_of_edges_than_int32_counts():
    from mlip.nn.kernels.triton.interaction import SortedEdges, TritonTensorProduct
    from mlip.nn.tensor_product import EdgeTensorProduct

    num_atoms, num_edges = 40_000, 2_000_000
    reference = EdgeTensorProduct(*IRREPS["middle layer"].parts, torch.float32).to("cuda")
    product = TritonTensorProduct(reference)
    edge_index = random_graph(num_atoms, num_edges).to("cuda")
    x = torch.randn(num_atoms, reference.irreps_in.dim, device="cuda", requires_grad=True)
    y = torch.randn(num_edges, 9, device="cuda", requires_grad=True)
    w = torch.randn(num_edges, reference.num_weights, device="cuda", requires_grad=True)
    assert w.numel() * 4 > 2**31
    edges = SortedEdges()(edge_index, y, num_atoms)
    gradients = torch.autograd.grad(product(x, y, w, edges).sum(), (x, y, w))
    # The last centres alone, with small offsets, must say the same.
    first = int(edges.start[-100])
    part = slice(first, None)
    few = SortedEdges()(edge_index[:, part], y, num_atoms)
    y, w = (tensor.detach()[part].clone().requires_grad_() for tensor in (y, w))
    again = torch.autograd.grad(product(x, y, w, few).sum(), (y, w))
    for whole, small in zip(gradients[1:], again, strict=True):
        torch.testing.assert_close(whole[part], small)


@pytest.mark.parametrize("irreps", [("0e+1o+2e+3o", "0e+1o+2e+3o"), ("0e+1o+1e+2e+2o", "0e")], ids=str)
def test_environment_product_is_that_of_the_reference(irreps):
    check_environment(irreps, 32, LARGE, torch.float64, "cuda")


MODELS = {
    "nequip": {},
    "nequip, parity": {"parity": True},
    "nequip, channels per l": {"l_max": 3, "num_features": [5, 4, 3, 2]},
    "allegro": {"architecture": "allegro"},
}


@pytest.mark.parametrize("settings", MODELS.values(), ids=MODELS.keys())
def test_forces_and_gradients_of_parameters(small_force_field, settings):
    graph = collate([build_graph(random_structure("triclinic", seed), 4.0, SPECIES) for seed in range(3)])
    inputs = [tensor.to("cuda") for tensor in graph.inputs]
    check_force_field(small_force_field(**settings).to("cuda"), inputs, torch.float64)


@pytest.mark.parametrize("architecture", ["nequip", "allegro"])
def test_a_step_is_captured_as_a_graph(small_force_field, architecture):
    """Nothing waits for the device, and replayed with other positions the graph gives their forces."""
    force_field = small_force_field(architecture=architecture).requires_grad_(False)
    force_field = use_kernel(force_field, resolve_kernel("auto", torch.device("cuda"))).to("cuda")
    graph = build_graph(random_structure("triclinic"), 4.0, SPECIES)
    inputs = [tensor.to("cuda") for tensor in graph.inputs]
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for _ in range(3):  # compiles
            force_field(*inputs)
    torch.cuda.synchronize()
    capture = torch.cuda.CUDAGraph()
    with torch.cuda.graph(capture):
        prediction = force_field(*inputs)
    inputs[0] += 0.01 * torch.randn_like(inputs[0])
    capture.replay()
    torch.testing.assert_close(prediction.forces, force_field(*inputs).forces, atol=1e-10, rtol=1e-10)
