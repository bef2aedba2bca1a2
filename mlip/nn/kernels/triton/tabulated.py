"""Interactions with tabulated weights on a GPU: weights are interpolated inside the loop over edges.

For inference: differentiable once.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.library import triton_op

from mlip.nn.kernels.triton.frame import count_parts
from mlip.nn.kernels.triton.generate_tabulated import generate_triton_tabulated
from mlip.nn.kernels.triton.interaction import IndexedEdges
from mlip.nn.kernels.triton.layers import find_layer, launch, load_layer
from mlip.nn.radial_table import RadialTable
from mlip.nn.tensor_product import EdgeTensorProduct


class TritonTabulatedProduct(nn.Module):
    """What `EdgeTensorProduct` makes of the weights of a `RadialTable`.

    Args:
        reference: The product.
        radial: The table of its weights.
    """

    table: Tensor

    def __init__(self, reference: EdgeTensorProduct, radial: RadialTable) -> None:
        super().__init__()
        width = reference.irreps_out.dim
        source = generate_triton_tabulated(reference.layouts, reference.irreps_in.dim, width, radial.pieces)
        self.kernel = load_layer(source, width, count_parts(reference.layouts))
        self.register_buffer("table", radial.by_path(reference), persistent=False)

    def forward(self, features: Tensor, harmonics: Tensor, lengths: Tensor, edges: IndexedEdges) -> Tensor:
        """Messages summed at each centre; arguments as those of `EdgeTensorProduct`, with lengths (E, 1)."""
        return tabulated_interaction(
            features,
            harmonics,
            lengths,
            self.table,
            edges.edge_index[0],
            edges.edge_index[1],
            edges.start,
            edges.incoming,
            edges.incoming_start,
            self.kernel,
        )


@triton_op("vitreous_triton::tabulated_interaction", mutates_args=())
def tabulated_interaction(
    x: Tensor,
    y: Tensor,
    lengths: Tensor,
    table: Tensor,
    centre: Tensor,
    neighbor: Tensor,
    start: Tensor,
    incoming: Tensor,
    incoming_start: Tensor,
    kernel: str,
) -> Tensor:
    """Messages (N, result) summed at each centre.

    Args:
        x: (N, features) features.
        y: (E, S) harmonics.
        lengths: (E, 1) over the cutoff, float64.
        table: (pieces + 1, 4 weights) as `RadialTable.by_path` gives it.
        centre: (E,) sorted.
        neighbor: (E,)
        start: (N + 1,) first edge of each centre.
        incoming: (E,) edges in the order of their neighbours.
        incoming_start: (N + 1,) first of them of each neighbour.
        kernel: Name of the kernels, from `load_layer`.
    """
    layer = find_layer(kernel)
    x, y, lengths = x.contiguous(), y.contiguous(), lengths.contiguous()
    out = x.new_empty(x.shape[0], layer.result)
    grid = (x.shape[0], layer.parts)
    launch(layer.kernels.forward, grid, x, y, lengths, table, neighbor, out, start)
    return out


@triton_op("vitreous_triton::tabulated_backward", mutates_args=())
def tabulated_backward(
    g: Tensor,
    x: Tensor,
    y: Tensor,
    lengths: Tensor,
    table: Tensor,
    centre: Tensor,
    neighbor: Tensor,
    start: Tensor,
    incoming: Tensor,
    incoming_start: Tensor,
    kernel: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of <g, tabulated_interaction> by x, y and lengths."""
    layer = find_layer(kernel)
    g, x, y, lengths = g.contiguous(), x.contiguous(), y.contiguous(), lengths.contiguous()
    grid = (x.shape[0], layer.parts)
    gx = torch.zeros_like(x)
    gy = y.new_empty(y.shape[0], layer.parts, y.shape[1])
    glengths = y.new_empty(y.shape[0], layer.parts)
    launch(layer.kernels.backward_edges, grid, g, x, y, lengths, table, neighbor, gy, glengths, start)
    launch(layer.kernels.backward_nodes, grid, g, y, lengths, table, centre, incoming, gx, incoming_start)
    return gx, gy.sum(dim=1), glengths.sum(dim=1, keepdim=True, dtype=lengths.dtype)


@tabulated_interaction.register_fake
def _(x: Tensor, *rest: Tensor | str) -> Tensor:
    return x.new_empty(x.shape[0], find_layer(str(rest[-1])).result)


@tabulated_backward.register_fake
def _(g: Tensor, x: Tensor, y: Tensor, lengths: Tensor, *rest: Tensor | str) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(x), torch.empty_like(y), torch.empty_like(lengths)


def _save(ctx: Any, inputs: tuple[Tensor | str, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:-1])
    ctx.kernel = inputs[-1]


def _differentiate(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    return *tabulated_backward(g, *ctx.saved_tensors, ctx.kernel), *[None] * 7


tabulated_interaction.register_autograd(_differentiate, setup_context=_save)
