"""The multilayer perceptron of radial functions, latents and readouts."""

from itertools import pairwise

import torch
from torch import Tensor, nn

NONLINEARITIES = {"silu": nn.SiLU, "mish": nn.Mish, "gelu": nn.GELU, None: nn.Identity}


class ScalarMLP(nn.Module):
    """Bias-free perceptron with variance kept by fixed factors.

    y = x W gain / sqrt(fan in), gain 1 in the first layer and sqrt(2) after a nonlinearity.

    Args:
        widths: Input, hidden and output widths; two entries make it linear.
        dtype: Of the weights.
        nonlinearity: Between the layers: silu, mish, gelu; None leaves a product of linear maps.

    Source: nequip 0.19 `ScalarMLPFunction`.
    """

    factors: list[float]

    def __init__(self, widths: list[int], dtype: torch.dtype, nonlinearity: str | None = "silu") -> None:
        super().__init__()
        bound = 3**0.5  # unit variance of a uniform distribution
        self.weights = nn.ParameterList(
            nn.Parameter(torch.empty(n_in, n_out, dtype=dtype).uniform_(-bound, bound))
            for n_in, n_out in pairwise(widths)
        )
        self.activation = NONLINEARITIES[nonlinearity]()
        gain = 1.0 if nonlinearity is None else 2.0**0.5
        self.factors = [(gain if layer else 1.0) * n_in**-0.5 for layer, n_in in enumerate(widths[:-1])]

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., widths[0]) to (..., widths[-1])."""
        return self.output(self.penultimate(x))

    def penultimate(self, x: Tensor) -> Tensor:
        """Map (..., widths[0]) to (..., widths[-2]), what the last linear map acts upon."""
        for layer, weight in enumerate(self.weights):
            if layer + 1 < len(self.factors):
                x = self.activation(x @ (weight * self.factors[layer]))
        return x

    def output(self, x: Tensor) -> Tensor:
        """Apply the last linear map: (..., widths[-2]) to (..., widths[-1])."""
        return x @ (self.weights[-1] * self.factors[-1])
