"""Linear maps of atoms' features as compiled C++, for weights that do not change: one matrix a species."""

import torch
from torch import Tensor, nn

from mlip.nn.kernels.cpp.load import load_kernel
from mlip.nn.linear import EquivariantLinear, SelfConnection

SOURCE = """#include "node_linear_loops.h"

extern "C" const vitreous::NodeLinearKernel<Real> {name} = vitreous::NodeLinearLoops<Real>::kernel;
"""
# Rows of matrices are filled up to a multiple of this; as in node_linear_kernel.h.
PADDING = 16

# As of a reference: start, mul_in, mul_out, dim, start of weights.
Block = tuple[int, int, int, int, int]


class NodeLinear(nn.Module):
    """A linear map of features with constant matrices.

    Args:
        blocks: Of the reference; those that nothing is mapped to give zeros.
        matrices: (T, mul_in, mul_out) of each block with inputs, T species or 1.

    Raises:
        ConfigError: There is no compiler, or it failed.
    """

    forward_weights: Tensor
    backward_weights: Tensor

    def __init__(self, blocks: list[Block], matrices: list[Tensor]) -> None:
        super().__init__()
        self.result = sum(dim * mul_out for _, _, mul_out, dim, _ in blocks)
        self.forward_blocks: list[int] = []
        self.backward_blocks: list[int] = []
        placed: tuple[list[Tensor], list[Tensor]] = ([], [])
        result_start, remaining = 0, iter(matrices)
        for start, mul_in, mul_out, dim, _ in blocks:
            if mul_in > 0:
                matrix = next(remaining)
                self.forward_blocks += [dim, start, mul_in, result_start, mul_out, _width(placed[0])]
                self.backward_blocks += [dim, result_start, mul_out, start, mul_in, _width(placed[1])]
                placed[0].append(_padded(matrix))
                placed[1].append(_padded(matrix.transpose(1, 2)))
            result_start += dim * mul_out
        self.register_buffer("forward_weights", torch.cat(placed[0], dim=1), persistent=False)
        self.register_buffer("backward_weights", torch.cat(placed[1], dim=1), persistent=False)
        self.kernel = load_kernel(lambda name: SOURCE.format(name=name), matrices[0].dtype)

    def forward(self, features: Tensor, species: Tensor | None) -> Tensor:
        """Map (N, features) of atoms of species (N,) to (N, result)."""
        return torch.ops.vitreous.node_linear(
            features,
            species,
            self.forward_weights,
            self.backward_weights,
            self.forward_blocks,
            self.backward_blocks,
            self.result,
            self.kernel,
        )


def _width(placed: list[Tensor]) -> int:
    return sum(part.shape[1] for part in placed)


def _padded(matrices: Tensor) -> Tensor:
    """Flat matrices (T, rows, columns), their rows filled up with zeros."""
    missing = -matrices.shape[2] % PADDING
    return nn.functional.pad(matrices, (0, missing)).flatten(1)


class CompiledLinear(nn.Module):
    """What `EquivariantLinear` computes, its weights not being trained.

    Raises:
        ConfigError: There is no compiler, or it failed.
    """

    def __init__(self, reference: EquivariantLinear) -> None:
        super().__init__()
        self.weight = reference.weight  # as in the file of weights
        with torch.no_grad():
            self.map = NodeLinear(reference.blocks, reference.matrices())

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, irreps_in.dim) to (N, irreps_out.dim)."""
        return self.map(features, None)


class CompiledSelfConnection(nn.Module):
    """What `SelfConnection` computes, its weights and the embedding of species not being trained.

    Args:
        reference: The map.
        embedding: (T, num_attributes) one row per species.

    Raises:
        ConfigError: There is no compiler, or it failed.
    """

    def __init__(self, reference: SelfConnection, embedding: Tensor) -> None:
        super().__init__()
        self.weight = reference.weight  # as in the file of weights
        with torch.no_grad():
            self.map = NodeLinear(reference.blocks, reference.matrices(embedding))

    def forward(self, features: Tensor, embedding: Tensor, species: Tensor) -> Tensor:
        """Map (N, irreps_in.dim) to (N, irreps_out.dim); the embedding is known already."""
        return self.map(features, species)


def fix_weights(model: nn.Module) -> None:
    """Exchange, in place, linear maps of atoms' features whose weights are not trained.

    Args:
        model: In evaluation mode; one in training mode stays as it is, for its weights may yet be loaded.

    Raises:
        ConfigError: There is no compiler, or it failed.
    """
    if model.training:
        return
    for name, module in list(model.named_modules()):
        if type(module) is EquivariantLinear and not module.weight.requires_grad and module.matrices():
            model.set_submodule(name, CompiledLinear(module))
        if type(module) is SelfConnection:
            embedding = model.get_parameter("species_embedding")
            if not (module.weight.requires_grad or embedding.requires_grad) and module.matrices(embedding):
                model.set_submodule(name, CompiledSelfConnection(module, embedding))
