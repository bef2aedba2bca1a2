"""Radial functions in a table against the exact ones; the interaction that looks them up while it runs."""

import pytest
import torch
from interaction_cases import GRAPHS, LARGE, Irreps, random_irreps

from mlip.nn.kernels.cpp.interaction import SharedEdges
from mlip.nn.kernels.cpp.tabulated import CompiledLengths, TabulatedTensorProduct
from mlip.nn.mlp import ScalarMLP
from mlip.nn.radial import BesselBasis
from mlip.nn.radial_table import RelativeLengths, tabulate_radial
from mlip.nn.tensor_product import EdgeTensorProduct

FAST = {f"random {seed}": random_irreps(seed) for seed in (0, 3, 8)} | {
    "channels of a vector and one": Irreps("17x0e+16x1o+1x1e", 1, "1x0e+1x0o+1x1o"),
    "more results than registers": Irreps("3x0e+2x2e", 2, "1x0e+1x1e+1x2e"),
    "features that no path takes": Irreps("3x0e+2x2e", 0, "1x0e"),
}
SLOW = {f"random {seed}": random_irreps(seed) for seed in range(10)} | {
    "l_max 3": Irreps("3x0e+5x1o+1x2e+2x3o", 3, "1x0e+1x1o+1x2e+1x3o"),
    "l_max 4": Irreps("16x0e+3x2e+1x4e", 4, "1x0e+1x1o+1x2e+1x3o+1x4e"),
}
CASES = [*FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW if name not in FAST)]
CUTOFF = 2.5  # some edges of the graphs are longer
SMALL = Irreps("3x0e+2x1o", 1, "1x0e+1x1o")


def radial_functions(num_weights, dtype=torch.float64, trainable=False):
    """A basis and a perceptron that sees it."""
    torch.manual_seed(0)
    basis = BesselBasis(8, trainable, cutoff_p=6, prefactor=0.25, dtype=dtype)
    return basis, ScalarMLP([8, 16, num_weights], dtype).requires_grad_(False)


def values_and_slopes(function, x):
    return torch.func.jvp(function, (x.double(),), (torch.ones_like(x, dtype=torch.float64),))


def errors(basis, perceptron, pieces, dtype=torch.float64):
    """Root mean square errors of values and slopes, relative to those of the exact functions."""
    x = torch.linspace(0.2, 1.0, 1999, dtype=torch.float64).unsqueeze(1)
    exact = values_and_slopes(lambda x: perceptron(basis.at(x)), x)
    table = tabulate_radial(basis, perceptron.to(dtype), pieces)
    found = values_and_slopes(table, x)
    perceptron.double()
    return [float((a - b).norm() / b.norm()) for a, b in zip(found, exact, strict=True)]


def test_errors_fall_with_the_fourth_power_of_the_pieces():
    functions = radial_functions(20)
    coarse, fine = errors(*functions, 128), errors(*functions, 256)
    assert coarse[0] / fine[0] == pytest.approx(2.0**4, rel=0.1)
    assert coarse[1] / fine[1] == pytest.approx(2.0**3, rel=0.1)
    assert errors(*functions, 512)[1] < 2e-6


def test_slopes_keep_their_digits_in_float32():
    basis, perceptron = radial_functions(20)
    exact = errors(basis, perceptron, 1024)[1]
    perceptron.float().double()  # the weights that both precisions hold
    assert errors(basis, perceptron, 1024, torch.float32)[1] < exact + 1e-7


@pytest.mark.parametrize("trainable", [False, True])
def test_ends_and_knots(trainable):
    basis, perceptron = radial_functions(5, trainable=trainable)
    with torch.no_grad():
        basis.frequencies.mul_(1.01)
    table = tabulate_radial(basis, perceptron, pieces=8)
    x = torch.tensor([0.0, 1e-9, 0.25, 0.375, 1.0, 1.7, 1e9], dtype=torch.float64).unsqueeze(1)
    exact = values_and_slopes(lambda x: perceptron(basis.at(x)), x)
    for found, expected in zip(values_and_slopes(table, x), exact, strict=True):
        assert (found - expected).abs().max() < 1e-6  # of 1e-9: else these are knots
        assert found[4:].eq(0.0).all()
    for end in values_and_slopes(table, torch.tensor([[1.0 - 1e-12]])):
        assert end.abs().max() < 1e-9
    before, at = values_and_slopes(table, torch.tensor([[0.375 - 1e-13], [0.375]], dtype=torch.float64))[1]
    assert torch.allclose(before, at, atol=1e-9)  # the slope does not jump


