"""Verlet lists: edges found with a skin, and searched again only when an atom may have crossed it.

Source: Verlet 1967 (10.1103/PhysRev.159.98).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
import torch
from ase import Atoms
from torch import Tensor
from torch.nn.functional import pad

from mlip.data.cell_list import batched_neighbor_list
from mlip.data.graph import Graph, graph_of_atoms
from mlip.data.neighbors import complete_cell, neighbor_list

# A. A wider skin lasts longer, but each step looks at all candidates: (1 + skin / r_max)^3 times the edges.
SKIN = 1.0


@dataclass(frozen=True)
class VerletList:
    """Candidates: edges shorter than a cutoff plus a margin, of structures as they stood when it was built.

    Only `build` waits for a GPU, and `edges` for their number. The candidates are edges of the right kind by
    themselves, always as many: what is longer than its cutoff adds exactly zero to a model.

    Attributes:
        graph: The structures as they stood, with the candidates.
        shift_axes: (3, E) their translations, axis after axis.
        pbc: (B, 3) bool.
        box: (B, 3, 3) their cells, A, with vectors for open directions, too.
        cutoffs: (E,) cutoff of each candidate in A, or (1,) for all.
        num_atoms: (B,) of the structures.
        r_max: The longest of them, A.
        margin: What was added to it, A: the skin, or zero for one use.
        skin: How far two atoms may come closer to each other before the list is stale, A.
    """

    graph: Graph
    shift_axes: Tensor
    pbc: Tensor
    box: Tensor
    cutoffs: Tensor
    num_atoms: Tensor
    r_max: float
    margin: float
    skin: float

    @classmethod
    def build(
        cls, graph: Graph, pbc: Tensor, r_max: float, edge_cutoffs: Tensor | None, margin: float, skin: float
    ) -> Self:
        """Search the candidates.

        Args:
            graph: The structures, on any device; its edges are not looked at.
            pbc: (B, 3) bool, which directions are periodic.
            r_max: Cutoff radius, A.
            edge_cutoffs: (T, T) shorter cutoffs of pairs of species, centre and neighbor, A; None has none.
            margin: As among the attributes.
            skin: As among the attributes.

        Raises:
            DataError: A structure has no neighbor list.
        """
        cells = zip(graph.cell.cpu().numpy(), pbc.cpu().numpy(), strict=True)
        box = graph.cell.new_tensor(np.stack([complete_cell(*each) for each in cells]))
        edge_index, edge_shift = _search(graph, pbc, r_max + margin)
        cutoffs = graph.cell.new_tensor([r_max])
        if edge_cutoffs is not None:
            centre, neighbor = graph.species[edge_index]
            cutoffs = edge_cutoffs.to(graph.cell)[centre, neighbor]
        graph = replace(graph, edge_index=edge_index, edge_shift=edge_shift)
        shift_axes = edge_shift.T.contiguous()
        return cls(graph, shift_axes, pbc, box, cutoffs, graph.num_atoms, r_max, margin, skin)

    @property
    def num_candidates(self) -> int:
        """E."""
        return self.shift_axes.shape[1]

    def overwrite(self, other: Self) -> None:
        """Write another list of as many candidates, of the same atoms, into the tensors of this one."""
        for mine, theirs in ((self.graph, other.graph), (self, other)):
            for field in fields(mine):
                tensor = getattr(mine, field.name)
                if isinstance(tensor, Tensor):
                    tensor.copy_(getattr(theirs, field.name))

    def padded(self, capacity: int) -> Self:
        """The same list with more candidates, which are no edges wherever the atoms are.

        Args:
            capacity: How many candidates it shall have, no fewer than it has.
        """
        missing = capacity - self.num_candidates
        graph = replace(
            self.graph,
            edge_index=pad(self.graph.edge_index, (0, missing)),
            edge_shift=pad(self.graph.edge_shift, (0, 0, 0, missing)),
        )
        cutoffs = pad(self.cutoffs.expand(self.num_candidates), (0, missing))
        return replace(self, graph=graph, shift_axes=pad(self.shift_axes, (0, missing)), cutoffs=cutoffs)

    def is_stale(self, positions: Tensor, cell: Tensor) -> Tensor:
        """Whether an edge may have come that is no candidate, a bool () on the device of the atoms.

        Args:
            positions: (N, 3) A, as they are now.
            cell: (B, 3, 3) A, as they are now.
        """
        return (self.used(positions, cell) > 1.0).any()

    def used(self, positions: Tensor, cell: Tensor) -> Tensor:
        """How much of the skin is used up, (B,): above one an edge may have come that is no candidate.

        Let x M be the place in the cell of old of what is at x now, and d_i = x_i^old - x_i M the way that an
        atom went beside the cell. An edge v of now was v M + d_j - d_i: no longer than
        |v| (1 + ||M - 1||) + |d_i| + |d_j|. A shift of all atoms counts for nothing.

        Args:
            positions: (N, 3) A, as they are now.
            cell: (B, 3, 3) A, as they are now.
        """
        batch, old = self.graph.batch, self.graph.positions
        now = cell.where(self.pbc.unsqueeze(2), self.box)
        back = _inverse(now) @ self.box
        strain = torch.linalg.vector_norm(
            back - torch.eye(3, dtype=cell.dtype, device=cell.device), dim=(1, 2)
        )
        if len(cell) == 1:  # as in most dynamics on CPUs: a matrix product
            ways = old - positions @ back[0]
            farthest = torch.linalg.vector_norm(ways - ways.mean(0), dim=1).amax().view(1)
        else:
            ways = old - torch.bmm(positions.unsqueeze(1), back.index_select(0, batch)).squeeze(1)
            mean = torch.zeros_like(self.box[:, 0]).index_add(0, batch, ways) / self.num_atoms.unsqueeze(1)
            lengths = torch.linalg.vector_norm(ways - mean.index_select(0, batch), dim=1)
            farthest = torch.segment_reduce(lengths, "max", lengths=self.num_atoms, unsafe=True)
        used = (2.0 * farthest + self.r_max * strain) / self.skin
        return used.nan_to_num(nan=torch.inf)  # what is no number is stale, too

    def edges(self, positions: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """The edges of now: `edge_index` (2, E) and `edge_shift` (E, 3), in the order of a fresh list.

        Args:
            positions: (N, 3) A, as they are now, the list not being stale.
            cell: (B, 3, 3) A, as they are now.
        """
        index, shift = self.graph.edge_index, self.graph.edge_shift
        if self.margin == 0.0 and len(self.cutoffs) == 1:
            return index, shift
        near = (self._squared_lengths(positions, cell) < self.cutoffs.square()).nonzero().view(-1)
        edge_index = index.new_empty(2, len(near))
        for row, found in zip(index, edge_index, strict=True):
            torch.index_select(row, 0, near, out=found)
        return edge_index, shift.index_select(0, near)

    def near_within(self, positions: Tensor, cell: Tensor, capacity: int) -> tuple[Tensor, Tensor]:
        """Which candidates are edges now, in a tensor of a fixed size: nothing waits for their number.

        Args:
            positions: (N, 3) A, as they are now, the list not being stale.
            cell: (B, 3, 3) A, as they are now.
            capacity: Edges that there is place for.

        Returns:
            (capacity,) candidates in their order, the number of all candidates where none is left; and how
            many edges there are (), which may be more than the capacity: then some are missing.
        """
        is_near = self._squared_lengths(positions, cell) < self.cutoffs.square()
        place = (is_near.cumsum(0) - 1).where(is_near, capacity).clamp_max(capacity)
        candidates = torch.arange(len(is_near), device=place.device)
        nothing = torch.full((capacity + 1,), len(is_near), device=place.device)  # nobody looks at the last
        return nothing.scatter(0, place, candidates)[:-1], is_near.sum()

    def _squared_lengths(self, positions: Tensor, cell: Tensor) -> Tensor:
        """(E,) of the candidates, A^2.

        Axis after axis, in place: several times as fast as by rows of three numbers in tensors of their own.
        """
        centre, neighbor = self.graph.edge_index
        if len(cell) == 1:
            translations = cell[0].T @ self.shift_axes
        else:
            of_edge = self.graph.batch.index_select(0, centre)
            translations = torch.einsum("me,emk->ke", self.shift_axes, cell.index_select(0, of_edge))
        squared = torch.zeros_like(translations[0])
        for axis, translation in zip(positions.T.contiguous(), translations, strict=True):
            along = axis.index_select(0, neighbor)
            along -= axis.index_select(0, centre)
            along += translation
            squared.addcmul_(along, along)
        return squared


class MovingGraphs:
    """Graphs of one structure after the other; those of a structure that moves on share a Verlet list.

    The first has none: a skin pays only where the next structure is nearly the same one.

    Args:
        r_max: Cutoff radius, A.
        species: Chemical symbols of the potential, sorted by atomic number.
        edge_cutoffs: (T, T) shorter cutoffs of pairs of species, centre and neighbor, A; None has none.
        device: Where the graphs shall be.
        skin: Of the lists, A.
    """

    def __init__(
        self,
        r_max: float,
        species: Sequence[str],
        edge_cutoffs: Sequence[Sequence[float]] | None = None,
        device: torch.device | str = "cpu",
        skin: float = SKIN,
    ) -> None:
        self.r_max, self.species, self.skin = r_max, species, skin
        self.device = device
        self.edge_cutoffs = shorter_cutoffs(edge_cutoffs, r_max)
        self._list: VerletList | None = None
        self._was_followed = False
        self._system: tuple[np.ndarray, np.ndarray] | None = None

    def build(self, atoms: Atoms) -> Graph:
        """The graph that `build_graph` makes of these atoms, on the device.

        Raises:
            DataError: An element is not among `species`, or the structure has no neighbor list.
        """
        graph = graph_of_atoms(atoms, self.species).to(self.device)
        follows = self._follows(atoms, graph)
        if self._list is None or not follows or self._list.margin == 0.0:
            margin = self.skin if follows or self._was_followed else 0.0
            pbc = torch.tensor(atoms.pbc).view(1, 3).to(self.device)
            self._list = VerletList.build(graph, pbc, self.r_max, self.edge_cutoffs, margin, self.skin)
            self._system = atoms.numbers.copy(), atoms.pbc.copy()
        self._was_followed = follows
        edge_index, edge_shift = self._list.edges(graph.positions, graph.cell)
        return replace(graph, edge_index=edge_index, edge_shift=edge_shift)

    def _follows(self, atoms: Atoms, graph: Graph) -> bool:
        """Whether these are the atoms of the list, little further on."""
        if self._list is None or self._system is None:
            return False
        now = atoms.numbers, atoms.pbc
        if not all(np.array_equal(a, b) for a, b in zip(self._system, now, strict=True)):
            return False
        return not self._list.is_stale(graph.positions, graph.cell)


def _inverse(cell: Tensor) -> Tensor:
    """Inverses of matrices (B, 3, 3) by their rows' cross products: no library that a GPU would wait for."""
    a, b, c = cell.unbind(1)
    columns = [torch.linalg.cross(b, c), torch.linalg.cross(c, a), torch.linalg.cross(a, b)]
    return torch.stack(columns, dim=2) / (a * columns[0]).sum(1).view(-1, 1, 1)


