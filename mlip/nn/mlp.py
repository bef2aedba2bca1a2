"""The multilayer perceptron of radial functions, latents and readouts."""

from itertools import pairwise

import torch
from torch import Tensor, nn

NONLINEARITIES = {"silu": nn.SiLU, "mish": nn.Mish, "gelu": nn.GELU, None: nn.Identity}


class Dense(nn.Module):
    """Linear maps of features that lie in several tensors, with or without a nonlinearity.

    Args:
        nonlinearity: silu, mish, gelu, or None.
        dtype: Of features and weights.
    """

    def __init__(self, nonlinearity: str | None, dtype: torch.dtype) -> None:
        super().__init__()
        self.nonlinearity, self.dtype = nonlinearity, dtype
        self.activation = NONLINEARITIES[nonlinearity]()

    def forward(
        self, features: list[Tensor], weight: Tensor, widths: list[int], activated: bool
    ) -> list[Tensor]:
        """Map features (E, K_1), (E, K_2), ... by a weight (sum of K, N) to outputs as wide as `widths` says.

        Args:
            features: As if they stood side by side.
            weight: Scaled already.
            widths: How to part the N columns of the result.
            activated: Whether the nonlinearity acts upon the result.
        """
        result = (features[0] if len(features) == 1 else torch.cat(features, dim=1)) @ weight
        return part(self.activation(result) if activated else result, widths)


def part(x: Tensor, widths: list[int]) -> list[Tensor]:
    """The columns of x, parted; x itself where they stay together: a part's gradient takes a copy."""
    return [x] if len(widths) == 1 else list(torch.split(x, widths, dim=1))


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
        self.dense = Dense(nonlinearity, dtype)
        gain = 1.0 if nonlinearity is None else 2.0**0.5
        self.factors = [(gain if layer else 1.0) * n_in**-0.5 for layer, n_in in enumerate(widths[:-1])]

    def forward(self, x: Tensor) -> Tensor:
        """Map (E, widths[0]) to (E, widths[-1])."""
        return self.output(self.penultimate(x))

    def penultimate(self, x: Tensor) -> Tensor:
        """Map (E, widths[0]) to (E, widths[-2]), what the last linear map acts upon."""
        return self.hidden([x], []) if len(self.factors) > 1 else x

    def penultimate_of(self, activations: list[Tensor], to_inputs: list[Tensor]) -> Tensor:
        """The same from inputs that are products of activations (E, H_k) and matrices (H_k, K_k)."""
        if len(self.factors) > 1:
            return self.hidden(activations, to_inputs)
        inputs: list[Tensor] = []
        for features, matrix in zip(activations, to_inputs):  # noqa: B905 (TorchScript)
            inputs += self.dense([features], matrix, [matrix.shape[1]], False)
        return torch.cat(inputs, dim=1)

    def output(self, x: Tensor) -> Tensor:
        """Apply the last linear map: (E, widths[-2]) to (E, widths[-1])."""
        matrix = self.matrices()[-1]
        return self.dense([x], matrix, [matrix.shape[1]], False)[0]

    def latents(
        self, features: list[Tensor], to_inputs: list[Tensor], count: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Outputs of which the first ones, the latents, are read by linear maps alone, so that they may wait.

        Args:
            features: As those of `hidden`.
            to_inputs: As those of `hidden`.
            count: Number L of latents.

        Returns:
            Activations (E, H) and a matrix (H, L) whose product the latents are, and the other outputs. H is
            no more than L: latents of wider activations are computed.
        """
        matrix = self.matrices()[-1]
        others = matrix.shape[1] - count
        if len(self.factors) > 1:
            features = [self.hidden(features, to_inputs)]
            if matrix.shape[0] <= count:
                rest = self.dense(features, matrix.narrow(1, count, others), [others], False)[0]
                return features[0], matrix.narrow(1, 0, count), rest
        else:
            matrix = through(to_inputs, matrix)
        parts = self.dense(features, matrix, [count, others], False)
        return parts[0], torch.eye(count, dtype=matrix.dtype, device=matrix.device), parts[1]

    def hidden(self, features: list[Tensor], to_inputs: list[Tensor]) -> Tensor:
        """Activations (E, widths[-2]) of the last hidden layer.

        Args:
            features: (E, H_k); side by side, the first ones multiplied by `to_inputs`, they are the inputs.
            to_inputs: (H_k, K_k), one for each of the first features.
        """
        for layer, matrix in enumerate(self.matrices()[:-1]):
            weight = through(to_inputs, matrix) if layer == 0 else matrix
            features = self.dense(features, weight, [weight.shape[1]], True)
        return features[0]

    def matrices(self) -> list[Tensor]:
        """The layers' matrices (widths[k], widths[k + 1]), their factors in them."""
        scaled: list[Tensor] = []
        for layer, weight in enumerate(self.weights):
            scaled.append(weight * self.factors[layer])
        return scaled


def through(to_inputs: list[Tensor], weight: Tensor) -> Tensor:
    """The matrix that acts upon features as a weight acts upon the inputs that are made of them.

    Args:
        to_inputs: (H_k, K_k) from features to inputs; what follows them are inputs already.
        weight: (K, N) with K at least the sum of K_k.

    Returns:
        (sum of H_k + K - sum of K_k, N).
    """
    rows: list[Tensor] = []
    at = 0
    for matrix in to_inputs:
        rows.append(matrix @ weight.narrow(0, at, matrix.shape[1]))
        at += matrix.shape[1]
    rows.append(weight.narrow(0, at, weight.shape[0] - at))
    return torch.cat(rows, dim=0)
