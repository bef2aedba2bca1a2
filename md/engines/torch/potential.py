"""The potential of a batch: neighbor lists that last for several steps, and one pass for all systems."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from md.engines.torch.systems import Systems
from mlip.data.graph import Graph
from mlip.data.verlet import SKIN, VerletList, shorter_cutoffs
from mlip.deploy import MLIPCalculator
from mlip.deploy.calculator import Evaluation


class BatchedPotential:
    """Energies, forces and virials of systems whose atoms move little from call to call.

    Args:
        calculator: The potential.
        species: (N,) the potential's number of each atom.
        pbc: (S, 3) bool.
        skin: Of the neighbor lists, A.
    """

    def __init__(self, calculator: MLIPCalculator, species: Tensor, pbc: Tensor, skin: float = SKIN) -> None:
        self._calculator, self._species, self._pbc, self._skin = calculator, species, pbc, skin
        self._edge_cutoffs = shorter_cutoffs(calculator.edge_cutoffs, calculator.r_max)
        self._list: VerletList | None = None
        self._found: Evaluation | None = None

    def __call__(self, systems: Systems) -> None:
        """Put forces, energies and virials of the present positions and cells into the systems.

        Raises:
            DataError: Positions are not finite.
        """
        if self._list is None or bool(self._list.is_stale(systems.positions, systems.cell)):
            self._list = self._search(systems)
        edge_index, edge_shift = self._list.edges(systems.positions, systems.cell)
        graph = replace(
            self._list.graph,
            positions=systems.positions,
            cell=systems.cell,
            edge_index=edge_index,
            edge_shift=edge_shift,
        )
        self._found = found = self._calculator.evaluate(graph)
        systems.forces = found.forces
        systems.energies = systems.sum(found.atomic_energies)
        systems.virials = found.virial

    def grades(self) -> np.ndarray | None:
        """(N,) extrapolation grades of the atoms as they were last evaluated; None without."""
        return None if self._found is None else self._found.uncertainty().get("extrapolation_grade")

    def _search(self, systems: Systems) -> VerletList:
        nothing = torch.empty(0, dtype=torch.int64, device=systems.batch.device)
        graph = Graph(
            positions=systems.positions,
            species=self._species,
            edge_index=nothing.view(2, 0),
            edge_shift=systems.positions.new_empty(0, 3),
            cell=systems.cell,
            batch=systems.batch,
            num_structures=systems.num_systems,
        )
        r_max = self._calculator.r_max
        return VerletList.build(graph, self._pbc, r_max, self._edge_cutoffs, self._skin, self._skin)
