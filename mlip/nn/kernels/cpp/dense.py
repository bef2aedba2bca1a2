"""Dense layers on the CPU as compiled C++."""

import torch
from torch import Tensor, nn

from mlip.nn.kernels.cpp.load import load_kernel
from mlip.nn.mlp import Dense, part

SOURCE = """#include "dense_loops.h"

extern "C" const vitreous::DenseKernel<Real> {name} = vitreous::DenseLoops<Real>::kernel;
"""


class CompiledDense(nn.Module):
    """What `Dense` computes; silu within the kernel, any other nonlinearity after it.

    Raises:
        ConfigError: There is no compiler, or it failed.
    """

    def __init__(self, reference: Dense) -> None:
        super().__init__()
        self.fused = reference.nonlinearity == "silu"
        self.activation = reference.activation
        self.kernel = load_kernel(lambda name: SOURCE.format(name=name), reference.dtype)

    def forward(
        self, features: list[Tensor], weight: Tensor, widths: list[int], activated: bool
    ) -> list[Tensor]:
        """Outputs as wide as `widths` says; arguments as those of `Dense`."""
        if not activated:
            return torch.ops.vitreous.dense(features, weight, widths, False, self.kernel)
        results = torch.ops.vitreous.dense(features, weight, [weight.shape[1]], self.fused, self.kernel)
        result = results[0] if self.fused else self.activation(results[0])
        return part(result, widths)
