"""A NequIP model's kernels on a GPU: Triton, generated for the model's numbers; differentiable twice.

Nothing here waits for the device or has shapes that depend on what it holds: a step can be captured as a CUDA
graph.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mlip.nn.kernels.edges import SeparateEdges
from mlip.nn.kernels.gpu_operators import interaction, load_interaction
from mlip.nn.tensor_product import EdgeTensorProduct


class IndexedEdges(NamedTuple):
    """E edges sorted by centre, and the same in the order of their neighbours.

    Attributes:
        index: (2, E) centre and neighbour.
        start: (N + 1,) first edge of each centre.
        weight_row: (E,) row of weights of each edge: one of its own.
        row_edge: (E,) the edge that each row is computed for.
        incoming: (E,) edges in the order of their neighbours.
        incoming_start: (N + 1,) first of them of each neighbour.
    """

    index: Tensor
    start: Tensor
    weight_row: Tensor
    row_edge: Tensor
    incoming: Tensor
    incoming_start: Tensor


class SortedEdges(nn.Module):
    """Finds the edges that leave each atom and those that arrive at it."""

    def forward(self, edge_index: Tensor, edge_vec: Tensor, num_atoms: int) -> IndexedEdges:
        """Describe the edges (2, E), sorted by centre, with vectors (E, 3)."""
        centre, neighbor = edge_index[0].contiguous(), edge_index[1].contiguous()
        sorted_edges = (centre.diff() >= 0).all()
        torch._assert_async(sorted_edges, "found edges that are not sorted by their centre")
        atoms = torch.arange(num_atoms + 1, device=edge_index.device)
        arriving_at, incoming = torch.sort(neighbor, stable=True)
        every = torch.arange(edge_index.shape[1], device=edge_index.device)
        return IndexedEdges(
            index=edge_index,
            start=torch.searchsorted(centre, atoms),
            weight_row=every,
            row_edge=every,
            incoming=incoming,
            incoming_start=torch.searchsorted(arriving_at, atoms),
        )


class TritonTensorProduct(nn.Module):
    """What `EdgeTensorProduct` computes."""

    def __init__(self, reference: EdgeTensorProduct) -> None:
        super().__init__()
        self.kernel = load_interaction(reference.layouts, reference.irreps_in.dim, reference.irreps_out.dim)

    def forward(self, features: Tensor, harmonics: Tensor, weights: Tensor, edges: IndexedEdges) -> Tensor:
        """Messages summed at each centre; arguments as those of `EdgeTensorProduct`."""
        return interaction(
            features,
            harmonics,
            weights,
            edges.index[0],
            edges.index[1],
            edges.start,
            edges.incoming,
            edges.incoming_start,
            self.kernel,
        )


TRITON: dict[type[nn.Module], Callable[..., nn.Module]] = {
    EdgeTensorProduct: lambda module, _: TritonTensorProduct(module),
    SeparateEdges: lambda module, _: SortedEdges(),
}
