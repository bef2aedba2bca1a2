"""Allegro's building blocks against their definitions: naive loops, formulas, derivatives."""

import math

import pytest
import torch
from e3nn import o3

from mlip.nn.contraction import EnvironmentProduct, sum_environment, weighted_harmonics
from mlip.nn.edge_embedding import BesselEmbedding, SplineEmbedding
from mlip.nn.kernels.edges import Edges

F64 = torch.float64
CHANNELS = 3
SPECIES = torch.tensor([0, 1, 2, 1])
EDGES = torch.tensor([[0, 0, 1, 2, 3, 3, 3], [1, 2, 0, 0, 1, 2, 3]])


def random(*shape, seed=0):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def test_environment_is_the_sum_of_weighted_harmonics():
    harmonics, weights = random(7, 9), random(7, 3 * CHANNELS, seed=1)
    blocks = weighted_harmonics(harmonics, weights, CHANNELS)
    summed = sum_environment(harmonics, weights, CHANNELS, EDGES[0], 5)
    expected = torch.zeros(5, 9, CHANNELS, dtype=F64)
    for e, i in enumerate(EDGES[0].tolist()):
        for degree in range(3):
            for m in range(degree**2, (degree + 1) ** 2):
                for u in range(CHANNELS):
                    product = harmonics[e, m] * weights[e, degree * CHANNELS + u]
                    assert blocks[degree][e, m - degree**2, u] == product
                    expected[i, m, u] += product
    torch.testing.assert_close(summed, expected)
    assert not summed[4].any()  # an atom without neighbours


def naive_product(module, irreps, features, environment, centre, coupled):
    """The definition: loops over edges, paths and channels, with e3nn's 3j symbols."""
    irreps_in, irreps_env, irreps_out = irreps
    out = torch.zeros(len(features), irreps_out.dim, CHANNELS, dtype=F64)
    path = 0
    for (_, ir_out), k in zip(irreps_out, irreps_out.slices(), strict=True):
        for (_, ir_in), i in zip(irreps_in, irreps_in.slices(), strict=True):
            for (_, ir_env), j in zip(irreps_env, irreps_env.slices(), strict=True):
                if ir_out not in ir_in * ir_env:
                    continue
                w3j = o3.wigner_3j(ir_in.l, ir_env.l, ir_out.l, dtype=F64) * math.sqrt(2 * ir_out.l + 1)
                for e, n in enumerate(centre.tolist()):
                    for u in range(CHANNELS):
                        weight = module.weights[path, u if coupled else 0]
                        x, y = features[e, i, u], environment[n, j, u]
                        out[e, k, u] += weight * torch.einsum("ijk,i,j->k", w3j, x, y)
                path += 1
    assert path == len(module.weights)
    return out


@pytest.mark.parametrize("coupled", [True, False])
@pytest.mark.parametrize(
    ("irreps_in", "irreps_out"),
    [
        ("0e+1o+2e", "0e+0o+1e+1o+2e+2o"),
        ("0e+0o+1e+1o", "0e+1o+2e"),
        ("0e+1o+2e", "0e"),
        ("0e", "0e"),
    ],
)
def test_product_with_the_environment_is_its_definition(irreps_in, irreps_out, coupled):
    irreps = o3.Irreps(irreps_in), o3.Irreps("0e+1o+2e"), o3.Irreps(irreps_out)
    torch.manual_seed(0)
    module = EnvironmentProduct(*irreps, CHANNELS, coupled, F64)
    features, environment = random(7, irreps[0].dim, CHANNELS), random(4, 9, CHANNELS, seed=1)
    ours = module.product(features, environment, EDGES[0])
    torch.testing.assert_close(
        ours, naive_product(module, irreps, features, environment, EDGES[0], coupled), rtol=1e-12, atol=1e-13
    )


def test_product_without_edges_is_empty():
    irreps = o3.Irreps("0e+1o")
    module = EnvironmentProduct(irreps, irreps, irreps, CHANNELS, True, F64)
    empty = torch.zeros(0, dtype=torch.int64)
    assert module.product(random(0, 4, CHANNELS), random(2, 4, CHANNELS), empty).shape == (0, 4, CHANNELS)


