"""Linear maps of features as compiled kernels against the reference: values, derivatives, bad input."""

import pytest
import torch
from e3nn import o3

from mlip.nn.kernels.cpp.linear import CompiledLinear, CompiledSelfConnection, fix_weights
from mlip.nn.linear import EquivariantLinear, SelfConnection

SHAPES = {
    "few channels, new irreps": ("3x0e+5x1o", "7x0e+17x1o+2x2e"),
    "whole vectors": ("32x0e+16x1o+32x2e", "96x0e+16x1o+32x2e"),
    "many columns, all degrees": ("5x0e+33x1o+2x2e+4x3o+1x4e", "130x0e+33x1o+3x2e+1x3o+40x4e"),
    "irreps that are left out": ("3x0e+2x0o+4x1o", "3x1o"),
}
DTYPES = {torch.float64: 1e-13, torch.float32: 2e-6}
NUM_SPECIES = 3


def maps(irreps_in, irreps_out, dtype):
    """Reference and compiled kernels, of features and species alone."""
    torch.manual_seed(0)
    linear = EquivariantLinear(irreps_in, irreps_out, dtype).requires_grad_(False)
    connection = SelfConnection(irreps_in, 4, irreps_out, dtype).requires_grad_(False)
    embedding = torch.randn(NUM_SPECIES, 4, dtype=dtype)
    compiled, compiled_connection = CompiledLinear(linear), CompiledSelfConnection(connection, embedding)
    return (
        (lambda x, _: linear(x), lambda x, _: compiled(x)),
        (lambda x, s: connection(x, embedding, s), lambda x, s: compiled_connection(x, embedding, s)),
    )


def derivatives(function, features, species):
    """The result, its gradient along a direction, and what that gradient changes with the direction."""
    generator = torch.Generator().manual_seed(1)
    result = function(features, species)
    direction = torch.randn(result.shape, dtype=torch.float64, generator=generator).to(result.dtype)
    direction.requires_grad_()
    (gradient,) = torch.autograd.grad(result, features, direction, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum(), direction)
    return result, gradient, second


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", SHAPES)
def test_the_compiled_map_is_the_reference(name, dtype):
    irreps_in, irreps_out = map(o3.Irreps, SHAPES[name])
    for reference, compiled in maps(irreps_in, irreps_out, dtype):
        for number in (0, 1, 7, 100):
            features = torch.randn(number, irreps_in.dim, dtype=dtype).requires_grad_()
            species = torch.arange(number) % NUM_SPECIES
            ours, theirs = (derivatives(function, features, species) for function in (compiled, reference))
            for mine, other in zip(ours, theirs, strict=True):
                assert mine.shape == other.shape
                assert mine.dtype == other.dtype
                if number:
                    assert (mine - other).abs().max() <= DTYPES[dtype] * (1.0 + other.abs().max())


def test_threads_give_the_same_bits():
    irreps = o3.Irreps("17x0e+5x1o")
    _, (_, compiled) = maps(irreps, irreps, torch.float64)
    features, species = torch.randn(500, irreps.dim, dtype=torch.float64), torch.arange(500) % NUM_SPECIES
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(compiled(features, species))
    finally:
        torch.set_num_threads(before)
    assert results[0].equal(results[1])


def test_weights_that_are_trained_stay_as_they_are():
    irreps = o3.Irreps("3x0e+2x1o")
    fixed = EquivariantLinear(irreps, irreps, torch.float64).requires_grad_(False)
    trained = EquivariantLinear(irreps, irreps, torch.float64)
    model = torch.nn.Sequential(fixed, trained)
    names = list(model.state_dict())
    fix_weights(model)
    assert model[0] is fixed  # in training mode
    fix_weights(model.eval())
    assert type(model[0]) is CompiledLinear
    assert model[1] is trained
    assert list(model.state_dict()) == names


def test_what_does_not_fit_is_refused():
    irreps = o3.Irreps("3x0e+2x1o")
    (_, linear), (_, connection) = maps(irreps, irreps, torch.float64)
    features, species = torch.randn(4, irreps.dim, dtype=torch.float64), torch.tensor([0, 1, 2, 0])
    for call in (
        lambda: linear(features[:, 1:], species),
        lambda: linear(features.float(), species),
        lambda: connection(features, species[1:]),
        lambda: connection(features, species + 1),
        lambda: connection(features, species - 1),
    ):
        with pytest.raises(RuntimeError, match=r"expected|beyond"):
            call()
