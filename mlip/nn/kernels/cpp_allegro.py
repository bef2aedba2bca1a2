"""Allegro's kernels on the CPU as compiled C++."""

import torch
from torch import Tensor, nn

from mlip.nn.contraction import EnvironmentProduct
from mlip.nn.kernels.cpp import load_kernel
from mlip.nn.kernels.edges import Edges
from mlip.nn.kernels.generate_environment import generate_environment


class CompiledEnvironmentProduct(nn.Module):
    """What `EnvironmentProduct` computes.

    Raises:
        ConfigError: There is no compiler, or it failed.
    """

    def __init__(self, reference: EnvironmentProduct) -> None:
        super().__init__()
        self.weights = reference.weights  # as in the file of weights
        self.channels = reference.channels
        self.kernel = load_kernel(
            lambda name: generate_environment(
                reference.coupling,
                reference.dim_in,
                reference.dim_out,
                reference.channels,
                reference.of_harmonics,
                name,
            ),
            reference.coupling.dtype,
        )

    def forward(
        self, features: Tensor, weights: Tensor, harmonics: Tensor, neighbor_scale: Tensor, edges: Edges
    ) -> Tensor:
        """Products (E, D_out * U); arguments as those of `EnvironmentProduct`, edges sorted by centre."""
        paths = self.weights.expand(self.weights.shape[0], self.channels)
        return torch.ops.vitreous.environment(
            features, weights, harmonics, paths, neighbor_scale, edges.start, self.kernel
        )
