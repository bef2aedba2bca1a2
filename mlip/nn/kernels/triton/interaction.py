"""A NequIP model's kernels on a GPU: Triton, generated for the model's numbers; differentiable twice.

Nothing here waits for the device or has shapes that depend on what it holds: a step can be captured as a CUDA
graph.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mlip.nn.kernels.triton.frame import count_parts
from mlip.nn.kernels.triton.generate_interaction import generate_triton
from mlip.nn.kernels.triton.layers import load_layer
from mlip.nn.kernels.triton.operators import interaction
from mlip.nn.linear import SelfConnection
from mlip.nn.tensor_product import EdgeTensorProduct


class IndexedEdges(NamedTuple):
    """E edges sorted by centre, and the same in the order of their neighbours.

    Attributes:
        edge_index: (2, E) centre and neighbour.
        start: (N + 1,) first edge of each centre.
        weight_row: (E,) row of weights of each edge: one of its own.
        row_edge: (E,) the edge that each row is computed for.
        incoming: (E,) edges in the order of their neighbours.
        incoming_start: (N + 1,) first of them of each neighbour.
    """

    edge_index: Tensor
    start: Tensor
    weight_row: Tensor
    row_edge: Tensor
    incoming: Tensor
    incoming_start: Tensor


class SortedEdges(nn.Module):
    """Finds the edges that leave each atom and those that arrive at it."""

    def forward(self, edge_index: Tensor, edge_vec: Tensor, num_atoms: int) -> IndexedEdges:
        """Describe the edges (2, E), sorted by centre, with vectors (E, 3)."""
        index = edge_index.contiguous()  # kernels read each row as it stands in memory
        centre, neighbor = index[0], index[1]
        every = torch.arange(index.shape[1], device=index.device)
        # No slice from the second edge on: its size would bind the numbers of edges that an export takes.
        ascending = (centre >= centre.roll(1)) | (every == 0)
        torch._assert_async(ascending.all(), "found edges that are not sorted by their centre")
        atoms = torch.arange(num_atoms + 1, device=index.device)
        arriving_at, incoming = torch.sort(neighbor, stable=True)
        return IndexedEdges(
            edge_index=index,
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
        width = reference.irreps_out.dim
        source = generate_triton(reference.layouts, reference.irreps_in.dim, width)
        self.kernel = load_layer(source, width, count_parts(reference.layouts))

    def forward(self, features: Tensor, harmonics: Tensor, weights: Tensor, edges: IndexedEdges) -> Tensor:
        """Messages summed at each centre; arguments as those of `EdgeTensorProduct`."""
        return interaction(
            features,
            harmonics,
            weights,
            edges.edge_index[0],
            edges.edge_index[1],
            edges.start,
            edges.incoming,
            edges.incoming_start,
            self.kernel,
        )


class MaskedSelfConnection(nn.Module):
    """What `SelfConnection` computes, by one product with the matrices of all species.

    An atom's features stand in the columns of its species, zeros in the others. To look up the atoms of a
    species would wait for the device, whose answer sets the shapes.
    """

    def __init__(self, reference: SelfConnection) -> None:
        super().__init__()
        self.weight = reference.weight  # as in the file of weights
        self.blocks = reference.blocks
        self.num_attributes = reference.num_attributes

    def forward(self, features: Tensor, embedding: Tensor, species: Tensor) -> Tensor:
        """Map (N, irreps_in.dim) to (N, irreps_out.dim); arguments as those of `SelfConnection`."""
        num_atoms, num_species = features.shape[0], embedding.shape[0]
        every = torch.arange(num_species, device=species.device)
        is_species = (species.unsqueeze(1) == every).to(features.dtype).view(num_atoms, 1, num_species, 1)
        outputs = []
        for at_feature, mul_in, mul_out, dim, at_weight in self.blocks:
            if mul_in == 0:
                outputs.append(features.new_zeros(num_atoms, dim * mul_out))
                continue
            flat = self.weight.narrow(0, at_weight, mul_in * self.num_attributes * mul_out)
            weight = flat.view(mul_in, self.num_attributes, mul_out) * (mul_in * self.num_attributes) ** -0.5
            matrices = torch.einsum("ta,iao->tio", embedding, weight).reshape(num_species * mul_in, mul_out)
            block = features.narrow(1, at_feature, dim * mul_in).reshape(num_atoms, dim, 1, mul_in)
            in_columns = (block * is_species).view(num_atoms * dim, num_species * mul_in)
            outputs.append((in_columns @ matrices).view(num_atoms, dim * mul_out))
        return torch.cat(outputs, dim=1)
