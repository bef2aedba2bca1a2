"""The potential of a batch: one pass for all systems."""

import numpy as np

from md.engines.torch.neighbors import Neighbors
from md.engines.torch.systems import Systems
from mlip.deploy import MLIPCalculator
from mlip.deploy.calculator import Evaluation


class BatchedPotential:
    """Energies, forces and virials of all systems.

    Args:
        calculator: The potential.
        neighbors: Of the systems.
    """

    def __init__(self, calculator: MLIPCalculator, neighbors: Neighbors) -> None:
        self._calculator, self._neighbors = calculator, neighbors
        self._found: Evaluation | None = None
        self._count = 0

    def __call__(self, systems: Systems) -> None:
        """Put forces, energies and virials of the present positions and cells into the systems.

        Raises:
            DataError: Positions are not finite.
        """
        self._found = found = self._calculator.evaluate(self._neighbors.graph(systems))
        self._count = count = len(systems.batch)  # neighbors may bring atoms of their own after the others
        systems.forces = found.forces[:count]
        systems.energies = systems.sum(found.atomic_energies[:count])
        systems.virials = found.virial[: systems.num_systems]

    def grades(self) -> np.ndarray | None:
        """(N,) extrapolation grades of the atoms as they were last evaluated; None without."""
        grades = None if self._found is None else self._found.uncertainty().get("extrapolation_grade")
        return None if grades is None else grades[: self._count]
