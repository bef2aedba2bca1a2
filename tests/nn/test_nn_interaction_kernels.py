"""The compiled interaction against the reference: random irreps and graphs, two derivatives, bad input."""

import pytest
import torch
from interaction_cases import GRAPHS, Irreps, random_irreps, row_of_edge, separate_rows

from mlip.nn.kernels.cpp.interaction import CompiledTensorProduct, SharedEdges
from mlip.nn.tensor_product import EdgeTensorProduct

FAST = {f"random {seed}": random_irreps(seed) for seed in (0, 3, 4, 8)} | {
    "channels of a vector and one": Irreps("17x0e+16x1o+1x1e", 1, "1x0e+1x0o+1x1o"),
    "features that no path takes": Irreps("3x0e+2x2e", 0, "1x0e"),
}
SLOW = {f"random {seed}": random_irreps(seed) for seed in range(13)} | {
    "l_max 3": Irreps("3x0e+5x1o+1x2e+2x3o", 3, "1x0e+1x1o+1x2e+1x3o"),
    "l_max 4": Irreps("16x0e+3x2e+1x4e", 4, "1x0e+1x1o+1x2e+1x3o+1x4e"),
    "l_max 2, both parities": Irreps("33x0e+5x0o+3x1o+1x1e+2x2e+1x2o", 2, "1x0e+1x0o+1x1e+1x1o+1x2e+1x2o"),
}
CASES = [*FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW if name not in FAST)]
SMALL = Irreps("3x0e+2x1o", 1, "1x0e+1x1o")


class Problem:
    """Inputs of an interaction on a graph, and what compiled and reference make of them."""

    def __init__(self, irreps, graph="molecule", share=True, dtype=torch.float64):
        num_atoms, edge_index, edge_vec = GRAPHS[graph]
        self.reference = EdgeTensorProduct(*irreps.parts, dtype)
        self.compiled = CompiledTensorProduct(self.reference)
        self.edges = SharedEdges(share)(edge_index, edge_vec, num_atoms)
        shapes = (
            (num_atoms, self.reference.irreps_in.dim),
            (edge_index.shape[1], (irreps.l_max + 1) ** 2),
            (len(self.edges.row_edge), self.reference.num_weights),
        )
        torch.manual_seed(0)
        self.inputs = tuple(torch.randn(shape, dtype=torch.float64).to(dtype) for shape in shapes)

    def ask_for_gradients(self):
        for tensor in self.inputs:
            tensor.requires_grad_()
        return self.inputs

    def ours(self, *inputs):
        return self.compiled(*inputs, self.edges)

    def theirs(self, features, harmonics, weights):
        rows = weights[row_of_edge(self.edges)]
        return self.reference(features, harmonics, rows, separate_rows(self.edges))


def derivatives(function, inputs):
    """The value, and all first and second derivatives along random directions."""
    generator = torch.Generator().manual_seed(5)

    def direction(tensor):
        return torch.randn(tensor.shape, dtype=torch.float64, generator=generator).to(tensor.dtype)

    value = function(*inputs)
    seed = direction(value).requires_grad_()
    first = torch.autograd.grad(value, inputs, seed, create_graph=True)
    second = torch.autograd.grad(first, (*inputs, seed), [direction(t) for t in first], allow_unused=True)
    return (
        value,
        *first,
        *(torch.zeros_like(t) if d is None else d for t, d in zip((*inputs, seed), second, strict=True)),
    )


def assert_same(ours, theirs, tolerance):
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.shape == other.shape
        if other.numel():
            assert (mine - other).abs().max() <= tolerance * (other.abs().max() + 1e-30)


@pytest.mark.parametrize("share", [True, False], ids=["shared rows", "a row each"])
@pytest.mark.parametrize("name", CASES)
def test_agrees_with_the_reference_up_to_the_second_derivative(name, share):
    for graph in GRAPHS:
        problem = Problem((FAST | SLOW)[name], graph, share)
        inputs = problem.ask_for_gradients()
        assert_same(derivatives(problem.ours, inputs), derivatives(problem.theirs, inputs), 1e-13)


