"""Radial basis and cutoff: what the model sees of an edge's length."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mlip.nn.kernels.edges import Edges


def polynomial_cutoff(x: Tensor, p: int) -> Tensor:
    """Smooth envelope: 1 at x = 0, zero with its first two derivatives from x = 1 on.

    Args:
        x: Length over cutoff radius, any shape.
        p: Exponent; smaller decays earlier.

    Source: DimeNet, Gasteiger et al. 2020 (arXiv 2003.03123), eq. 8.
    """
    a, b, c = (p + 1.0) * (p + 2.0) / 2.0, p * (p + 2.0), p * (p + 1.0) / 2.0
    envelope = 1.0 - a * x**p + b * x ** (p + 1) - c * x ** (p + 2)
    return envelope * (x < 1.0)


class InverseCutoffs(nn.Module):
    """One over the cutoff of an edge's pair of species.

    Args:
        edge_cutoffs: (T, T) cutoffs in A, centre and neighbour.

    Attributes:
        symmetric: Whether an edge and its reverse always have the same.
    """

    inverse_cutoffs: Tensor

    def __init__(self, edge_cutoffs: Sequence[Sequence[float]]) -> None:
        super().__init__()
        cutoffs = torch.tensor(edge_cutoffs, dtype=torch.float64)
        self.num_species = len(edge_cutoffs)
        self.uniform = bool((cutoffs == cutoffs[0, 0]).all())  # spares gathers per edge
        self.symmetric = bool((cutoffs == cutoffs.T).all())
        self.register_buffer("inverse_cutoffs", 1.0 / cutoffs.view(-1), persistent=False)

    def forward(self, species: Tensor, edges: Edges) -> Tensor:
        """Map species (N,) to (R,) in 1/A, one for each row of weights, or (1,) for all."""
        if self.uniform:
            return self.inverse_cutoffs.narrow(0, 0, 1)
        centre, neighbor = edges.edge_index[0], edges.edge_index[1]
        of_centre = species.index_select(0, centre.index_select(0, edges.row_edge))
        of_neighbor = species.index_select(0, neighbor.index_select(0, edges.row_edge))
        return self.inverse_cutoffs.index_select(0, of_centre * self.num_species + of_neighbor)


class BesselBasis(nn.Module):
    """Bessel functions of the relative edge length times the cutoff envelope.

    B_n(x) = prefactor * sin(n pi x) / (pi x) * envelope(x), x = r / cutoff.

    Args:
        num_bessels: Number of functions.
        trainable: Whether the frequencies n are parameters.
        cutoff_p: Exponent of the envelope.
        prefactor: Constant factor.
        dtype: Of the result; lengths and frequencies stay float64.

    Source: DimeNet, Gasteiger et al. 2020 (arXiv 2003.03123), eq. 7.
    """

    def __init__(
        self, num_bessels: int, trainable: bool, cutoff_p: int, prefactor: float, dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.cutoff_p = cutoff_p
        self.prefactor = prefactor
        self.dtype = dtype
        frequencies = torch.arange(1, num_bessels + 1, dtype=torch.float64)
        self.frequencies = nn.Parameter(frequencies, requires_grad=trainable)

    def forward(self, edge_vec: Tensor, edge: Tensor, inverse_cutoffs: Tensor) -> Tensor:
        """Map edge vectors to the basis (R, num_bessels).

        Args:
            edge_vec: (E, 3) A.
            edge: (R,) the edges that are asked for.
            inverse_cutoffs: (R,) 1/A, or (1,) for all.
        """
        lengths = torch.linalg.vector_norm(edge_vec.index_select(0, edge), dim=1)
        return self.at((lengths * inverse_cutoffs).unsqueeze(-1))

    def at(self, x: Tensor) -> Tensor:
        """The basis (R, num_bessels) at relative lengths (R, 1), float64."""
        bessel = (torch.sinc(x * self.frequencies) * self.frequencies).to(self.dtype)
        return bessel * (polynomial_cutoff(x, self.cutoff_p) * self.prefactor).to(self.dtype)