def test_product_has_right_first_and_second_derivatives():
    irreps = o3.Irreps("0e+1o")
    every = torch.arange(7)
    edges = Edges(EDGES, every, every, every)
    for of_harmonics in (True, False):
        module = EnvironmentProduct(irreps, irreps, irreps, 2, True, F64, of_harmonics)

        def call(features, environment_weights, harmonics, weights, module=module):
            arguments = (features, environment_weights, harmonics, random(4, seed=3), edges)
            return torch.func.functional_call(module, {"weights": weights}, arguments)

        features = random(7, 4 if of_harmonics else 8)
        inputs = (features, random(7, 4, seed=1), random(7, 4, seed=2), random(*module.weights.shape, seed=4))
        inputs = tuple(tensor.requires_grad_() for tensor in inputs)
        assert torch.autograd.gradcheck(call, inputs)
        assert torch.autograd.gradgradcheck(call, inputs)


def embed(module, x, species, edge_index):
    """The embedding of edges of relative lengths x."""
    every = torch.arange(len(x))
    edge_vec = x.unsqueeze(1) * torch.tensor([0.0, 0.6, 0.8], dtype=F64)
    return module(edge_vec, Edges(edge_index, every, every, every), torch.ones(1, dtype=F64), species)


def test_bessel_embedding_is_its_formula():
    torch.manual_seed(0)
    module = BesselEmbedding(3, 4, num_bessels=5, bessel_trainable=False, cutoff_p=6, dtype=F64)
    x = torch.linspace(0.1, 0.95, 7, dtype=F64)
    ours = embed(module, x, SPECIES, EDGES)
    for e, (i, j) in enumerate(EDGES.T.tolist()):
        r = x[e].item()
        envelope = 1 - 28 * r**6 + 48 * r**7 - 21 * r**8
        basis = [math.sin(n * math.pi * r) / (math.pi * r) * envelope for n in range(1, 6)]
        radial = torch.tensor(basis, dtype=F64) @ module.radial_linear.weights[0] / math.sqrt(5)
        pair = [*module.centre_embedding[SPECIES[i]], *module.neighbor_embedding[SPECIES[j]]]
        torch.testing.assert_close(ours[e], torch.stack(pair) * radial, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("num_splines", "spline_span"), [(16, 12), (5, 1), (4, 4)])
def test_spline_embedding_is_its_formula(num_splines, spline_span):
    torch.manual_seed(0)
    module = SplineEmbedding(3, 4, num_splines, spline_span, F64)
    x = torch.linspace(0.02, 1.1, 7, dtype=F64)
    ours = embed(module, x, SPECIES, EDGES)
    width = (spline_span + 1) / num_splines
    for e, (i, j) in enumerate(EDGES.T.tolist()):
        expected = torch.zeros(4, dtype=F64)
        for k in range(num_splines):
            inside = (x[e].item() - (k - spline_span) / num_splines) / width
            if 0 < inside < 1:
                bump = ((1 - math.cos(2 * math.pi * inside)) / 2) ** 2
                expected += bump * module.weight[3 * SPECIES[i] + SPECIES[j], k]
        torch.testing.assert_close(ours[e], expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", ["bessel", "spline"])
def test_embeddings_end_smoothly_at_the_cutoff(kind):
    module = (
        BesselEmbedding(1, 4, 8, False, 6, F64) if kind == "bessel" else SplineEmbedding(1, 4, 16, 12, F64)
    )
    x = torch.tensor([0.5, 1.0 - 1e-8, 1.0, 1.2], dtype=F64, requires_grad=True)
    species, edge_index = torch.zeros(1, dtype=torch.int64), torch.zeros(2, 4, dtype=torch.int64)
    value = embed(module, x, species, edge_index)
    (slope,) = torch.autograd.grad(value.sum(), x, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), x)
    assert value[0].abs().max() > 1e-2
    assert value[1:].abs().max() < 1e-12
    assert slope[1:].abs().max() < 1e-10
    assert bend[1:].abs().max() < 1e-3  # grows from zero inside
