"""The multilayer perceptron of radial functions and readouts."""

from itertools import pairwise

import torch
from torch import Tensor, nn


class ScalarMLP(nn.Module):
    """Bias-free perceptron with silu between layers and variance kept by fixed factors.

    y = x W gain / sqrt(fan in), gain 1 in the first layer and sqrt(2) after a silu.

    Args:
        widths: Input, hidden and output widths; two entries make it linear.
        dtype: Of the weights.

    Source: nequip 0.19 `ScalarMLPFunction`.
    """

    factors: list[float]

    def __init__(self, widths: list[int], dtype: torch.dtype) -> None:
        super().__init__()
        bound = 3**0.5  # unit variance of a uniform distribution
        self.weights = nn.ParameterList(
            nn.Parameter(torch.empty(n_in, n_out, dtype=dtype).uniform_(-bound, bound))
            for n_in, n_out in pairwise(widths)
        )
        self.factors = [(2.0 if layer else 1.0) ** 0.5 * n_in**-0.5 for layer, n_in in enumerate(widths[:-1])]

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., widths[0]) to (..., widths[-1])."""
        for layer, weight in enumerate(self.weights):
            if layer > 0:
                x = nn.functional.silu(x)
            x = x @ (weight * self.factors[layer])
        return x
