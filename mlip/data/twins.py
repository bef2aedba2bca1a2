"""Near-duplicate frames: which structures of a data set are so alike that one gives the other away.

Frames of a trajectory that are shuffled and split at random put almost equal structures on both sides, and
the validation error then measures memory. How alike two frames are is the RMS displacement of their atoms,
with periodic images, a shift of all atoms together, and the strain between their cells accounted for.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import pdist

from mlip.data.neighbors import complete_cell

# On `lips` (AIMD at 520 K) the forces of two frames correlate by 0.98 below 0.03 A, 0.74 at 0.06-0.10 A,
# 0.44 at 0.10-0.15 A and 0.05 at 0.15-0.20 A: closer than this, knowing one frame is knowing the other.
TWIN_DISTANCE = 0.15
# Closer than this, two frames are one structure written twice, A.
SAME_DISTANCE = 1e-3
_ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class Twins:
    """Pairs of frames that are nearly the same structure.

    Attributes:
        first: Index of one frame of each pair, int64 (P,).
        second: Index of the other, larger one, int64 (P,).
        distance: RMS displacement between them, float64 (P,), A.
        groups: Number of the group of each frame, int64 (number of frames,); a chain of pairs links a group.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    distance: NDArray[np.float64]
    groups: NDArray[np.int64]


def find_twins(frames: Sequence[Atoms], threshold: float = TWIN_DISTANCE) -> Twins:
    """Find all pairs of frames closer than a threshold, and the groups that they link.

    Only frames with the same elements in the same order and the same periodic directions are compared.

    Args:
        frames: Structures, with or without labels; their positions must be finite and their cells sound.
        threshold: RMS displacement below which two frames are twins, A.

    Returns:
        The pairs and the groups (single linkage).
    """
    alike: dict[tuple[bytes, bytes], list[int]] = defaultdict(list)
    for index, atoms in enumerate(frames):
        alike[atoms.numbers.tobytes(), atoms.pbc.tobytes()].append(index)
    pairs = [(np.empty(0, dtype=np.int64),) * 2 + (np.empty(0),)]
    for members in alike.values():
        indices = np.array(members, dtype=np.int64)
        for rows, columns, distance in _close_pairs([frames[index] for index in members], threshold):
            pairs.append((indices[rows], indices[columns], distance))
    first, second, distance = (np.concatenate(column) for column in zip(*pairs, strict=True))
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(len(frames), len(frames)))
    groups = connected_components(graph, directed=False)[1].astype(np.int64)
    return Twins(first, second, distance, groups)


def _close_pairs(
    frames: Sequence[Atoms], threshold: float
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]]:
    """Yield the pairs of alike frames closer than the threshold, a block of rows at a time."""
    plain, waves = _embed_molecules(frames) if not frames[0].pbc.any() else _embed_periodic(frames)
    squares = np.sum(plain**2, axis=1)
    indices = np.arange(len(frames))
    for start in range(0, len(frames), _ROWS_AT_ONCE):
        rows = indices[start : start + _ROWS_AT_ONCE]
        squared = squares[rows, None] + squares - 2.0 * plain[rows] @ plain.T
        for wave in waves:
            # The best shift of all atoms together turns an overlap of phases into its absolute value.
            squared += 2.0 * np.vdot(wave[0], wave[0]).real - 2.0 * np.abs(wave[rows] @ wave.conj().T)
        block, other = np.nonzero((squared < threshold**2) & (indices > rows[:, None]))
        yield rows[block], other, np.sqrt(np.maximum(squared[block, other], 0.0))


def _embed_molecules(frames: Sequence[Atoms]) -> tuple[NDArray[np.float64], NDArray[np.complex128]]:
    """Describe molecules by their interatomic distances, which no shift or rotation changes.

    Independent displacements of two atoms change their distance by 2/3 of their mean square: the weight.
    """
    distances = np.array([pdist(atoms.positions) for atoms in frames])
    return distances * np.sqrt(1.5 / max(1, distances.shape[1])), np.empty((0, 1, 1), dtype=np.complex128)


def _embed_periodic(frames: Sequence[Atoms]) -> tuple[NDArray[np.float64], NDArray[np.complex128]]:
    """Describe crystals, slabs and wires so that Euclidean distances are RMS displacements in A.

    A fractional coordinate becomes a point on a circle as long as its lattice vector, which takes care of the
    periodic images and is exact for small displacements in orthogonal cells (within the skew in others); a
    strain counts as the mean displacement of the matter it moves (mean square 1/12 of a lattice vector).

    Returns:
        Ordinary coordinates, shape (n, D), and waves, shape (periodic directions, n, N).
    """
    pbc = frames[0].pbc
    lengths = np.mean([np.linalg.norm(atoms.cell.array[pbc], axis=1) for atoms in frames], axis=0)
    plain, waves = [], []
    for atoms in frames:
        box = complete_cell(atoms.cell.array, pbc)
        centered = atoms.positions - atoms.positions.mean(axis=0)
        open_part = centered @ box[~pbc].T @ box[~pbc] / np.sqrt(len(atoms))
        plain.append(np.concatenate([open_part.ravel(), box[pbc].ravel() / np.sqrt(12.0)]))
        fractional = (centered @ np.linalg.inv(box))[:, pbc]
        waves.append(np.exp(2j * np.pi * fractional) * lengths / (2.0 * np.pi * np.sqrt(len(atoms))))
    return np.array(plain), np.array(waves).transpose(2, 0, 1)
