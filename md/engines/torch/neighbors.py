"""Neighbors of a batch whose atoms move little from step to step: looked at every step, or without waiting.

On a CPU it costs nothing to ask each step whether the Verlet list still holds. A GPU would have to wait for
the answer: there steps are made first and looked back on later, with edges in tensors of a fixed size.
"""

from dataclasses import replace

import torch
from torch import Tensor

from md.engines.torch.systems import Systems
from mlip.data.graph import Graph
from mlip.data.verlet import SKIN, VerletList, shorter_cutoffs
from mlip.deploy import MLIPCalculator

# Place for more edges and candidates than there were when the list was made.
_HEADROOM = 1.05
# How far apart, in cutoffs, the two atoms are that edges without use join.
_APART = 2.0


class Neighbors:
    """Graphs of the present positions and cells, by a list that is made anew when it is stale.

    Args:
        calculator: The potential, for its cutoffs.
        species: (N,) the potential's number of each atom.
        pbc: (S, 3) bool.
    """

    def __init__(self, calculator: MLIPCalculator, species: Tensor, pbc: Tensor) -> None:
        self._r_max, self._species, self._pbc = calculator.r_max, species, pbc
        self._edge_cutoffs = shorter_cutoffs(calculator.edge_cutoffs, calculator.r_max)
        self._list: VerletList | None = None

    def graph(self, systems: Systems) -> Graph:
        """The edges of now.

        Raises:
            DataError: Positions are not finite.
        """
        if self._list is None or bool(self._list.is_stale(systems.positions, systems.cell)):
            self._list = self._search(systems)
        edge_index, edge_shift = self._list.edges(systems.positions, systems.cell)
        return replace(
            self._list.graph,
            positions=systems.positions,
            cell=systems.cell,
            edge_index=edge_index,
            edge_shift=edge_shift,
        )

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
        return VerletList.build(graph, self._pbc, self._r_max, self._edge_cutoffs, SKIN, SKIN)


class PatientNeighbors(Neighbors):
    """The same without a wait: somebody else asks for a list, and later whether it held.

    Two atoms in a structure of their own, too far apart to see each other, carry edges that are left over.
    Lists are written into the same tensors as long as they fit.

    Attributes:
        layout: How often tensors of other sizes had to be made.
    """

    def __init__(self, calculator: MLIPCalculator, species: Tensor, pbc: Tensor) -> None:
        super().__init__(calculator, species, pbc)
        self.layout = 0
        self._capacity = 1
        self._padded: Graph
        self._used = torch.zeros((), dtype=torch.float64, device=species.device)
        self._filled = torch.zeros_like(self._used)

    def renew(self, systems: Systems) -> VerletList:
        """Make a list of the present positions and cells; this waits for the device.

        Raises:
            DataError: Positions are not finite.
        """
        fresh = self._search(systems)
        edges = fresh.edges(systems.positions, systems.cell)[1].shape[0]
        if _HEADROOM * edges > self._capacity:
            self._make_place(edges)
        if self._list is None or fresh.num_candidates > self._list.num_candidates:
            self._list = self._lay_out(fresh.padded(_roomy(fresh.num_candidates)))
            self.layout += 1
        else:
            self._list.overwrite(fresh.padded(self._list.num_candidates))
        return self._list

    def look_back(self) -> tuple[float, float]:
        """How much of skin and of edges was used at most since the last look; this waits for the device.

        Above one the graphs since then may have missed edges.
        """
        used, filled = torch.stack([self._used, self._filled]).tolist()
        self._used.zero_()
        self._filled.zero_()
        if filled > 1.0:
            self._make_place(int(filled * self._capacity))
        return used, filled

    def graph(self, systems: Systems) -> Graph:
        """The edges of now, if the list held; two more atoms and one more structure come after the others."""
        held = self._list or self.renew(systems)
        positions, cell = systems.positions, systems.cell
        near, number = held.near_within(positions, cell, self._capacity)
        self._used.copy_(torch.maximum(self._used, held.used(positions, cell).max()))
        self._filled.copy_(torch.maximum(self._filled, number / self._capacity))
        padded = self._padded
        return replace(
            padded,
            positions=torch.cat([positions, padded.positions]),
            edge_index=padded.edge_index.index_select(1, near),
            edge_shift=padded.edge_shift.index_select(0, near),
            cell=torch.cat([cell, padded.cell]),
        )

    def _make_place(self, edges: int) -> None:
        self._capacity = _roomy(_HEADROOM * edges)
        self.layout += 1

    def _lay_out(self, fresh: VerletList) -> VerletList:
        """Tensors for this list and those to come; its edges are part of the padded ones."""
        self._padded = padded = self._pad(fresh)
        graph = replace(
            fresh.graph,
            positions=fresh.graph.positions.clone(),
            cell=fresh.graph.cell.clone(),
            edge_index=padded.edge_index[:, :-1],
            edge_shift=padded.edge_shift[:-1],
        )
        return replace(fresh, graph=graph)

    def _pad(self, fresh: VerletList) -> Graph:
        """The candidates and one more edge; of positions and cells only what comes after the others."""
        graph, count = fresh.graph, len(self._species)
        apart = graph.positions.new_zeros(2, 3)
        apart[1, 0] = _APART * self._r_max
        between = graph.edge_index.new_tensor([[count], [count + 1]])
        return Graph(
            positions=apart,
            species=torch.cat([self._species, self._species[:1].expand(2)]),
            edge_index=torch.cat([graph.edge_index, between], dim=1),
            edge_shift=torch.cat([graph.edge_shift, graph.edge_shift.new_zeros(1, 3)]),
            cell=graph.cell.new_zeros(1, 3, 3),
            batch=torch.cat([graph.batch, graph.batch.new_full((2,), graph.num_structures)]),
            num_structures=graph.num_structures + 1,
        )


def _roomy(number: float) -> int:
    """A number with some headroom."""
    return int(_HEADROOM * number) + 1
