"""The potential of a batch: neighbor lists that last for several steps, and one pass for all systems."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from md.engines.torch.systems import Systems
from mlip.data.graph import Graph
from mlip.data.verlet import SKIN, VerletList
from mlip.deploy.calculator import Evaluation


class BatchedPotential:
    """Energies, forces and virials of systems whose atoms move little from call to call.

    Args:
        evaluate: The potential of a graph of many structures.
        species: (N,) the potential's number of each atom.
        pbc: (S, 3) bool.
        r_max: Cutoff radius, A.
        edge_cutoffs: (T, T) shorter cutoffs of pairs of species, A; None has none.
        skin: Of the neighbor lists, A.
    """

    def __init__(
        self,
        evaluate: Callable[[Graph], Evaluation],
        species: Tensor,
        pbc: Tensor,
        r_max: float,
        edge_cutoffs: Sequence[Sequence[float]] | None = None,
        skin: float = SKIN,
    ) -> None:
        self._evaluate, self._species, self._pbc = evaluate, species, pbc
        self._r_max, self._skin = r_max, skin
        self._edge_cutoffs = None if edge_cutoffs is None else torch.tensor(edge_cutoffs, dtype=torch.float64)
        self._list: VerletList | None = None

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
        found = self._evaluate(graph)
        systems.forces = found.forces
        systems.energies = systems.sum(found.atomic_energies)
        systems.virials = found.virial

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
        return VerletList.build(graph, self._pbc, self._r_max, self._edge_cutoffs, self._skin, self._skin)
