"""Triton kernels in Triton's interpreter: numpy in the place of the GPU, in a process of its own.

Triton decides when it is imported whether it interprets: `test_kernels_in_the_interpreter` runs the others.
"""

import copy
import importlib.util
import os
import subprocess
import sys

import pytest
import torch
from e3nn import o3
from interaction_cases import GRAPHS, Irreps
from structures import SPECIES, random_structure

from mlip.data.graph import build_graph
from mlip.deploy.export import export_program
from mlip.errors import ConfigError
from mlip.nn.kernels.choose import resolve_kernel, use_kernel
from mlip.nn.linear import SelfConnection

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="no triton")
INTERPRETER = os.environ.get("TRITON_INTERPRET") == "1"
interpreted = pytest.mark.skipif(not INTERPRETER, reason="run by test_kernels_in_the_interpreter")

IRREPS = {
    "first layer": Irreps("5x0e", 2, "0e+1o+2e"),
    "middle layer, channels per l": Irreps("4x0e+3x1o+7x2e", 2, "0e+1o+2e"),
    "last layer": Irreps("4x0e+4x1o", 1, "0e"),
    "both parities": Irreps("2x0e+1x0o+3x1e+2x1o", 1, "0e+0o+1e+1o"),
    "more channels than a tile": Irreps("65x0e", 1, "0e+1o"),
    "features that no path takes": Irreps("2x0e+2x1o+2x2e", 1, "0e"),
}


@pytest.mark.skipif(INTERPRETER, reason="this is it")
@pytest.mark.parametrize(
    "chosen", ["test_interaction", pytest.param("not test_interaction", marks=pytest.mark.slow)]
)
def test_kernels_in_the_interpreter(chosen):
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-k", chosen, __file__]
    environment = os.environ | {"TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-4000:]
    assert " passed" in result.stdout


@interpreted
@pytest.mark.parametrize("irreps", IRREPS.values(), ids=IRREPS.keys())
def test_interaction_is_that_of_the_reference(irreps):
    from triton_checks import check_interaction

    num_atoms, edge_index, _ = GRAPHS["many edges of one pair"]  # few atoms: few programs to interpret
    check_interaction(irreps, edge_index, num_atoms, torch.float64, "cpu")


@interpreted
@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS.keys())
def test_interaction_on_graphs(graph):
    from triton_checks import check_interaction

    num_atoms, edge_index, _ = graph
    check_interaction(Irreps("2x0e", 1, "0e+1o"), edge_index, num_atoms, torch.float64, "cpu")


@interpreted
def test_more_edges_of_a_node_than_a_tile():
    from triton_checks import check_interaction

    neighbor = torch.arange(70) % 2
    edge_index = torch.stack([torch.ones(70, dtype=torch.int64), neighbor])
    check_interaction(Irreps("1x0e+1x1o", 1, "0e+1o"), edge_index, 2, torch.float64, "cpu")


@interpreted
def test_float32_is_the_same_every_time():
    from triton_checks import check_interaction, derivatives

    irreps = IRREPS["both parities"]
    again = check_interaction(irreps, GRAPHS["images of itself"][1], 1, torch.float32, "cpu")
    first, second = derivatives(*again), derivatives(*again)
    assert all(map(torch.equal, first, second))


ENVIRONMENTS = {
    "first layer": ("0e+1o", "0e+1o", 3, True),
    "middle layer": ("0e+1o+2e", "0e+1o+2e", 2, False),
    "last layer, both parities": ("0e+1o+1e", "0e", 1, False),
    "more channels than a tile": ("0e+1o", "0e", 65, False),
}


@interpreted
@pytest.mark.parametrize("environment", ENVIRONMENTS.values(), ids=ENVIRONMENTS.keys())
def test_environment_product_is_that_of_the_reference(environment):
    from triton_checks import check_environment

    irreps_in, irreps_out, channels, of_harmonics = environment
    graph = GRAPHS["many edges of one pair"] if channels < 65 else GRAPHS["images of itself"]
    check_environment((irreps_in, irreps_out), channels, graph, torch.float64, "cpu", of_harmonics)


