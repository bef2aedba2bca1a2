"""Interactions with tabulated weights as compiled C++: weights are interpolated inside the loop over edges.

For inference: differentiable once.
"""

import torch
from torch import Tensor, nn

from mlip.nn.kernels.cpp.generate_edges import generate_lengths
from mlip.nn.kernels.cpp.generate_tabulated import generate_tabulated
from mlip.nn.kernels.cpp.load import load_kernel
from mlip.nn.kernels.edges import Edges
from mlip.nn.radial_table import RadialTable
from mlip.nn.tensor_product import EdgeTensorProduct


class CompiledLengths(nn.Module):
    """What `RelativeLengths` computes.

    Raises:
        ConfigError: There is no compiler, or it failed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kernel = load_kernel(generate_lengths, torch.float64)
        self.dtype = torch.float64

    def forward(self, edge_vec: Tensor, edge: Tensor, inverse_cutoffs: Tensor) -> Tensor:
        """Map edge vectors (E, 3), the edge (R,) of each row and 1 / A (R,) or (1,) to (R, 1)."""
        return torch.ops.vitreous.edge_function(edge_vec, edge, inverse_cutoffs, self.kernel, self.dtype)


class TabulatedTensorProduct(nn.Module):
    """What `EdgeTensorProduct` makes of the weights of a `RadialTable`.

    Args:
        reference: The product.
        radial: The table of its weights.

    Raises:
        ConfigError: There is no compiler, or it failed.
    """

    table: Tensor

    def __init__(self, reference: EdgeTensorProduct, radial: RadialTable) -> None:
        super().__init__()
        self.kernel = load_kernel(
            lambda name: generate_tabulated(
                reference.layouts, reference.irreps_in.dim, reference.irreps_out.dim, name
            ),
            reference.coupling.dtype,
        )
        self.register_buffer("table", radial.by_path(reference), persistent=False)

    def forward(self, features: Tensor, harmonics: Tensor, lengths: Tensor, edges: Edges) -> Tensor:
        """Messages summed at each centre; arguments as those of `EdgeTensorProduct`, with lengths (E, 1)."""
        return torch.ops.vitreous.tabulated_interaction(
            features, harmonics, lengths, self.table, edges.start, edges.edge_index[1], self.kernel
        )