@pytest.mark.parametrize("name", ["random 3", "channels of a vector and one"])
def test_float32_agrees_with_the_reference(name):
    problem = Problem(FAST[name], dtype=torch.float32)
    inputs = problem.ask_for_gradients()
    assert_same(derivatives(problem.ours, inputs), derivatives(problem.theirs, inputs), 2e-6)


@pytest.mark.parametrize("graph", GRAPHS)
def test_derivatives_are_those_of_finite_differences(graph):
    problem = Problem(SMALL, graph)
    inputs = problem.ask_for_gradients()
    assert torch.autograd.gradcheck(problem.ours, inputs)
    assert torch.autograd.gradgradcheck(problem.ours, inputs)


@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)], ids=str)
def test_gradients_by_some_of_the_inputs(wanted):
    problem = Problem(SMALL)
    for index in wanted:
        problem.inputs[index].requires_grad_()
    chosen = [problem.inputs[index] for index in wanted]

    def gradients(function):
        first = torch.autograd.grad(function(*problem.inputs).square().sum(), chosen, create_graph=True)
        return (*first, *torch.autograd.grad(sum(g.square().sum() for g in first), chosen))

    assert_same(gradients(problem.ours), gradients(problem.theirs), 1e-13)


def test_second_derivative_of_one_first_derivative():
    """The others are not asked for, and their directions are zero."""
    problem = Problem(SMALL)
    inputs = problem.ask_for_gradients()
    results = []
    for function in (problem.ours, problem.theirs):
        first = torch.autograd.grad(function(*inputs).square().sum(), inputs[1], create_graph=True)[0]
        results.append(torch.autograd.grad(first.square().sum(), inputs))
    assert_same(*results, 1e-13)


def test_a_third_derivative_is_refused():
    problem = Problem(SMALL)
    features, harmonics, weights = problem.ask_for_gradients()
    first = torch.autograd.grad(problem.ours(*problem.inputs).square().sum(), harmonics, create_graph=True)[0]
    second = torch.autograd.grad(first.square().sum(), features, create_graph=True)[0]
    for ask in (
        lambda: torch.autograd.grad(second.sum(), weights, retain_graph=True, allow_unused=True),
        lambda: second.sum().backward(),
    ):
        with pytest.raises(RuntimeError, match=r"third derivative.*use kernel=reference"):
            ask()


def test_strides_do_not_matter():
    problem = Problem(SMALL)
    apart = [torch.stack([t, t + 1.0], dim=2).detach()[..., 0].requires_grad_() for t in problem.inputs]
    assert not any(t.is_contiguous() for t in apart)
    every_second = [torch.stack([t, t], dim=-1).flatten(-2)[..., ::2] for t in problem.edges]
    edges = type(problem.edges)(*every_second)
    ours = derivatives(lambda *inputs: problem.compiled(*inputs, edges), apart)
    assert_same(ours, derivatives(problem.ours, problem.ask_for_gradients()), 0.0)


def test_a_gradient_without_strides():
    """The sum's gradient is one number, expanded."""
    problem = Problem(SMALL)
    inputs = problem.ask_for_gradients()
    ours, theirs = (torch.autograd.grad(f(*inputs).sum(), inputs) for f in (problem.ours, problem.theirs))
    assert_same(ours, theirs, 1e-13)