def shorter_cutoffs(edge_cutoffs: Sequence[Sequence[float]] | None, r_max: float) -> Tensor | None:
    """Cutoffs of pairs of species, (T, T) A, if any of them is shorter than `r_max`."""
    is_shorter = edge_cutoffs is not None and np.min(edge_cutoffs) < r_max
    return torch.tensor(edge_cutoffs, dtype=torch.float64) if is_shorter else None


def _search(graph: Graph, pbc: Tensor, r_max: float) -> tuple[Tensor, Tensor]:
    """Edges by the fastest search for the device."""
    if graph.positions.device.type != "cpu":
        return batched_neighbor_list(graph.positions, graph.cell, pbc, graph.batch, r_max)
    sizes = graph.num_atoms.tolist()
    structures = zip(graph.positions.split(sizes), graph.cell, pbc, strict=True)
    found = [neighbor_list(x.numpy(), cell.numpy(), p.numpy(), r_max) for x, cell, p in structures]
    first = np.cumsum([0, *sizes[:-1]])
    edge_index = np.concatenate([index + k for (index, _), k in zip(found, first, strict=True)], axis=1)
    edge_shift = np.concatenate([shift for _, shift in found]).astype(np.float64)
    return torch.from_numpy(edge_index), torch.from_numpy(edge_shift)
