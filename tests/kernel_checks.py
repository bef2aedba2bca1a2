"""Comparison of a compiled function with its reference, up to the second derivative."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def derivatives(function: Callable[..., Sequence[Tensor]], inputs: Sequence[Tensor]) -> list[Tensor]:
    """The values of a function, and all first and second derivatives along the same random directions."""
    generator = torch.Generator().manual_seed(5)

    def direction(tensor):
        return torch.randn(tensor.shape, dtype=torch.float64, generator=generator).to(tensor.dtype)

    values = function(*inputs)
    seeds = [direction(value).requires_grad_() for value in values]
    first = torch.autograd.grad(values, inputs, seeds, create_graph=True)
    along = [direction(gradient) for gradient in first]
    second = torch.autograd.grad(first, (*inputs, *seeds), along, allow_unused=True)
    of = zip((*inputs, *seeds), second, strict=True)
    return [*values, *first, *(torch.zeros_like(t) if d is None else d for t, d in of)]


def assert_same(ours: Sequence[Tensor], theirs: Sequence[Tensor], tolerance: float) -> None:
    """Equal shapes, and differences no larger than the tolerance times the largest number."""
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.shape == other.shape
        assert mine.dtype == other.dtype
        if other.numel():
            assert (mine - other).abs().max() <= tolerance * (other.abs().max() + 1e-30)