BAD_INPUTS = {
    "features of float32": (lambda x, y, w: (x.float(), y, w), "4 bytes; expected 8"),
    "all of float32": (lambda x, y, w: (x.float(), y.float(), w.float()), "4 bytes; expected 8"),
    "harmonics of float32": (lambda x, y, w: (x, y.float(), w), "harmonics of .* Float; expected .* Double"),
    "weights of float32": (lambda x, y, w: (x, y, w.float()), "weights of .* Float; expected .* Double"),
    "features of integers": (lambda x, y, w: (x.long(), y, w), "not implemented for 'Long'"),
    "narrow features": (lambda x, y, w: (x[:, 1:], y, w), r"features of \[7, 8\].* expected \[7, 9\]"),
    "narrow harmonics": (lambda x, y, w: (x, y[:, 1:], w), r"harmonics of \[30, 3\].* expected \[30, 4\]"),
    "narrow weights": (lambda x, y, w: (x, y, w[:, 1:]), r"weights of \[15, 9\].* expected \[15, 10\]"),
    "one edge less": (lambda x, y, w: (x, y[1:], w), r"harmonics of \[29, 4\].* expected \[30, 4\]"),
    "one atom less": (lambda x, y, w: (x[1:], y, w), r"starts of \[8\].* expected \[7\]"),
}


@pytest.mark.parametrize("name", BAD_INPUTS)
def test_what_does_not_fit_is_refused(name):
    spoil, message = BAD_INPUTS[name]
    problem = Problem(SMALL)
    with pytest.raises(RuntimeError, match=message):
        problem.ours(*spoil(*problem.inputs))


def test_derivative_operators_refuse_what_does_not_fit():
    problem = Problem(SMALL)
    x, y, w = problem.inputs
    e = problem.edges
    rest = (e.start, e.edge_index[1], e.weight_row, problem.compiled.kernel)
    g = problem.ours(x, y, w)
    backward, second = torch.ops.vitreous.interaction_backward, torch.ops.vitreous.interaction_second
    for bad in (g.float(), g[:, 1:], g[1:]):
        with pytest.raises(RuntimeError, match="found gradients of"):
            backward(bad, x, y, w, *rest)
    for bad in ((x.float(), y, w), (x, y[1:], w), (x, y, w[:, 1:])):
        with pytest.raises(RuntimeError, match="found changes of the"):
            second(*bad, g, x, y, w, *rest, True)
    with pytest.raises(RuntimeError, match="the kernel nothing is not loaded"):
        backward(g, x, y, w, *rest[:3], "nothing")


@pytest.mark.slow
def test_more_bytes_of_edges_than_int32_counts():
    """The last centres of a large graph, far into the rows of weights, and alone."""
    num_atoms, num_edges = 20_000, 1_600_000
    reference = EdgeTensorProduct(*Irreps("32x0e+32x1o+32x2e", 2, "0e+1o+2e").parts, torch.float32)
    product, index = CompiledTensorProduct(reference), SharedEdges(share=False)
    centre = torch.randint(num_atoms, (num_edges,)).sort().values
    edge_index = torch.stack([centre, torch.randint(num_atoms, (num_edges,))])
    edge_vec = torch.randn(num_edges, 3, dtype=torch.float64)
    x = torch.randn(num_atoms, reference.irreps_in.dim)
    y, w = torch.randn(num_edges, 9), torch.randn(num_edges, reference.num_weights)
    assert w.numel() * 4 > 2**31
    edges = index(edge_index, edge_vec, num_atoms)
    part = slice(int(edges.start[-100]), None)
    few = index(edge_index[:, part], edge_vec[part], num_atoms)
    found = []
    for harmonics, weights, described in ((y, w, edges), (y[part].clone(), w[part].clone(), few)):
        harmonics.requires_grad_()
        weights.requires_grad_()
        out = product(x, harmonics, weights, described)
        found.append((out[-99:], *torch.autograd.grad(out[-99:].square().sum(), (harmonics, weights))))
    (out, by_y, by_w), (few_out, few_by_y, few_by_w) = found
    torch.testing.assert_close(few_out, out)
    torch.testing.assert_close(few_by_y, by_y[part])
    torch.testing.assert_close(few_by_w, by_w[part])
