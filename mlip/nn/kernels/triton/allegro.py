"""Allegro's product with environments on a GPU: Triton kernels, differentiable any number of times.

The derivatives of a matrix times a vector are products of the same kind, and sums of outer products.
"""

import math
from typing import Any

import torch
from e3nn import o3
from torch import Tensor, nn
from torch.library import triton_op

from mlip.nn.contraction import EnvironmentProduct, weighted_harmonics
from mlip.nn.kernels.triton.generate_matrices import MatrixShape, generate_triton_matrices
from mlip.nn.kernels.triton.interaction import IndexedEdges, TritonTensorProduct
from mlip.nn.kernels.triton.layers import find_layer, launch, load_layer
from mlip.nn.tensor_product import EdgeTensorProduct


class TritonEnvironmentProduct(EnvironmentProduct):
    """What `EnvironmentProduct` computes; environments are messages of neighbours whose features are 1."""

    def __init__(self, reference: EnvironmentProduct) -> None:
        nn.Module.__init__(self)
        self.channels, self.of_harmonics = reference.channels, reference.of_harmonics
        self.dim_in, self.dim_out = reference.dim_in, reference.dim_out
        self.weights = reference.weights
        self.register_buffer("coupling", reference.coupling, persistent=False)
        harmonics = o3.Irreps.spherical_harmonics(math.isqrt(reference.coupling.shape[1]) - 1)
        ones = o3.Irreps([(self.channels, "0e")])
        self.sum = TritonTensorProduct(
            EdgeTensorProduct(ones, harmonics, harmonics, reference.coupling.dtype)
        )
        filled = reference.coupling.ne(0).any(dim=1).any(dim=0).view(self.dim_out, self.dim_in)
        entries = tuple((int(row), int(column)) for row, column in filled.nonzero().tolist())
        shape = MatrixShape(self.dim_out, self.dim_in, self.channels, entries)
        self.kernel = load_layer(generate_triton_matrices(shape), self.dim_out, 0)
        self.programs = [len(shape.groups(transposed)) * shape.chunks for transposed in (False, True)]

    def forward(  # type: ignore[override]  # the edges are those of this back end
        self,
        features: Tensor,
        weights: Tensor,
        harmonics: Tensor,
        neighbor_scale: Tensor,
        edges: IndexedEdges,
    ) -> tuple[Tensor, Tensor]:
        """Products (E, D_out * U) and their scalars (E, U); arguments as those of `EnvironmentProduct`."""
        num_edges, num_atoms = harmonics.shape[0], neighbor_scale.shape[0]
        ones = harmonics.new_ones(num_atoms, self.channels)
        environment = self.sum(ones, harmonics, weights, edges) * neighbor_scale.unsqueeze(1)
        matrices = self.centre_matrices(environment.view(num_atoms, -1, self.channels))
        if self.of_harmonics:
            tensors = torch.cat(weighted_harmonics(harmonics, features, self.channels), dim=1)
        else:
            tensors = features.view(num_edges, self.dim_in, self.channels)
        product = multiply(matrices, tensors, edges.start, self.kernel, self.programs, False)
        return product.view(num_edges, self.dim_out * self.channels), product.select(1, 0)


@triton_op("vitreous_triton::multiply", mutates_args=())
def multiply(
    matrices: Tensor, vectors: Tensor, start: Tensor, kernel: str, programs: list[int], transposed: bool
) -> Tensor:
    """Multiply each edge's vectors by the matrix of its centre, channel by channel.

    Args:
        matrices: (N, rows, columns, U).
        vectors: (E, columns, U), or (E, rows, U) if transposed.
        start: (N + 1,) first edge of each centre.
        kernel: Name of the kernels, from `load_layer`.
        programs: Programs per centre, for matrices and for transposed ones.
        transposed: Whether the matrices are.

    Returns:
        (E, rows, U), or (E, columns, U) if transposed.
    """
    matrices, vectors = matrices.contiguous(), vectors.contiguous()
    out = vectors.new_empty(vectors.shape[0], matrices.shape[2 if transposed else 1], vectors.shape[2])
    kernels = find_layer(kernel).kernels
    chosen = kernels.multiply_transposed if transposed else kernels.multiply
    launch(chosen, (matrices.shape[0], programs[int(transposed)]), matrices, vectors, out, start)
    return out


@triton_op("vitreous_triton::sum_outer", mutates_args=())
def sum_outer(results: Tensor, vectors: Tensor, start: Tensor, kernel: str, programs: list[int]) -> Tensor:
    """Sum the outer products of each centre's edges: (N, rows, columns, U), zero where matrices always are.

    Args:
        results: (E, rows, U).
        vectors: (E, columns, U).
        start: (N + 1,) first edge of each centre.
        kernel: Name of the kernels, from `load_layer`.
        programs: Programs per centre, for matrices and for transposed ones.
    """
    results, vectors = results.contiguous(), vectors.contiguous()
    num_atoms = start.shape[0] - 1
    sums = vectors.new_zeros(num_atoms, results.shape[1], vectors.shape[1], vectors.shape[2])
    launch(find_layer(kernel).kernels.outer, (num_atoms, programs[0]), results, vectors, sums, start)
    return sums


@multiply.register_fake
def _(
    matrices: Tensor, vectors: Tensor, start: Tensor, kernel: str, programs: list[int], transposed: bool
) -> Tensor:
    return vectors.new_empty(vectors.shape[0], matrices.shape[2 if transposed else 1], vectors.shape[2])


@sum_outer.register_fake
def _(results: Tensor, vectors: Tensor, start: Tensor, kernel: str, programs: list[int]) -> Tensor:
    return vectors.new_empty(start.shape[0] - 1, results.shape[1], vectors.shape[1], vectors.shape[2])


def _save_multiply(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:3])
    ctx.kernel, ctx.programs, ctx.transposed = inputs[3:]


def _differentiate_multiply(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    matrices, vectors, start = ctx.saved_tensors
    results, given = (vectors, g) if ctx.transposed else (g, vectors)
    by_matrices = by_vectors = None
    if ctx.needs_input_grad[0]:
        by_matrices = sum_outer(results, given, start, ctx.kernel, ctx.programs)
    if ctx.needs_input_grad[1]:
        by_vectors = multiply(matrices, g, start, ctx.kernel, ctx.programs, not ctx.transposed)
    return by_matrices, by_vectors, None, None, None, None


def _save_outer(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:3])
    ctx.kernel, ctx.programs = inputs[3:]


def _differentiate_outer(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    results, vectors, start = ctx.saved_tensors
    by_results = by_vectors = None
    if ctx.needs_input_grad[0]:
        by_results = multiply(g, vectors, start, ctx.kernel, ctx.programs, False)
    if ctx.needs_input_grad[1]:
        by_vectors = multiply(g, results, start, ctx.kernel, ctx.programs, True)
    return by_results, by_vectors, None, None, None


multiply.register_autograd(_differentiate_multiply, setup_context=_save_multiply)
sum_outer.register_autograd(_differentiate_outer, setup_context=_save_outer)
