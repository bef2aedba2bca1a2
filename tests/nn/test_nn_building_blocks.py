"""Building blocks against their definitions: e3nn's functions, textbook formulas, naive loops."""

import math

import pytest
import torch
from e3nn import o3
from e3nn.nn import Gate as E3nnGate

from mlip.nn.gate import Gate
from mlip.nn.kernels.edges import SeparateEdges
from mlip.nn.kernels.reference import interaction
from mlip.nn.linear import EquivariantLinear
from mlip.nn.mlp import ScalarMLP
from mlip.nn.radial import BesselBasis, polynomial_cutoff
from mlip.nn.spherical import SphericalHarmonics
from mlip.nn.tensor_product import EdgeTensorProduct, find_paths

F64 = torch.float64


def channels_last(features, irreps):
    """From e3nn's layout (channel, component) to ours (component, channel), irrep by irrep."""
    blocks = [
        features[:, s].reshape(-1, mul, ir.dim).transpose(1, 2).reshape(-1, mul * ir.dim)
        for (mul, ir), s in zip(irreps, irreps.slices(), strict=True)
    ]
    return torch.cat(blocks, dim=1)


@pytest.mark.parametrize("l_max", [0, 1, 2, 3, 4])
def test_spherical_harmonics_are_e3nns(l_max):
    vectors = torch.randn(40, 3, dtype=F64, generator=torch.Generator().manual_seed(1))
    ours = SphericalHarmonics(l_max, F64)(vectors)
    theirs = o3.spherical_harmonics(
        list(range(l_max + 1)), vectors, normalize=True, normalization="component"
    )
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-13)


def test_spherical_harmonics_are_the_same_bits_each_time():
    """Else restarts would differ, and each process might compile kernels of its own."""
    coefficients = [SphericalHarmonics(4, F64).coefficients for _ in range(10)]
    assert all(torch.equal(coefficients[0], again) for again in coefficients)


def test_spherical_harmonics_have_right_second_derivatives():
    module = SphericalHarmonics(3, F64)
    vectors = torch.randn(3, 3, dtype=F64, requires_grad=True, generator=torch.Generator().manual_seed(2))
    assert torch.autograd.gradcheck(module, vectors)
    assert torch.autograd.gradgradcheck(module, vectors)


@pytest.mark.parametrize("p", [2, 6, 9])
def test_cutoff_and_its_first_two_derivatives_vanish_at_one(p):
    x = torch.tensor([0.0, 1.0 - 1e-9, 1.0, 1.5], dtype=F64, requires_grad=True)
    value = polynomial_cutoff(x, p)
    (slope,) = torch.autograd.grad(value.sum(), x, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), x)
    assert value[0] == 1.0
    assert max(value[1:].abs().max(), slope[1:].abs().max()) < 1e-12
    assert bend[1:].abs().max() < 1e-4  # grows linearly from zero inside


def test_bessel_basis_is_its_formula():
    r = torch.tensor([0.7, 2.0, 3.9], dtype=F64)
    vectors = r.unsqueeze(1) * torch.tensor([[0.36, -0.48, 0.8]], dtype=F64)
    inverse_cutoffs = torch.tensor([0.25], dtype=F64)
    basis = BesselBasis(5, False, 6, 2 * math.pi / 16.0, F64)(vectors, torch.arange(3), inverse_cutoffs)
    for row, length in enumerate(r.tolist()):
        x = length / 4.0
        for n in range(1, 6):
            envelope = 1 - 28 * x**6 + 48 * x**7 - 21 * x**8
            expected = math.sin(n * math.pi * x) / (math.pi * x) * envelope * 2 * math.pi / 16.0
            assert basis[row, n - 1].item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("irreps", ["4x0e+3x1o+2x2e", "4x0e+2x0o+3x1e+2x1o", "5x0e"])
def test_gate_is_e3nns(irreps):
    ours = Gate(o3.Irreps(irreps))
    scalars = o3.Irreps([(m, ir) for m, ir in o3.Irreps(irreps) if ir.l == 0])
    gated = o3.Irreps([(m, ir) for m, ir in o3.Irreps(irreps) if ir.l > 0])
    gates = o3.Irreps([(m, "0e") for m, _ in gated])
    silu, acts = torch.nn.functional.silu, {1: torch.nn.functional.silu, -1: torch.tanh}
    theirs = E3nnGate(scalars, [acts[ir.p] for _, ir in scalars], gates, [silu] * len(gates), gated).to(F64)
    assert ours.irreps_in == theirs.irreps_in.simplify()
    x = torch.randn(7, ours.irreps_in.dim, dtype=F64, generator=torch.Generator().manual_seed(3))
    expected = channels_last(theirs(x), theirs.irreps_out)
    # e3nn finds the normalisation of the activations by sampling: equal to about four digits
    torch.testing.assert_close(ours(channels_last(x, ours.irreps_in)), expected, rtol=2e-3, atol=2e-3)


