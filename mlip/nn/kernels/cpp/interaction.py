"""What joins the atoms of a model, as compiled C++: edges, harmonics, radial functions, interaction."""

import torch
from torch import Tensor, nn

from mlip.nn.kernels.cpp.generate_edges import generate_harmonics, generate_radial
from mlip.nn.kernels.cpp.generate_interaction import generate_interaction
from mlip.nn.kernels.cpp.load import load_kernel
from mlip.nn.kernels.edges import Edges
from mlip.nn.radial import BesselBasis
from mlip.nn.spherical import SphericalHarmonics
from mlip.nn.tensor_product import EdgeTensorProduct


class SharedEdges(nn.Module):
    """Edges sorted by centre; an edge and its reverse may share a row of weights.

    Args:
        share: Whether they do: a weight depends on the length alone, and cutoffs are symmetric.
    """

    def __init__(self, share: bool) -> None:
        super().__init__()
        self.may_share = share
        self.share = share  # who wants the gradients of single edges sets it to False

    def forward(self, edge_index: Tensor, edge_vec: Tensor, num_atoms: int) -> Edges:
        """Describe the edges (2, E), sorted by centre, with vectors (E, 3)."""
        start, weight_row, row_edge = torch.ops.vitreous.index_edges(
            edge_index, edge_vec, num_atoms, self.share
        )
        return Edges(edge_index, start, weight_row, row_edge)


class CompiledHarmonics(nn.Module):
    """What `SphericalHarmonics` computes.

    Raises:
        ConfigError: There is no compiler, or it failed.
    """

    scale: Tensor

    def __init__(self, reference: SphericalHarmonics) -> None:
        super().__init__()
        self.irreps = reference.irreps
        self.dtype = reference.dtype
        self.kernel = load_kernel(lambda name: generate_harmonics(reference.matrices, name), reference.dtype)
        self.register_buffer("scale", torch.ones(1, dtype=torch.float64), persistent=False)

    def forward(self, edge_vec: Tensor) -> Tensor:
        """Harmonics (E, (l_max + 1)^2) of edge vectors (E, 3)."""
        return torch.ops.vitreous.edge_function(edge_vec, None, self.scale, self.kernel, self.dtype)


def compile_radial(reference: BesselBasis) -> nn.Module:
    """The module that computes a `BesselBasis`: itself, where frequencies are trained or were.

    Raises:
        ConfigError: There is no compiler, or it failed.
    """
    frequencies = reference.frequencies.detach()
    whole = torch.arange(1, len(frequencies) + 1, dtype=frequencies.dtype, device=frequencies.device)
    fixed = not reference.frequencies.requires_grad and torch.equal(frequencies, whole)
    return CompiledRadial(reference) if fixed else reference


class CompiledRadial(nn.Module):
    """What `BesselBasis` computes with frequencies 1, 2, 3, ...

    Raises:
        ConfigError: There is no compiler, or it failed.
    """

    def __init__(self, reference: BesselBasis) -> None:
        super().__init__()
        self.frequencies = reference.frequencies  # as in the file of weights
        self.dtype = reference.dtype
        self.kernel = load_kernel(
            lambda name: generate_radial(
                len(reference.frequencies), reference.cutoff_p, reference.prefactor, name
            ),
            reference.dtype,
        )

    def forward(self, edge_vec: Tensor, edge: Tensor, inverse_cutoffs: Tensor) -> Tensor:
        """Map edge vectors (E, 3), the edge (R,) of each row and 1 / A (R,) or (1,) to (R, num_bessels)."""
        return torch.ops.vitreous.edge_function(edge_vec, edge, inverse_cutoffs, self.kernel, self.dtype)


class CompiledTensorProduct(nn.Module):
    """What `EdgeTensorProduct` computes.

    Raises:
        ConfigError: There is no compiler, or it failed.
    """

    def __init__(self, reference: EdgeTensorProduct) -> None:
        super().__init__()
        self.kernel = load_kernel(
            lambda name: generate_interaction(
                reference.layouts, reference.irreps_in.dim, reference.irreps_out.dim, name
            ),
            reference.coupling.dtype,
        )

    def forward(self, features: Tensor, harmonics: Tensor, weights: Tensor, edges: Edges) -> Tensor:
        """Messages summed at each centre; arguments as of `EdgeTensorProduct`, rows of weights shared."""
        return torch.ops.vitreous.interaction(
            features, harmonics, weights, edges.start, edges.edge_index[1], edges.weight_row, self.kernel
        )
