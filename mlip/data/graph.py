"""Graphs: atoms and the pairs within a cutoff as tensors, one structure or many side by side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Self, TypeVar

import numpy as np
import torch
from ase import Atoms
from torch import Tensor

from mlip.data.labels import frame_labels
from mlip.data.neighbors import neighbor_list
from mlip.errors import DataError


@dataclass(frozen=True)
class Graph:
    """Atoms and their neighbors. N atoms, E edges, B structures.

    Attributes:
        positions: Cartesian positions, float64 (N, 3), A.
        species: Index into the species of the potential, int64 (N,).
        edge_index: Centre i and neighbor j of each pair, int64 (2, E), sorted by centre, then neighbor.
        edge_shift: Lattice translations of j, float64 (E, 3), whole numbers. The vector of a pair is
            `positions[j] - positions[i] + edge_shift @ cell`.
        cell: Lattice vectors as rows, float64 (B, 3, 3), A; zero for a structure without periodic directions.
        batch: Structure of each atom, int64 (N,), ascending.
        num_structures: B.
    """

    positions: Tensor
    species: Tensor
    edge_index: Tensor
    edge_shift: Tensor
    cell: Tensor
    batch: Tensor
    num_structures: int

    @property
    def num_atoms(self) -> Tensor:
        """Atoms of each structure, int64 (B,)."""
        return torch.bincount(self.batch, minlength=self.num_structures)

    @property
    def inputs(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """What a `ForceField` is called with, in its order."""
        return self.positions, self.species, self.edge_index, self.edge_shift, self.cell, self.batch

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """Copy to a device.

        Args:
            device: Where to.
            non_blocking: Do not wait for the copy (from pinned memory).

        Returns:
            The same graph on that device; dtypes stay.
        """
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Self:
        """Copy to page-locked memory, from which a GPU copies without waiting (`DataLoader` calls this)."""
        return self._map(Tensor.pin_memory)

    def _map(self, change: Callable[[Tensor], Tensor]) -> Self:
        changed = {name: change(tensor) for name, tensor in self._tensors().items()}
        return type(self)(num_structures=self.num_structures, **changed)

    def _tensors(self) -> dict[str, Tensor]:
        """Every tensor by field name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}


@dataclass(frozen=True)
class LabelledGraph(Graph):
    """A graph with what a reference calculation says of it.

    Attributes:
        energy: Force-consistent energy, float64 (B,), eV; NaN where there is none to trust.
        forces: Float64 (N, 3), eV/A; NaN on atoms where there is none to trust.
        stress: (1/V) dE/dstrain, float64 (B, 3, 3), eV/A^3; zero where `has_stress` is false.
        has_stress: Which structures carry a stress, bool (B,).
    """

    energy: Tensor
    forces: Tensor
    stress: Tensor
    has_stress: Tensor


def build_graph(
    atoms: Atoms,
    r_max: float,
    species: Sequence[str],
    edge_cutoffs: Sequence[Sequence[float]] | None = None,
) -> Graph:
    """Build the graph of one structure, without labels.

    Args:
        atoms: Any structure: periodic in none, some or all directions.
        r_max: Cutoff radius, A.
        species: Chemical symbols of the potential, sorted by atomic number.
        edge_cutoffs: (T, T) shorter cutoffs of pairs of species, centre and neighbor, A; None has none.

    Returns:
        A graph of one structure on the CPU.

    Raises:
        DataError: An element is not among `species`, or the structure has no neighbor list.
    """
    graph = graph_of_atoms(atoms, species)
    edge_index, edge_shift = neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, r_max)
    if edge_cutoffs is not None and np.min(edge_cutoffs) < r_max:
        centre, neighbor = edge_index
        vectors = atoms.positions[neighbor] - atoms.positions[centre] + edge_shift @ atoms.cell.array
        types = graph.species.numpy()
        cutoffs = np.asarray(edge_cutoffs)[types[centre], types[neighbor]]
        near = np.linalg.norm(vectors, axis=1) < cutoffs
        edge_index, edge_shift = edge_index[:, near], edge_shift[near]
    return replace(
        graph,
        edge_index=torch.from_numpy(edge_index),
        edge_shift=torch.from_numpy(edge_shift.astype(np.float64)),
    )


