"""Many systems side by side on one device, as the integrators move them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from md.state import State
from mlip.units import AMU_A2_PER_FS2_IN_EV

# What changes from step to step.
MOVING = ("positions", "velocities", "cell", "forces", "energies", "virials")


@dataclass
class Systems:
    """S systems with N atoms in all; the atoms of a system stand together.

    Units are eV, A and fs throughout: a mass is in eV fs^2 / A^2, so that m v^2 is an energy.

    Attributes:
        positions: Unwrapped, (N, 3) A.
        velocities: (N, 3) A/fs.
        masses: (N, 1) eV fs^2 / A^2.
        cell: (S, 3, 3) rows are lattice vectors, A.
        batch: (N,) system of each atom, ascending.
        offsets: (S + 1,) first atom of each system, and N.
        forces: (N, 3) eV/A.
        energies: (S,) potential energy, eV.
        virials: (S, 3, 3) -dE/dstrain, eV.
    """

    positions: Tensor
    velocities: Tensor
    masses: Tensor
    cell: Tensor
    batch: Tensor
    offsets: Tensor
    forces: Tensor
    energies: Tensor
    virials: Tensor

    @classmethod
    def of_states(cls, states: Sequence[State], device: torch.device | str = "cpu") -> "Systems":
        """Put states side by side; forces, energies and virials are zero until a potential is asked."""
        sizes = torch.tensor([len(state.numbers) for state in states])
        positions = _together([state.positions for state in states], device)
        masses = _together([state.masses for state in states], device) * AMU_A2_PER_FS2_IN_EV
        return cls(
            positions=positions,
            velocities=_together([state.velocities for state in states], device),
            masses=masses.unsqueeze(1),
            cell=torch.as_tensor(np.stack([state.cell for state in states]), device=device),
            batch=torch.repeat_interleave(sizes).to(device),
            offsets=torch.cat([torch.zeros(1, dtype=torch.int64), sizes.cumsum(0)]).to(device),
            forces=torch.zeros_like(positions),
            energies=positions.new_zeros(len(states)),
            virials=positions.new_zeros(len(states), 3, 3),
        )

    @property
    def num_systems(self) -> int:
        """S."""
        return len(self.offsets) - 1

    @property
    def volumes(self) -> Tensor:
        """(S,) A^3."""
        a, b, c = self.cell.unbind(1)
        return (torch.linalg.cross(a, b) * c).sum(1).abs()

    def sum(self, of_atoms: Tensor) -> Tensor:
        """Sums over the atoms of each system, (N, ...) -> (S, ...): always the same bits, and no wait."""
        return torch.segment_reduce(of_atoms, "sum", offsets=self.offsets, axis=0, unsafe=True)

    def spread(self, of_systems: Tensor) -> Tensor:
        """Each system's number to its atoms, (S, ...) -> (N, ...)."""
        return of_systems.index_select(0, self.batch)

    def turned(self, vectors: Tensor, matrices: Tensor) -> Tensor:
        """Rows (N, 3) times the symmetric matrix (S, 3, 3) of their system."""
        return torch.bmm(vectors.unsqueeze(1), self.spread(matrices)).squeeze(1)

    def twice_kinetic(self, atoms: Tensor | None = None) -> Tensor:
        """(S,) sum of m v^2, eV, of all atoms or of those of a mask (N, 1)."""
        masses = self.masses if atoms is None else self.masses * atoms
        return self.sum((masses * self.velocities.square()).sum(1))

    def kinetic_tensor(self) -> Tensor:
        """(S, 3, 3) sum of m v v, eV; its trace is `twice_kinetic`."""
        momenta = self.masses * self.velocities
        return self.sum((momenta.unsqueeze(2) * self.velocities.unsqueeze(1)).flatten(1)).view(-1, 3, 3)


def _together(parts: Sequence[np.ndarray], device: torch.device | str) -> Tensor:
    return torch.as_tensor(np.concatenate(parts), device=device)
