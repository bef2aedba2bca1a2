"""The potential of a batch: one pass for all systems."""

from md.engines.torch.neighbors import Neighbors
from md.engines.torch.systems import Systems
from mlip.deploy import MLIPCalculator


class BatchedPotential:
    """Energies, forces and virials of all systems.

    Args:
        calculator: The potential.
        neighbors: Of the systems.
    """

    def __init__(self, calculator: MLIPCalculator, neighbors: Neighbors) -> None:
        self._calculator, self._neighbors = calculator, neighbors

    def __call__(self, systems: Systems) -> None:
        """Put forces, energies and virials of the present positions and cells into the systems.

        Raises:
            DataError: Positions are not finite.
        """
        found = self._calculator.evaluate(self._neighbors.graph(systems))
        count = len(systems.batch)  # neighbors may bring atoms of their own after the others
        systems.forces = found.forces[:count]
        systems.energies = systems.sum(found.atomic_energies[:count])
        systems.virials = found.virial[: systems.num_systems]