MODELS = {
    "nequip, l_max 0": {"l_max": 0, "num_features": 2},
    "nequip": {"l_max": 2, "num_features": 2},
    "allegro": {"architecture": "allegro", "l_max": 1, "num_tensor_features": 2, "parity": False},
}


@interpreted
@pytest.mark.parametrize("settings", MODELS.values(), ids=MODELS.keys())
def test_forces_and_gradients_of_parameters(small_force_field, settings):
    from triton_checks import check_force_field

    force_field = small_force_field(**settings)
    graph = build_graph(random_structure("small_cell"), 2.6, SPECIES)
    check_force_field(force_field, graph.inputs, torch.float64)


def test_self_connection_is_that_of_the_reference():
    from mlip.nn.kernels.triton.interaction import MaskedSelfConnection

    torch.manual_seed(0)
    irreps_in, irreps_out = o3.Irreps("3x0e+2x1o+4x2e"), o3.Irreps("6x0e+3x1o+2x2e+1x3o")
    reference = SelfConnection(irreps_in, 5, irreps_out, torch.float64)
    features = torch.randn(11, irreps_in.dim, dtype=torch.float64, requires_grad=True)
    embedding = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    species = torch.arange(11) % 2 * 2  # none of the second
    results = []
    for module in (reference, MaskedSelfConnection(reference)):
        inputs = [features, embedding, module.weight]
        out = module(features, embedding, species)
        first = torch.autograd.grad(out.pow(3).sum(), inputs, create_graph=True)
        second = torch.autograd.grad(sum((gradient**2).sum() for gradient in first), inputs)
        results.append([out, *first, *second])
    for result, expected in zip(*results, strict=True):
        torch.testing.assert_close(result, expected, rtol=1e-12, atol=1e-12)


@interpreted
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_tabulated_interaction_is_that_of_the_reference(dtype):
    from triton_checks import check_tabulated

    num_atoms, edge_index, _ = GRAPHS["atoms without neighbours"]
    check_tabulated(Irreps("3x0e+2x1o", 1, "0e+1o"), edge_index, num_atoms, dtype, "cpu")


@interpreted
def test_forces_of_a_tabulated_model(small_force_field):
    force_field = small_force_field(l_max=1, num_features=2)
    inputs = build_graph(random_structure("small_cell"), 2.6, SPECIES).inputs
    forces = [
        use_kernel(copy.deepcopy(force_field), kernel, "table")(*inputs).forces
        for kernel in ("reference", "triton")
    ]
    torch.testing.assert_close(*forces, rtol=1e-12, atol=1e-12)


@interpreted
@pytest.mark.parametrize("architecture", ["nequip", "allegro"])
def test_an_exported_program_holds_the_operators(small_force_field, architecture):
    force_field = small_force_field(architecture=architecture, l_max=0).requires_grad_(False)
    inputs = build_graph(random_structure("small_cell"), 2.6, SPECIES).inputs
    expected = force_field(*inputs).forces
    program = export_program(use_kernel(force_field, "triton"))
    targets = {str(node.target) for node in program.graph.nodes}
    assert "vitreous_triton.interaction.default" in targets
    # What would make a GPU wait: sizes or numbers that depend on what a tensor holds.
    assert not [target for target in targets if "nonzero" in target or "_local_scalar_dense" in target]
    torch.testing.assert_close(program.module()(*inputs)[2], expected, rtol=1e-12, atol=1e-12)


@interpreted
def test_unsorted_edges_are_refused():
    from mlip.nn.kernels.triton.interaction import SortedEdges

    edge_index = torch.tensor([[1, 0], [0, 1]])
    with pytest.raises(RuntimeError, match="sorted by their centre"):
        SortedEdges()(edge_index, torch.zeros(2, 3), 2)


@interpreted
def test_the_interpreter_counts_as_a_device():
    assert resolve_kernel("triton", torch.device("cpu")) == "triton"


@pytest.mark.skipif(INTERPRETER, reason="needs no interpreter")
def test_no_triton_on_a_cpu():
    with pytest.raises(ConfigError, match="found kernel=triton on cpu"):
        resolve_kernel("triton", torch.device("cpu"))
