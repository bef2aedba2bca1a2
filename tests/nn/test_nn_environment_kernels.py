"""Allegro's compiled product with environments against the reference, with two derivatives; bad input."""

import pytest
import torch
from e3nn import o3
from interaction_cases import GRAPHS, LARGE
from kernel_checks import assert_same, derivatives

from mlip.nn.contraction import EnvironmentProduct
from mlip.nn.kernels.cpp.allegro import CompiledEnvironmentProduct
from mlip.nn.kernels.cpp.interaction import SharedEdges

# Features, result, l_max of the environment, channels, weights per channel; no features: they are harmonics.
CASES = {
    "first layer": ("", "0e+1o+2e", 2, 3, True),
    "first layer, both parities": ("", "0e+1o+1e", 1, 17, False),
    "last layer": ("0e+1o+2e", "0e", 2, 9, True),
    "scalars alone": ("0e", "0e", 0, 1, True),
    "both parities": ("0e+0o+1e+1o", "0e+1o+1e", 1, 16, False),
    "l_max 3": ("0e+1o+2e+3o", "0e+1o+2e+3o", 3, 5, True),
    "l_max 4": ("", "0e+1o+2e+3o+4e", 4, 2, True),
    "l_max 2, both parities": ("0e+0o+1o+1e+2e+2o", "0e+0o+1o+1e+2e+2o", 2, 33, True),
}
SMALL = "first layer"


def random_case(seed):
    """Any irreps up to l = 2, of a parity or of both, that the environment couples; 1 to 33 channels."""
    generator = torch.Generator().manual_seed(seed)

    def choose(options):
        return options[int(torch.randint(len(options), (1,), generator=generator))]

    def some():
        kinds = [f"{degree}{p}" for degree in (0, 1, 2) for p in "eo"]
        return "+".join(f"1x{kind}" for kind in kinds if kind == "0e" or choose([0, 1]))

    features = choose(["", some()])
    return features, some(), choose([1, 2]), choose([1, 3, 8, 16, 17, 33]), choose([True, False])


CASES |= {f"random {seed}": random_case(seed) for seed in range(1, 8)}
MORE = [f"random {seed}" for seed in range(3, 8)]


class Problem:
    """Inputs of a product on a graph, and what compiled and reference make of them."""

    def __init__(self, name, graph="molecule", dtype=torch.float64):
        features, result, l_max, channels, coupled = CASES[name]
        num_atoms, edge_index, edge_vec = LARGE if graph == "large" else GRAPHS[graph]
        harmonics = o3.Irreps.spherical_harmonics(l_max)
        irreps_in = o3.Irreps(features) if features else harmonics
        torch.manual_seed(0)
        self.reference = EnvironmentProduct(
            irreps_in, harmonics, o3.Irreps(result), channels, coupled, dtype, of_harmonics=not features
        )
        self.compiled = CompiledEnvironmentProduct(self.reference)
        self.edges = SharedEdges(False)(edge_index, edge_vec, num_atoms)
        width = (l_max + 1) * channels
        shapes = (
            (edge_index.shape[1], irreps_in.dim * channels if features else width),
            (edge_index.shape[1], width),
            (edge_index.shape[1], harmonics.dim),
            tuple(self.reference.weights.shape),
        )
        self.scale = torch.rand(num_atoms, dtype=torch.float64).to(dtype)
        self.inputs = tuple(torch.randn(shape, dtype=torch.float64).to(dtype) for shape in shapes)

    def ask_for_gradients(self):
        return tuple(tensor.requires_grad_() for tensor in self.inputs)

    def ours(self, *inputs):
        return self._call(self.compiled, *inputs)

    def theirs(self, *inputs):
        return self._call(self.reference, *inputs)

    def _call(self, module, features, weights, harmonics, paths):
        arguments = (features, weights, harmonics, self.scale, self.edges)
        return torch.func.functional_call(module, {"weights": paths}, arguments)


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=pytest.mark.slow if each in MORE else ()) for each in CASES]
)
def test_agrees_with_the_reference_up_to_the_second_derivative(name):
    for graph in GRAPHS:
        problem = Problem(name, graph)
        inputs = problem.ask_for_gradients()
        assert_same(derivatives(problem.ours, inputs), derivatives(problem.theirs, inputs), 1e-13)


@pytest.mark.parametrize("name", [SMALL, "last layer", "both parities"])
def test_float32_agrees_with_the_reference(name):
    problem = Problem(name, dtype=torch.float32)
    inputs = problem.ask_for_gradients()
    assert_same(derivatives(problem.ours, inputs), derivatives(problem.theirs, inputs), 3e-6)


@pytest.mark.parametrize("name", [SMALL, "both parities"])
@pytest.mark.parametrize("graph", ["images of itself", "atoms without neighbours", "no edges"])
def test_derivatives_are_those_of_finite_differences(name, graph):
    problem = Problem(name, graph)
    inputs = problem.ask_for_gradients()
    assert torch.autograd.gradcheck(problem.ours, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(problem.ours, inputs, fast_mode=True)


@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (3,), (0, 2), (1, 3)], ids=str)
def test_gradients_by_some_of_the_inputs(wanted):
    problem = Problem(SMALL)
    chosen = [problem.inputs[index].requires_grad_() for index in wanted]

    def gradients(function):
        result, scalars = function(*problem.inputs)
        loss = result.square().sum() + scalars.pow(3).sum()
        first = torch.autograd.grad(loss, chosen, create_graph=True)
        return (*first, *torch.autograd.grad(sum(g.square().sum() for g in first), chosen))

    assert_same(gradients(problem.ours), gradients(problem.theirs), 1e-12)


def test_rows_may_lie_apart():
    problem = Problem("last layer")
    problem.inputs = tuple(
        torch.cat([tensor, tensor], dim=1)[:, : tensor.shape[1]].requires_grad_() for tensor in problem.inputs
    )
    assert not problem.inputs[0].is_contiguous()
    assert_same(derivatives(problem.ours, problem.inputs), derivatives(problem.theirs, problem.inputs), 1e-13)


def test_threads_change_nothing():
    problem = Problem(SMALL, "large")
    inputs = problem.ask_for_gradients()
    before, results = torch.get_num_threads(), []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        results.append(derivatives(problem.ours, inputs))
    torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(*pair) for pair in zip(results[0], other, strict=True))
    assert_same(results[0], derivatives(problem.theirs, inputs), 1e-12)


def test_there_is_no_third_derivative():
    problem = Problem(SMALL)
    inputs = problem.ask_for_gradients()
    graph = problem.ours(*inputs)[0].pow(2).sum()
    for _ in range(2):
        graph = torch.autograd.grad(graph, inputs[0], create_graph=True)[0].pow(2).sum()
    with pytest.raises(RuntimeError, match="third derivative"):
        torch.autograd.grad(graph, inputs[0])


@pytest.mark.parametrize("index", range(3))
def test_wrong_sizes_are_refused(index):
    problem = Problem(SMALL)
    inputs = [tensor[:, 1:] if i == index else tensor for i, tensor in enumerate(problem.inputs)]
    with pytest.raises(RuntimeError, match="expected"):
        problem.ours(*inputs)


def test_wrong_precision_is_refused():
    problem = Problem(SMALL)
    with pytest.raises(RuntimeError, match="expected"):
        problem.ours(problem.inputs[0].float(), *problem.inputs[1:])
