"""Two-body scalars: what a pair of atoms is by its species and its distance alone.

Both embeddings map relative lengths x = r / cutoff and the species of centre and neighbour to scalars that
vanish smoothly at x = 1.
"""

import math

import torch
from torch import Tensor, nn

from mlip.nn.kernels.edges import Edges
from mlip.nn.mlp import ScalarMLP
from mlip.nn.radial import BesselBasis


class BesselEmbedding(nn.Module):
    """A learnt vector of the pair of species times a linear map of Bessel functions.

    out_ij = (centre_i, neighbor_j) * (B(x_ij) W), elementwise; either species gives half of the vector.

    Args:
        num_species: Number T of species.
        dim: Scalars per edge, even.
        num_bessels: Radial basis functions.
        bessel_trainable: Whether their frequencies are trained.
        cutoff_p: Exponent of the cutoff envelope.
        dtype: Of weights and result.

    Source: nequip-allegro 0.8 `TwoBodyBesselScalarEmbed`.
    """

    def __init__(
        self,
        num_species: int,
        dim: int,
        num_bessels: int,
        bessel_trainable: bool,
        cutoff_p: int,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.radial_basis = BesselBasis(num_bessels, bessel_trainable, cutoff_p, prefactor=1.0, dtype=dtype)
        self.radial_linear = ScalarMLP([num_bessels, dim], dtype)
        self.centre_embedding = nn.Parameter(torch.randn(num_species, dim // 2, dtype=dtype))
        self.neighbor_embedding = nn.Parameter(torch.randn(num_species, dim // 2, dtype=dtype))

    def forward(self, edge_vec: Tensor, edges: Edges, inverse_cutoffs: Tensor, species: Tensor) -> Tensor:
        """Map edge vectors (E, 3), cutoffs (E,) or (1,) in 1/A and species (N,) to scalars (E, dim)."""
        centre = self.centre_embedding.index_select(0, species.index_select(0, edges.edge_index[0]))
        neighbor = self.neighbor_embedding.index_select(0, species.index_select(0, edges.edge_index[1]))
        radial = self.radial_linear(self.radial_basis(edge_vec, edges.row_edge, inverse_cutoffs))
        return torch.cat([centre, neighbor], dim=1) * radial


class SplineEmbedding(nn.Module):
    """A learnt curve per scalar and ordered pair of species, out of bumps on a uniform grid.

    Bump k is ((1 - cos t) / 2)^2 with t running from 0 to 2 pi over (spline_span + 1) / num_splines, from
    (k - spline_span) / num_splines on; the last one ends at x = 1.

    Args:
        num_species: Number T of species.
        dim: Scalars per edge.
        num_splines: Number of bumps.
        spline_span: Grid points inside each bump, that is how many of them overlap.
        dtype: Of weights and result; lengths and bumps stay float64.

    Source: nequip-allegro 0.8 `TwoBodySplineScalarEmbed`.
    """

    def __init__(
        self, num_species: int, dim: int, num_splines: int, spline_span: int, dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.num_species = num_species
        self.bumps = Bumps(num_splines, spline_span, dtype)
        bound = (3.0 / spline_span) ** 0.5  # unit variance where spline_span of them overlap
        weight = torch.empty(num_species * num_species, num_splines, dim, dtype=dtype)
        self.weight = nn.Parameter(weight.uniform_(-bound, bound))

    def forward(self, edge_vec: Tensor, edges: Edges, inverse_cutoffs: Tensor, species: Tensor) -> Tensor:
        """Map edge vectors (E, 3), cutoffs (E,) or (1,) in 1/A and species (N,) to scalars (E, dim)."""
        weight = self.weight.index_select(0, pair_of(species, edges, self.num_species))
        return torch.bmm(self.bumps(edge_vec, inverse_cutoffs).unsqueeze(1), weight).squeeze(1)


class Bumps(nn.Module):
    """The bumps of `SplineEmbedding`; arguments as there."""

    lower: Tensor

    def __init__(self, num_splines: int, spline_span: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.width = (spline_span + 1) / num_splines
        self.scale = 2.0 * math.pi / self.width
        lower = torch.arange(-spline_span, num_splines - spline_span, dtype=torch.float64) / num_splines
        self.register_buffer("lower", lower, persistent=False)

    def forward(self, edge_vec: Tensor, inverse_cutoffs: Tensor) -> Tensor:
        """Map edge vectors (E, 3) and cutoffs (E,) or (1,) in 1/A to (E, num_splines)."""
        x = torch.linalg.vector_norm(edge_vec, dim=1) * inverse_cutoffs
        position = torch.clamp(x.unsqueeze(-1) - self.lower, 0.0, self.width) * self.scale
        return (0.25 * (1.0 - torch.cos(position)).square()).to(self.dtype)


def pair_of(species: Tensor, edges: Edges, num_species: int) -> Tensor:
    """Number (E,) of the ordered pair of species of each edge, from 0 to num_species^2 - 1."""
    centre, neighbor = (
        species.index_select(0, edges.edge_index[0]),
        species.index_select(0, edges.edge_index[1]),
    )
    return centre * num_species + neighbor