def graph_of_atoms(atoms: Atoms, species: Sequence[str]) -> Graph:
    """The atoms of a structure as a graph on the CPU that has no edges yet.

    Args:
        atoms: Any structure.
        species: Chemical symbols of the potential, sorted by atomic number.

    Raises:
        DataError: An element is not among `species`.
    """
    cell = atoms.cell.array if np.any(atoms.pbc) else np.zeros((3, 3))
    return Graph(
        positions=torch.tensor(atoms.positions, dtype=torch.float64),
        species=torch.from_numpy(species_index(atoms, species)),
        edge_index=torch.empty(2, 0, dtype=torch.int64),
        edge_shift=torch.empty(0, 3, dtype=torch.float64),
        cell=torch.tensor(cell, dtype=torch.float64).reshape(1, 3, 3),
        batch=torch.zeros(len(atoms), dtype=torch.int64),
        num_structures=1,
    )


def species_index(atoms: Atoms, species: Sequence[str]) -> np.ndarray:
    """Map the elements of a structure onto the species of a potential.

    Args:
        atoms: The structure, N atoms.
        species: Chemical symbols of the potential.

    Returns:
        Index into `species` of each atom, int64 (N,).

    Raises:
        DataError: An element is not among `species`.
    """
    number = {symbol: index for index, symbol in enumerate(species)}
    symbols = atoms.get_chemical_symbols()
    unknown = sorted(set(symbols) - number.keys())
    if unknown:
        raise DataError(
            f"{atoms.get_chemical_formula()} contains {', '.join(unknown)}; the potential knows only "
            f"{', '.join(species)}: use a potential trained on all of these elements."
        )
    return np.array([number[symbol] for symbol in symbols], dtype=np.int64)


def label_graph(graph: Graph, atoms: Atoms) -> LabelledGraph:
    """Add the labels of a frame to its graph.

    Args:
        graph: The graph of `atoms`.
        atoms: A frame from `read_frames`: its calculator holds energy, forces and perhaps stress.

    Returns:
        The graph with energy, forces, stress and has_stress. With a force mask, forces outside it and the
        energy are NaN.

    Raises:
        DataError: The frame has no energy or no forces.
    """
    labels = frame_labels(atoms)
    if labels.energy is None or labels.forces is None:
        missing = "energy" if labels.energy is None else "forces"
        raise DataError(
            f"A frame of {atoms.get_chemical_formula()} has no {missing}; training and evaluation need "
            "energy and forces on every frame: label it or leave it out."
        )
    energy, forces = labels.energy, labels.forces
    if labels.force_mask is not None:
        energy, forces = np.nan, np.where(labels.force_mask[:, None], forces, np.nan)
    stress = np.zeros((3, 3)) if labels.stress is None else labels.stress
    return LabelledGraph(
        **vars(graph),
        energy=torch.tensor([energy], dtype=torch.float64),
        forces=torch.tensor(forces, dtype=torch.float64),
        stress=torch.tensor(stress, dtype=torch.float64).reshape(1, 3, 3),
        has_stress=torch.tensor([labels.stress is not None]),
    )


AnyGraph = TypeVar("AnyGraph", bound=Graph)


def collate(graphs: Sequence[AnyGraph]) -> AnyGraph:
    """Join graphs into one, with the atoms of each structure in a row.

    Args:
        graphs: At least one graph, all of one class. Each may itself be a batch.

    Returns:
        One graph of all structures, in order.
    """
    atom_offsets = np.cumsum([0] + [len(graph.positions) for graph in graphs])
    structure_offsets = np.cumsum([0] + [graph.num_structures for graph in graphs])
    joined = {
        name: torch.cat([getattr(graph, name) for graph in graphs])
        for name in graphs[0]._tensors()
        if name not in ("edge_index", "batch")
    }
    edges = [graph.edge_index + int(offset) for graph, offset in zip(graphs, atom_offsets, strict=False)]
    batch = [graph.batch + int(offset) for graph, offset in zip(graphs, structure_offsets, strict=False)]
    return replace(
        graphs[0],
        edge_index=torch.cat(edges, dim=1),
        batch=torch.cat(batch),
        num_structures=int(structure_offsets[-1]),
        **joined,
    )
