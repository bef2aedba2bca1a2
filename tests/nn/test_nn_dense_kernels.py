"""Compiled dense layers and embeddings of pairs against plain torch, up to the second derivative."""

import pytest
import torch
from kernel_checks import assert_same, derivatives

from mlip.nn.edge_embedding import BesselEmbedding, SplineEmbedding
from mlip.nn.kernels.cpp.allegro import CompiledBesselEmbedding, CompiledSplineEmbedding
from mlip.nn.kernels.cpp.dense import CompiledDense
from mlip.nn.kernels.cpp.interaction import SharedEdges
from mlip.nn.mlp import Dense, ScalarMLP, through

# Rows, widths of the features, widths of the results, activated.
LAYERS = {
    "whole vectors": (96, [64], [64, 32], False),
    "whole vectors, activated": (96, [32, 16], [64], True),
    "tails everywhere": (101, [7, 5], [3, 19], False),
    "tails everywhere, activated": (101, [7, 5], [19], True),
    "one number": (3, [1], [1], True),
    "wide": (50, [150], [130], True),
    "a part without columns": (5, [4], [6, 0], False),
    "no rows": (0, [3, 2], [4], True),
}


def dense_inputs(rows, widths_in, widths_out, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    shapes = [(rows, width) for width in widths_in] + [(sum(widths_in), sum(widths_out))]
    tensors = [torch.randn(shape, dtype=torch.float64, generator=generator).to(dtype) for shape in shapes]
    return [tensor.requires_grad_() for tensor in tensors]


def caller(module, widths, activated):
    return lambda *inputs: module(list(inputs[:-1]), inputs[-1], widths, activated)


@pytest.mark.parametrize("nonlinearity", ["silu", "gelu", None])
@pytest.mark.parametrize("name", LAYERS)
def test_dense_agrees_with_the_reference_up_to_the_second_derivative(name, nonlinearity):
    rows, widths_in, widths_out, activated = LAYERS[name]
    for dtype, tolerance in ((torch.float64, 1e-13), (torch.float32, 3e-6)):
        inputs = dense_inputs(rows, widths_in, widths_out, dtype)
        reference = Dense(nonlinearity, dtype)
        ours = caller(CompiledDense(reference), widths_out, activated)
        theirs = caller(reference, widths_out, activated)
        assert_same(derivatives(ours, inputs), derivatives(theirs, inputs), tolerance)


@pytest.mark.parametrize("name", ["tails everywhere", "one number"])
def test_dense_derivatives_are_those_of_finite_differences(name):
    rows, widths_in, widths_out, activated = LAYERS[name]
    call = caller(CompiledDense(Dense("silu", torch.float64)), widths_out, activated)
    inputs = dense_inputs(rows, widths_in, widths_out)
    assert torch.autograd.gradcheck(call, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(call, inputs, fast_mode=True)


def test_silu_is_accurate_from_end_to_end():
    z = torch.cat([torch.linspace(-80, 120, 4001), torch.tensor([0.0, -1e-30, 1e-30, 1e4, -1e4])]).double()
    for dtype, tolerance in ((torch.float64, 1e-14), (torch.float32, 1e-6)):
        x = z.to(dtype).unsqueeze(1)
        module = CompiledDense(Dense("silu", dtype))
        found = module([x], torch.ones(1, 1, dtype=dtype), [1], True)[0].squeeze(1)
        expected = torch.nn.functional.silu(x.double()).squeeze(1)
        assert ((found.double() - expected).abs() <= tolerance * expected.abs().clamp(min=1e-20)).all()


def test_dense_is_the_same_on_any_number_of_threads():
    inputs = dense_inputs(3001, [24, 9], [37])
    call = caller(CompiledDense(Dense("silu", torch.float64)), [37], True)
    before, results = torch.get_num_threads(), []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        results.append(derivatives(call, inputs))
    torch.set_num_threads(before)
    assert all(torch.equal(*pair) for other in results[1:] for pair in zip(results[0], other, strict=True))


@pytest.mark.parametrize("read", [0, 1])
def test_a_result_that_nobody_reads_adds_nothing(read):
    rows, widths_in, widths_out, activated = LAYERS["tails everywhere"]
    inputs = dense_inputs(rows, widths_in, widths_out)
    reference = Dense("silu", torch.float64)
    ours, theirs = (
        derivatives(lambda *x, call=call: call(*x)[read : read + 1], inputs)
        for call in (
            caller(CompiledDense(reference), widths_out, activated),
            caller(reference, widths_out, activated),
        )
    )
    assert_same(ours, theirs, 1e-13)


def test_gradients_of_features_alone():
    rows, widths_in, widths_out, activated = LAYERS["tails everywhere, activated"]
    *features, weight = dense_inputs(rows, widths_in, widths_out)
    results = []
    for module in (Dense("silu", torch.float64), CompiledDense(Dense("silu", torch.float64))):
        value = module(features, weight.detach(), widths_out, activated)[0]
        first = torch.autograd.grad(value.square().sum(), features[:1], create_graph=True)
        results.append((*first, *torch.autograd.grad(first[0].square().sum(), features)))
    assert_same(results[1], results[0], 1e-12)


def test_wrong_sizes_are_refused():
    module = CompiledDense(Dense("silu", torch.float64))
    with pytest.raises(RuntimeError, match="expected"):
        module([torch.zeros(2, 3).double()], torch.zeros(4, 5).double(), [5], False)
    with pytest.raises(RuntimeError, match="expected"):
        module([torch.zeros(2, 3).double()], torch.zeros(3, 5).double(), [4], False)


@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize("width", [3, 20])
def test_latents_are_the_perceptrons_outputs(depth, width):
    """Whether they are computed or left as a product of activations and a matrix."""
    torch.manual_seed(0)
    module = ScalarMLP([9, *[width] * depth, 7], torch.float64)
    inputs, matrix = torch.randn(11, 4, dtype=torch.float64), torch.randn(4, 6, dtype=torch.float64)
    others = torch.randn(11, 3, dtype=torch.float64)
    hidden, to_latents, rest = module.latents([inputs, others], [matrix], 5)
    expected = module(torch.cat([inputs @ matrix, others], dim=1))
    torch.testing.assert_close(
        torch.cat([hidden @ to_latents, rest], dim=1), expected, rtol=1e-12, atol=1e-12
    )
    assert hidden.shape[1] <= 5
    weight = torch.randn(9, 2, dtype=torch.float64)
    torch.testing.assert_close(
        torch.cat([inputs, others], dim=1) @ through([matrix], weight),
        torch.cat([inputs @ matrix, others], dim=1) @ weight,
    )


EMBEDDINGS = {
    "bessel": (BesselEmbedding, (3, 6, 5, False, 6), CompiledBesselEmbedding),
    "bessel, whole vectors": (BesselEmbedding, (2, 64, 8, True, 6), CompiledBesselEmbedding),
    "spline": (SplineEmbedding, (3, 5, 7, 4), CompiledSplineEmbedding),
}


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
@pytest.mark.parametrize("name", EMBEDDINGS)
def test_embedding_agrees_with_the_reference_up_to_the_second_derivative(name, dtype, tolerance):
    kind, arguments, compiled = EMBEDDINGS[name]
    torch.manual_seed(0)
    reference = kind(*arguments, dtype)
    ours = compiled(reference)
    assert list(ours.state_dict()) == list(reference.state_dict())
    edge_index = torch.tensor([[0] * 30 + [1] * 41, [1, 0, 2] * 10 + [0] * 41])
    edge_vec = torch.randn(71, 3, dtype=torch.float64).requires_grad_()
    edges = SharedEdges(False)(edge_index, edge_vec, 3)
    names = [key for key, parameter in reference.named_parameters() if parameter.requires_grad]
    inputs = (edge_vec, *(reference.get_parameter(key) for key in names))

    def of(module):
        def call(vec, *weights):
            inverse_cutoff = torch.tensor([0.3], dtype=torch.float64)
            parameters = dict(zip(names, weights, strict=True))
            return [
                torch.func.functional_call(
                    module, parameters, (vec, edges, inverse_cutoff, torch.tensor([1, 0, 1]))
                )
            ]

        return call

    assert_same(derivatives(of(ours), inputs), derivatives(of(reference), inputs), tolerance)
