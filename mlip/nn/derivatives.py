"""Forces and stress of a model of atomic energies: the one place where a gradient becomes a force."""

from typing import NamedTuple, Optional

import torch
from torch import Tensor, nn


class Prediction(NamedTuple):
    """What a potential says of a batch of structures.

    Attributes:
        energy: (B,) total energies, eV.
        atomic_energies: (N,) eV.
        forces: (N, 3) eV/A.
        virial: (B, 3, 3) -dE/dstrain, eV; stress is -virial / volume.
        descriptors: (N, F) what the model's energies are linear in, per species.
        edge_gradient: (E, 3) dE/dvec of each edge, eV/A. Where an edge and its reverse share radial weights
            (`kernel=cpp`), one of them has the radial part of both.
    """

    energy: Tensor
    atomic_energies: Tensor
    forces: Tensor
    virial: Tensor
    descriptors: Tensor
    edge_gradient: Tensor


class ForceField(nn.Module):
    """Energies, forces and virials from a model that maps edge vectors to atomic energies.

    With vec_ij = pos_j - pos_i + shift @ cell and g_ij = dE/dvec_ij, F_i = sum_j (g_ij - g_ji) and
    dE/dstrain = sum_ij vec_ij (x) g_ij, symmetrised: one gradient gives both, and neither depends on the
    choice of origin.

    Args:
        model: Maps edge_vec (E, 3), species (N,) and edge_index (2, E) to atomic energies (N,), float64, and
            descriptors (N, F).
        pair_potential: Maps the same to atomic energies that are added, or None.

    Source: Thompson, Plimpton, Mattson 2009 (10.1063/1.3245303), eq. 26, for the virial.
    """

    def __init__(self, model: nn.Module, pair_potential: nn.Module | None = None) -> None:
        super().__init__()
        self.model = model
        self.pair_potential = pair_potential

    def forward(
        self,
        positions: Tensor,
        species: Tensor,
        edge_index: Tensor,
        edge_shift: Tensor,
        cell: Tensor,
        batch: Tensor,
        num_local: Optional[int] = None,  # noqa: UP045 (TorchScript)
    ) -> Prediction:
        """Predict a batch; gradients reach the parameters when the module is in training mode.

        Gradients must be enabled where this is called (TorchScript cannot enable them itself).

        Args:
            positions: (N, 3) A, float64.
            species: (N,) index into the potential's species.
            edge_index: (2, E) centre and neighbour.
            edge_shift: (E, 3) whole lattice vectors between centre and neighbour.
            cell: (B, 3, 3) rows are lattice vectors, A; zero where there is none.
            batch: (N,) structure of each atom.
            num_local: Only the energies of so many first atoms count; the others are there as neighbours of
                theirs, and belong to other processes. None counts all.
        """
        centre, neighbor = edge_index[0], edge_index[1]
        edge_vec = edge_vectors(positions, edge_index, edge_shift, cell, batch)
        edge_vec = edge_vec.detach().requires_grad_(True)
        atomic_energies, descriptors = self.model(edge_vec, species, edge_index)
        if self.pair_potential is not None:
            atomic_energies = atomic_energies + self.pair_potential(edge_vec, species, edge_index)
        counted = atomic_energies if num_local is None else atomic_energies.narrow(0, 0, num_local)
        gradient: Optional[Tensor] = torch.autograd.grad(  # noqa: UP045 (TorchScript)
            [counted.sum()], [edge_vec], create_graph=self.training, allow_unused=True
        )[0]
        if not self.training:
            atomic_energies, descriptors = atomic_energies.detach(), descriptors.detach()
            counted = counted.detach()
        if gradient is None:
            gradient = torch.zeros_like(edge_vec)
        zeros = torch.zeros_like(positions)
        forces = zeros.index_add(0, centre, gradient).index_add(0, neighbor, -gradient)
        strain_gradient = _sum_of_outer(edge_vec.detach(), gradient, batch.index_select(0, centre), cell)
        virial = -0.5 * (strain_gradient + strain_gradient.transpose(1, 2))
        energy = torch.zeros_like(cell[:, 0, 0]).index_add(0, batch.narrow(0, 0, counted.shape[0]), counted)
        return Prediction(energy, atomic_energies, forces, virial, descriptors, gradient)


def edge_vectors(
    positions: Tensor, edge_index: Tensor, edge_shift: Tensor, cell: Tensor, batch: Tensor
) -> Tensor:
    """Vectors (E, 3) in A from each edge's centre to its neighbour; arguments as those of a `ForceField`."""
    centre, neighbor = edge_index[0], edge_index[1]
    if cell.shape[0] == 1:  # as in all dynamics: a matrix product
        shift = edge_shift @ cell[0]
    else:
        shift = torch.einsum("ei,eij->ej", edge_shift, cell.index_select(0, batch.index_select(0, centre)))
    return positions.index_select(0, neighbor) - positions.index_select(0, centre) + shift


def _sum_of_outer(edge_vec: Tensor, gradient: Tensor, of_edge: Tensor, cell: Tensor) -> Tensor:
    """Sums (B, 3, 3) over each structure's edges of vec_ij (x) g_ij."""
    if cell.shape[0] == 1:
        return (edge_vec.T @ gradient).unsqueeze(0)
    outer = (edge_vec.unsqueeze(2) * gradient.unsqueeze(1)).view(-1, 9)
    return torch.zeros_like(cell).view(-1, 9).index_add(0, of_edge, outer).view(-1, 3, 3)
