"""What every pair potential shares: half of each pair's energy for either atom, a cutoff for each pair."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class PairPotential(nn.Module, ABC):
    """Energies that depend on distance and species alone, zero from a cutoff per pair of species on.

    Args:
        numbers: (T,) atomic numbers of the species.
        cutoffs: (T, T) distances in A from which a pair of species, centre and neighbour, feels nothing.
    """

    charges: Tensor
    cutoffs: Tensor

    def __init__(self, numbers: Sequence[int], cutoffs: Tensor) -> None:
        super().__init__()
        self.register_buffer("charges", torch.tensor(numbers, dtype=torch.float64), persistent=False)
        self.register_buffer("cutoffs", cutoffs.to(torch.float64), persistent=False)

    def forward(self, edge_vec: Tensor, species: Tensor, edge_index: Tensor) -> Tensor:
        """Atomic energies (N,) in eV, float64; arguments as those of a model."""
        centre, neighbor = species.index_select(0, edge_index[0]), species.index_select(0, edge_index[1])
        z_i, z_j = self.charges.index_select(0, centre), self.charges.index_select(0, neighbor)
        cutoffs = self.cutoffs.view(-1).index_select(0, centre * self.charges.shape[0] + neighbor)
        lengths = torch.linalg.vector_norm(edge_vec, dim=1)
        energies = 0.5 * self.pair_energy(lengths, z_i, z_j, cutoffs)
        return torch.zeros(species.shape[0], dtype=torch.float64, device=energies.device).index_add(
            0, edge_index[0], energies
        )

    @abstractmethod
    def pair_energy(self, lengths: Tensor, z_i: Tensor, z_j: Tensor, cutoffs: Tensor) -> Tensor:
        """Energy in eV of each of E pairs.

        Args:
            lengths: (E,) distances, A.
            z_i: (E,) atomic numbers of the centres.
            z_j: (E,) atomic numbers of the neighbours.
            cutoffs: (E,) A.
        """
