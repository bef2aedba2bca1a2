"""Energies and forces of structures that differ in positions only, all in one pass of the potential."""

from collections.abc import Callable

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray

from md.engines.torch.neighbors import Neighbors
from md.engines.torch.potential import BatchedPotential
from md.engines.torch.systems import Systems
from md.state import State
from mlip.data.graph import species_index
from mlip.deploy import MLIPCalculator

# Positions (M, N, 3) in A to energies (M,) in eV and forces (M, N, 3) in eV/A.
Evaluate = Callable[[NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]]


class BatchedImages:
    """Evaluates M images at once; with a deployed file, which takes one structure, one after the other.

    Images keep their neighbor lists from call to call as long as they are good.
    """

    def __init__(self, calculator: MLIPCalculator, atoms: Atoms, num_images: int) -> None:
        """Prepare.

        Args:
            calculator: The potential.
            atoms: Species, cell and periodic directions of every image, N atoms.
            num_images: M.
        """
        at_once = num_images if calculator.path.suffix == ".mlip" else 1
        self._device = calculator.device
        species = torch.as_tensor(species_index(atoms, calculator.species), device=calculator.device)
        pbc = torch.as_tensor(np.array(atoms.pbc), device=calculator.device)
        self._batches = [
            (
                Systems.of_states([State.from_atoms(atoms)] * at_once, calculator.device),
                BatchedPotential(
                    calculator, Neighbors(calculator, species.repeat(at_once), pbc.repeat(at_once, 1))
                ),
            )
            for _ in range(num_images // at_once)
        ]

    def __call__(self, positions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Energies (M,) in eV and forces (M, N, 3) in eV/A.

        Args:
            positions: (M, N, 3) A.

        Raises:
            DataError: Positions are not finite.
        """
        energies, forces = [], []
        parts = np.split(positions, len(self._batches))
        for (systems, evaluate), part in zip(self._batches, parts, strict=True):
            systems.positions = torch.tensor(part.reshape(-1, 3), device=self._device)
            evaluate(systems)
            energies.append(systems.energies.cpu().numpy())
            forces.append(systems.forces.cpu().numpy().reshape(part.shape))
        return np.concatenate(energies), np.concatenate(forces)
