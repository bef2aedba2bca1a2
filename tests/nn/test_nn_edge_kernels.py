"""Compiled harmonics, radial functions, index of edges against reference and naive versions; bad input."""

from functools import partial

import pytest
import torch
from interaction_cases import GRAPHS, row_of_edge

from mlip.nn.kernels.cpp.interaction import CompiledHarmonics, CompiledRadial, SharedEdges
from mlip.nn.radial import BesselBasis
from mlip.nn.spherical import SphericalHarmonics

DTYPES = {torch.float64: 1e-13, torch.float32: 1e-6}


def random_vectors(number, seed=0):
    """(E, 3) A, not shorter than 0.3 A, some longer than the cutoffs below."""
    generator = torch.Generator().manual_seed(seed)
    direction = torch.randn(number, 3, dtype=torch.float64, generator=generator)
    length = 0.3 + 4.2 * torch.rand(number, 1, dtype=torch.float64, generator=generator)
    return (direction / direction.norm(dim=1, keepdim=True) * length).requires_grad_()


def some_rows(number):
    """Two thirds of the edges, in any order, and one over a cutoff from 2 to 4 A for each."""
    generator = torch.Generator().manual_seed(1)
    edge = torch.randperm(number, generator=generator)[: number * 2 // 3]
    return edge, 1.0 / (2.0 + 2.0 * torch.rand(len(edge), dtype=torch.float64, generator=generator))


def every_row(number):
    """All edges, one cutoff."""
    return torch.arange(number), torch.tensor([0.25], dtype=torch.float64)


def derivatives(function, vec):
    """The values, and first and second derivatives along random directions."""
    generator = torch.Generator().manual_seed(5)
    value = function(vec)
    seed = torch.randn(value.shape, dtype=torch.float64, generator=generator).to(value.dtype).requires_grad_()
    (first,) = torch.autograd.grad(value, vec, seed, create_graph=True)
    direction = torch.randn(vec.shape, dtype=torch.float64, generator=generator)
    second = torch.autograd.grad(first, (vec, seed), direction, allow_unused=True)
    return (
        value,
        first,
        *(torch.zeros_like(t) if d is None else d for t, d in zip((vec, seed), second, strict=True)),
    )


def assert_same(ours, theirs, tolerance):
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.shape == other.shape
        assert mine.dtype == other.dtype
        if other.numel():
            assert (mine - other).abs().max() <= tolerance * (1.0 + other.abs().max())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("l_max", range(5))
def test_harmonics(l_max, dtype):
    reference = SphericalHarmonics(l_max, dtype)
    compiled = CompiledHarmonics(reference)
    for number in (0, 1, 7, 8, 9, 100):  # about the lengths of vectors
        vec = random_vectors(number)
        # Y_0 does not depend on the vector: give the reference's its zero gradient.
        theirs = derivatives(lambda v: reference(v) + 0.0 * v.narrow(1, 0, 1).to(dtype), vec)
        assert_same(derivatives(compiled, vec), theirs, 10 * DTYPES[dtype])


@pytest.mark.parametrize("rows", [every_row, some_rows], ids=["all edges", "some edges"])
@pytest.mark.parametrize(
    ("num_bessels", "cutoff_p", "dtype"),
    [(8, 6, torch.float64), (3, 2, torch.float64), (8, 6, torch.float32)],
)
def test_radial(num_bessels, cutoff_p, dtype, rows):
    reference = BesselBasis(num_bessels, False, cutoff_p, 0.125, dtype)
    compiled = CompiledRadial(reference)
    for number in (0, 1, 7, 8, 9, 100):
        vec, (edge, scale) = random_vectors(number), rows(number)
        ours, theirs = (
            derivatives(partial(function, edge=edge, inverse_cutoffs=scale), vec)
            for function in (compiled, reference)
        )
        assert_same(ours, theirs, 20 * DTYPES[dtype])
    beyond = (vec[edge].norm(dim=1) * scale) > 1.0
    assert beyond.any()
    assert not beyond.all()
    assert (ours[0][beyond] == 0.0).all()


def test_derivatives_are_those_of_finite_differences():
    vec, (edge, scale) = random_vectors(11), some_rows(11)
    harmonics = CompiledHarmonics(SphericalHarmonics(3, torch.float64))
    radial = CompiledRadial(BesselBasis(4, False, 6, 0.125, torch.float64))
    for function in (harmonics, lambda v: radial(v, edge, scale)):
        assert torch.autograd.gradcheck(function, (vec,))
        assert torch.autograd.gradgradcheck(function, (vec,))


def test_a_third_derivative_is_refused():
    vec = random_vectors(4)
    value = CompiledHarmonics(SphericalHarmonics(3, torch.float64))(vec)
    first = torch.autograd.grad(value.square().sum(), vec, create_graph=True)[0]
    second = torch.autograd.grad(first.square().sum(), vec, create_graph=True)[0]
    with pytest.raises(RuntimeError, match=r"third derivative.*use kernel=reference"):
        torch.autograd.grad(second.sum(), vec)


def test_strides_do_not_matter():
    vec, (edge, scale) = random_vectors(30), some_rows(30)
    radial = CompiledRadial(BesselBasis(4, False, 6, 0.125, torch.float64))
    apart = torch.stack([vec, vec], dim=2).detach()[..., 0].requires_grad_()
    strided = [torch.stack([t, t], dim=1).flatten()[::2] for t in (edge, scale)]
    ours = derivatives(lambda v: radial(v, *strided), apart)
    assert_same(ours, derivatives(lambda v: radial(v, edge, scale), vec), 0.0)


def test_what_does_not_fit_is_refused():
    vec, (edge, scale) = random_vectors(6).detach(), some_rows(6)
    kernel = CompiledRadial(BesselBasis(4, False, 6, 0.125, torch.float64)).kernel
    values, backward, second = (
        getattr(torch.ops.vitreous, f"edge_function{name}") for name in ("", "_backward", "_second")
    )
    g = values(vec, edge, scale, kernel, torch.float64)
    for call, message in (
        (lambda: values(vec.float(), edge, scale, kernel, torch.float64), "edge vectors of .* Float"),
        (
            lambda: values(vec[:, :2], edge, scale, kernel, torch.float64),
            r"edge vectors of \[6, 2\].* \[6, 3\]",
        ),
        (lambda: values(vec, edge.int(), scale, kernel, torch.float64), "edges of the rows of .* Int"),
        (lambda: values(vec, edge, scale[1:], kernel, torch.float64), r"scales of \[3\].* expected \[4\]"),
        (lambda: values(vec, edge, scale.float(), kernel, torch.float64), "scales of .* Float"),
        (lambda: values(vec, edge, scale, kernel, torch.float32), "4 bytes; expected 8"),
        (lambda: values(vec, edge, scale, "nothing", torch.float64), "the kernel nothing is not loaded"),
        (lambda: backward(g.float(), vec, edge, scale, kernel), "4 bytes; expected 8"),
        (lambda: backward(g[:, 1:], vec, edge, scale, kernel), r"gradients of \[4, 3\].* expected \[4, 4\]"),
        (lambda: second(vec[1:], g, vec, edge, scale, kernel, True), "changes of the vectors of"),
    ):
        with pytest.raises(RuntimeError, match=message):
            call()


@pytest.mark.parametrize("graph", GRAPHS)
def test_an_edge_and_its_reverse_share_a_row(graph):
    num_atoms, edge_index, edge_vec = GRAPHS[graph]
    edges = SharedEdges(True)(edge_index, edge_vec, num_atoms)
    centre, neighbor = edge_index.tolist()
    assert edges.start.tolist() == [sum(c < n for c in centre) for n in range(num_atoms + 1)]
    rows = row_of_edge(edges).tolist()
    for row, first in enumerate(edges.row_edge.tolist()):
        members = [e for e in range(len(rows)) if rows[e] == row]
        assert members[0] == first  # in the order in which centres are visited
        assert [int(edges.weight_row[e] < 0) for e in members] == [0, 1][: len(members)]
        reverse = [
            e
            for e in range(len(rows))
            if (centre[e], neighbor[e]) == (neighbor[first], centre[first])
            and torch.allclose(edge_vec[e], -edge_vec[first])
        ]
        assert members[1:] == reverse
    shared = len(rows) - len(edges.row_edge)
    assert shared == len(rows) // 2 or graph == "one way only"


def test_edges_that_cannot_be_indexed_are_refused():
    num_atoms, edge_index, edge_vec = GRAPHS["molecule"]
    index = torch.ops.vitreous.index_edges
    for call, message in (
        (lambda: index(edge_index.flip(1), edge_vec, num_atoms, True), "not sorted.*use kernel=reference"),
        (lambda: index(edge_index, edge_vec, 3, True), "an edge between the atoms .*expected 0 to 2"),
        (lambda: index(edge_index - 1, edge_vec, num_atoms, True), "an edge between the atoms -1 and"),
        (lambda: index(edge_index.int(), edge_vec, num_atoms, True), "edges of .* Int.*expected .* Long"),
        (lambda: index(edge_index.t(), edge_vec, num_atoms, True), r"edges of \[30, 2\]"),
        (lambda: index(edge_index, edge_vec.float(), num_atoms, True), "edge vectors of .* Float"),
        (lambda: index(edge_index, edge_vec[1:], num_atoms, True), r"edge vectors of \[29, 3\]"),
    ):
        with pytest.raises(RuntimeError, match=message):
            call()