class Problem:
    """An interaction with weights from a table, by the compiled kernel and by the definition."""

    def __init__(self, irreps, graph, dtype=torch.float64):
        num_atoms, edge_index, self.edge_vec = graph
        product = EdgeTensorProduct(*irreps.parts, dtype)
        self.table = tabulate_radial(*radial_functions(product.num_weights, dtype), pieces=32)
        self.product, self.fused = product, TabulatedTensorProduct(product, self.table)
        self.edges = SharedEdges(share=False)(edge_index, self.edge_vec, num_atoms)
        torch.manual_seed(0)
        features = torch.randn(num_atoms, product.irreps_in.dim, dtype=torch.float64)
        harmonics = torch.randn(edge_index.shape[1], (irreps.l_max + 1) ** 2, dtype=torch.float64)
        lengths = self.edge_vec.norm(dim=1, keepdim=True) / CUTOFF
        self.inputs = [t.requires_grad_() for t in (features.to(dtype), harmonics.to(dtype), lengths)]

    def ours(self):
        return self.fused(*self.inputs, self.edges)

    def theirs(self):
        features, harmonics, lengths = self.inputs
        return self.product(features, harmonics, self.table(lengths), self.edges)

    def derivatives(self, result):
        """The result and the gradients along a random direction."""
        torch.manual_seed(1)
        direction = torch.randn(result.shape, dtype=torch.float64).to(result.dtype)
        return result, *torch.autograd.grad(result, self.inputs, direction)


def assert_same(ours, theirs, tolerance):
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.shape == other.shape
        assert mine.dtype == other.dtype
        if other.numel():
            assert (mine - other).abs().max() <= tolerance * (1.0 + other.abs().max())


@pytest.mark.parametrize("name", CASES)
def test_the_fused_product_gives_the_numbers_of_its_definition(name):
    for graph in (*GRAPHS.values(), LARGE):
        problem = Problem((FAST | SLOW)[name], graph)
        assert_same(problem.derivatives(problem.ours()), problem.derivatives(problem.theirs()), 1e-12)


def test_float32():
    problem = Problem(random_irreps(3), LARGE, torch.float32)
    assert_same(problem.derivatives(problem.ours()), problem.derivatives(problem.theirs()), 1e-5)


def test_threads_change_nothing_but_the_rounding():
    problem = Problem(random_irreps(3), LARGE)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(problem.derivatives(problem.ours()))
    finally:
        torch.set_num_threads(before)
    assert_same(*results, 1e-13)
    assert results[0][0].equal(results[1][0])


def test_relative_lengths():
    _, _, vec = LARGE
    torch.manual_seed(0)
    edge = torch.randperm(len(vec))[: len(vec) // 2]
    vec.requires_grad_()
    for scale in (torch.tensor([0.4]).double(), torch.rand(len(edge), dtype=torch.float64)):
        found, expected = (lengths(vec, edge, scale) for lengths in (CompiledLengths(), RelativeLengths()))
        gradients = [torch.autograd.grad(x.square().sum(), vec)[0] for x in (found, expected)]
        assert_same((found, gradients[0]), (expected, gradients[1]), 1e-14)


def test_there_is_no_second_derivative():
    problem = Problem(SMALL, GRAPHS["molecule"])
    (gradient,) = torch.autograd.grad(problem.ours().square().sum(), problem.inputs[2], create_graph=True)
    with pytest.raises(RuntimeError, match="radial=exact"):
        gradient.sum().backward()


def test_tensors_that_do_not_fit_are_refused():
    problem = Problem(SMALL, GRAPHS["molecule"])
    features, harmonics, lengths = problem.inputs
    for wrong in (
        (features[:, 1:], harmonics, lengths),
        (features, harmonics[1:], lengths),
        (features, harmonics, lengths.float()),
        (features, harmonics, lengths.squeeze(1)),
        (features.float(), harmonics, lengths),
    ):
        with pytest.raises(RuntimeError, match="expected"):
            problem.fused(*wrong, problem.edges)
