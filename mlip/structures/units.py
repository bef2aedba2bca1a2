"""Molecules and molecular ions in a structure: atoms that are bonded, each unit in one piece."""

from collections import deque
from collections.abc import Sequence

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mlip.data.neighbors import neighbor_list
from mlip.errors import ConfigError, DataError


def find_units(
    atoms: Atoms, bonds: Sequence[Sequence[str | float]]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Find what is bonded to what, and bring each unit into one piece.

    Args:
        atoms: Any structure.
        bonds: [species, species, longest length in A] of each kind of bond; without any, each atom is a unit.

    Returns:
        Number of the unit of each atom (N,), and positions (N, 3), A, next to those they are bonded to.

    Raises:
        ConfigError: A kind of bond makes no sense.
        DataError: A unit goes on through the periodic boundary for ever.
    """
    if not bonds:
        return np.arange(len(atoms)), atoms.positions.copy()
    edges, steps = _bonded_pairs(atoms, bonds)
    connected = coo_array((np.ones(edges.shape[1]), edges), shape=(len(atoms), len(atoms)))
    _, unit = connected_components(connected, directed=False)
    positions = _joined(atoms.positions, edges, steps)
    broken = np.abs(positions[edges[1]] - positions[edges[0]] - steps).max(initial=0.0)
    if broken > 1e-6:
        raise DataError(
            f"found a unit of {atoms.symbols} that goes on for ever; expected molecules: shorten "
            f"builder.bonds={[list(each) for each in bonds]}"
        )
    return unit.astype(np.int64), positions


def _bonded_pairs(
    atoms: Atoms, bonds: Sequence[Sequence[str | float]]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Pairs (2, E), each in both directions, and the vectors from the first to the second (E, 3)."""
    if not all(len(each) == 3 and isinstance(each[2], int | float) and each[2] > 0 for each in bonds):
        raise ConfigError(
            f"found builder.bonds={[list(each) for each in bonds]}; expected kinds of bonds, as [[P,O,1.9]]"
        )
    longest = max(float(each[2]) for each in bonds)
    edges, shifts = neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, longest)
    steps = atoms.positions[edges[1]] - atoms.positions[edges[0]] + shifts @ atoms.cell.array
    lengths = np.linalg.norm(steps, axis=1)
    symbols = np.array(atoms.get_chemical_symbols())
    first, second = symbols[edges]
    bonded = np.zeros(len(lengths), dtype=bool)
    for one, other, length in bonds:
        kind = ((first == one) & (second == other)) | ((first == other) & (second == one))
        bonded |= kind & (lengths <= float(length))
    return edges[:, bonded], steps[bonded]


def _joined(
    positions: NDArray[np.float64], edges: NDArray[np.int64], steps: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Positions reached from the first atom of each unit along its bonds."""
    joined = positions.copy()
    starts = np.searchsorted(edges[0], np.arange(len(positions) + 1))  # edges are sorted by their first atom
    reached = np.zeros(len(positions), dtype=bool)
    for root in np.unique(edges[0]):
        queue = deque([] if reached[root] else [root])
        reached[root] = True
        while queue:
            atom = queue.popleft()
            for edge in range(starts[atom], starts[atom + 1]):
                other = edges[1, edge]
                if not reached[other]:
                    reached[other] = True
                    joined[other] = joined[atom] + steps[edge]
                    queue.append(other)
    return joined
