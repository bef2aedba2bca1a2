"""Labelled frames as a torch data set of graphs."""

import hashlib
from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from torch.utils.data import Dataset
from tqdm import tqdm

from mlip.data.graph import LabelledGraph, build_graph, label_graph
from mlip.data.labels import frame_labels


class GraphDataset(Dataset[LabelledGraph]):
    """Labelled graphs of frames, their neighbors computed once and kept in memory.

    Attributes:
        frames: The frames, in order.
        r_max: Cutoff radius, A.
        edge_cutoffs: (T, T) shorter cutoffs of pairs of species, A, or None.
        species: Chemical symbols of the potential, sorted by atomic number.
    """

    def __init__(
        self,
        frames: Sequence[Atoms],
        r_max: float,
        species: Sequence[str] | None = None,
        edge_cutoffs: Sequence[Sequence[float]] | None = None,
    ) -> None:
        """Build the graphs.

        Args:
            frames: Frames with energy and forces.
            r_max: Cutoff radius, A.
            species: Chemical symbols of the potential; those of the frames by default.
            edge_cutoffs: (T, T) shorter cutoffs of pairs of species, A; None has none.

        Raises:
            DataError: A frame has no neighbor list, lacks a label or contains an unknown element.
        """
        self.frames = list(frames)
        self.r_max = float(r_max)
        self.edge_cutoffs = edge_cutoffs
        self.species = tuple(species) if species is not None else species_of(self.frames)
        progress = tqdm(self.frames, desc="Neighbor lists", unit="frame", leave=False, disable=None)
        self._graphs = [
            label_graph(build_graph(atoms, r_max, self.species, edge_cutoffs), atoms) for atoms in progress
        ]

    def __len__(self) -> int:
        return len(self._graphs)

    def __getitem__(self, index: int) -> LabelledGraph:
        return self._graphs[index]


def species_of(frames: Sequence[Atoms]) -> tuple[str, ...]:
    """List the chemical symbols of frames, sorted by atomic number.

    Args:
        frames: Any structures.

    Returns:
        Each symbol once.
    """
    numbers = {int(number) for atoms in frames for number in np.unique(atoms.numbers)}
    return tuple(chemical_symbols[number] for number in sorted(numbers))


def data_hash(frames: Sequence[Atoms]) -> str:
    """Identify structures and labels, whatever file they came from.

    Args:
        frames: Frames in order.

    Returns:
        SHA-256 in hexadecimal of the numbers, positions, cell, pbc, energy, forces, stress and force mask
        of all frames.
    """
    digest = hashlib.sha256()
    for atoms in frames:
        labels = frame_labels(atoms)
        structure = (atoms.numbers.astype(np.int64), atoms.positions, atoms.cell.array, atoms.pbc)
        for array in (*structure, labels.energy, labels.forces, labels.stress):
            data = b"" if array is None else np.ascontiguousarray(array).tobytes()
            digest.update(len(data).to_bytes(8, "little") + data)
        if labels.force_mask is not None:
            digest.update(labels.force_mask.tobytes())
    return digest.hexdigest()