def test_gate_without_even_scalars_first_is_refused():
    with pytest.raises(ValueError, match="even scalars before odd"):
        Gate(o3.Irreps("2x0o+2x0e"))


def test_linear_is_e3nns():
    irreps_in, irreps_out = o3.Irreps("4x0e+3x1o+2x2e"), o3.Irreps("2x0e+5x2e+3x1o+2x1e")
    theirs = o3.Linear(irreps_in, irreps_out).to(F64)
    ours = EquivariantLinear(irreps_in, irreps_out, F64)
    ours.weight.data.copy_(theirs.weight)
    x = torch.randn(6, irreps_in.dim, dtype=F64, generator=torch.Generator().manual_seed(4))
    torch.testing.assert_close(ours(channels_last(x, irreps_in)), channels_last(theirs(x), irreps_out))


def test_mlp_keeps_the_variance():
    torch.manual_seed(0)
    outputs = [ScalarMLP([64, 64, 64], F64)(torch.randn(500, 64, dtype=F64)) for _ in range(5)]
    assert 0.5 < torch.cat(outputs).std().item() < 1.5


def naive_interaction(features, harmonics, weights, edge_index, irreps, irreps_sh, wanted):
    """The definition: loops over edges, paths and channels, with e3nn's 3j symbols."""
    paths = find_paths(irreps, irreps_sh, wanted)
    order = sorted(range(len(paths)), key=lambda k: (paths[k].irrep, k))
    results = []
    for k in order:
        path = paths[k]
        at_weight = sum(p.mul for p in paths[:k])
        dim_in = irreps[path.block].ir.dim
        w3j = o3.wigner_3j(irreps[path.block].ir.l, irreps_sh[path.harmonic].ir.l, path.irrep.l, dtype=F64)
        block = features[:, irreps.slices()[path.block]].reshape(-1, dim_in, path.mul)
        out = torch.zeros(len(features), path.irrep.dim, path.mul, dtype=F64)
        for e, (i, j) in enumerate(edge_index.T.tolist()):
            y = harmonics[e, irreps_sh.slices()[path.harmonic]]
            product = torch.einsum("abc,au,b->cu", w3j, block[j], y) * path.irrep.dim**0.5
            out[i] += product * weights[e, at_weight : at_weight + path.mul]
        results.append((path.irrep, out))
    merged = []
    for irrep in sorted({irrep for irrep, _ in results}):
        merged.append(torch.cat([out for ir, out in results if ir == irrep], dim=2).flatten(1))
    return torch.cat(merged, dim=1)


@pytest.mark.parametrize("num_edges", [0, 1, 30])
@pytest.mark.parametrize("irreps", ["4x0e", "3x0e+2x1o+4x2e", "3x0e+2x0o+2x1e+2x1o"])
def test_interaction_equals_the_naive_sum(irreps, num_edges):
    irreps, irreps_sh = o3.Irreps(irreps), o3.Irreps.spherical_harmonics(2)
    wanted = o3.Irreps("1x0e+1x0o+1x1o+1x1e+1x2e")
    module = EdgeTensorProduct(irreps, irreps_sh, wanted, F64)
    rng = torch.Generator().manual_seed(5)
    features = torch.randn(6, irreps.dim, dtype=F64, generator=rng)
    harmonics = torch.randn(num_edges, irreps_sh.dim, dtype=F64, generator=rng)
    weights = torch.randn(num_edges, module.num_weights, dtype=F64, generator=rng)
    edge_index = torch.randint(0, 5, (2, num_edges), generator=rng)  # atom 5 has no neighbours
    ours = module(features, harmonics, weights, SeparateEdges(may_share=False)(edge_index, harmonics, 6))
    expected = naive_interaction(features, harmonics, weights, edge_index, irreps, irreps_sh, wanted)
    assert ours.shape == (6, module.irreps_out.dim)
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)


def test_interaction_has_right_first_and_second_derivatives():
    irreps, irreps_sh = o3.Irreps("2x0e+2x1o"), o3.Irreps.spherical_harmonics(1)
    module = EdgeTensorProduct(irreps, irreps_sh, irreps, F64)
    rng = torch.Generator().manual_seed(6)
    edge_index = torch.tensor([[0, 0, 1, 2], [1, 2, 0, 0]])
    shapes = ((3, irreps.dim), (4, irreps_sh.dim), (4, module.num_weights))
    inputs = tuple(torch.randn(*s, dtype=F64, generator=rng, requires_grad=True) for s in shapes)

    def call(x, y, w):
        buffers = (module.coupling, module.path_of_component, module.component_order)
        return interaction(x, y, w, edge_index, *buffers, module.blocks)

    assert torch.autograd.gradcheck(call, inputs)
    assert torch.autograd.gradgradcheck(call, inputs)
