"""Interactions with tabulated weights as compiled C++: weights are interpolated inside the loop over edges.

For inference: differentiable once.
"""

from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor, nn

from mlip.nn.kernels.cpp import load_kernel
from mlip.nn.kernels.edges import Edges, SeparateEdges
from mlip.nn.kernels.generate_edges import generate_lengths
from mlip.nn.kernels.generate_tabulated import generate_tabulated
from mlip.nn.radial_table import RadialTable
from mlip.nn.tensor_product import EdgeTensorProduct


def fuse_tables(model: nn.Module) -> None:
    """Let a model's products, in place, look up weights by themselves wherever they come from a table.

    Args:
        model: With reference modules.

    Raises:
        ConfigError: There is no compiler, or it failed.
    """
    layers = [
        module for module in model.modules() if type(getattr(module, "radial_mlp", None)) is RadialTable
    ]
    if not layers:
        return
    with ThreadPoolExecutor() as pool:  # compilers run side by side
        products = list(
            pool.map(lambda layer: TabulatedTensorProduct(layer.tensor_product, layer.radial_mlp), layers)
        )
    for layer, product in zip(layers, products, strict=True):
        layer.tensor_product, layer.radial_mlp = product, nn.Identity()  # lengths pass through
    for module in model.modules():
        if type(module) is SeparateEdges:
            module.may_share = False  # there are no weights to share


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
        of_paths = radial.coefficients.split([path.mul for path in reference.layouts], dim=2)
        table = torch.cat([coefficients.flatten(1) for coefficients in of_paths], dim=1)
        self.register_buffer("table", table, persistent=False)

    def forward(self, features: Tensor, harmonics: Tensor, lengths: Tensor, edges: Edges) -> Tensor:
        """Messages summed at each centre; arguments as those of `EdgeTensorProduct`, with lengths (E, 1)."""
        return torch.ops.vitreous.tabulated_interaction(
            features, harmonics, lengths, self.table, edges.start, edges.index[1], self.kernel
        )
