"""A periodic glass is cut open into a slab: where the fewest bonds are, and no unit in two."""

from collections import deque

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from numpy.typing import NDArray

from mlip.data.neighbors import neighbor_list
from mlip.structures.molecules import IONS, NETWORK_FORMERS

# Of the sum of covalent radii.
_BOND = 1.2
_HEIGHTS = 200


def open_glass(glass: Atoms) -> Atoms:
    """Cut a periodic structure open along its third lattice vector, which becomes the normal of a slab.

    The plane is where the fewest bonds of the molecular units cross it; units that it still cuts are put as a
    whole on the side where most of them are. A network through the whole structure, such as borate, is cut.

    Args:
        glass: Periodic in all directions, its third vector normal to the other two.

    Returns:
        The slab, its lowest atom at z = 0; `info["num_cut_bonds"]` are the bonds that it lost.
    """
    slab = glass.copy()
    height = slab.cell.array[2, 2]
    bonds = _find_bonds(slab)
    slab.positions[:, 2] -= _quietest_height(slab, bonds) * height
    places = slab.get_scaled_positions(wrap=False)[:, 2]
    floors = np.floor(places).astype(int)
    slab.positions -= floors[:, None] * slab.cell.array[2]
    first, second, shift = bonds
    crossing = shift + floors[second] - floors[first]
    whole, num_cut = _whole_units(first, second, crossing, slab.positions[:, 2] / height)
    slab.positions += whole[:, None] * slab.cell.array[2]
    slab.positions[:, 2] -= slab.positions[:, 2].min()
    slab.pbc = [True, True, False]
    slab.info["num_cut_bonds"] = num_cut
    return slab


def _find_bonds(atoms: Atoms) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Bonds of network formers, both ways: first and second atom, and how many cells higher the second is."""
    radii = covalent_radii[atoms.numbers]
    reach = 2 * _BOND * radii.max()
    (first, second), shift = neighbor_list(atoms.positions, atoms.cell.array, True, reach)
    vectors = atoms.positions[second] + shift @ atoms.cell.array - atoms.positions[first]
    former = np.isin(atoms.get_chemical_symbols(), NETWORK_FORMERS)
    covalent = former | np.isin(atoms.get_chemical_symbols(), [s for s, (q, _) in IONS.items() if q < 0])
    bonded = (former[first] | former[second]) & covalent[first] & covalent[second]
    bonded &= np.linalg.norm(vectors, axis=1) < _BOND * (radii[first] + radii[second])
    return first[bonded], second[bonded], shift[bonded, 2]


def _quietest_height(
    atoms: Atoms, bonds: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
) -> float:
    """Fractional height of a plane through the fewest bonds, in the middle of the widest such range."""
    first, second, shift = bonds
    places = atoms.get_scaled_positions(wrap=False)[:, 2]
    ends = np.sort(np.stack([places[first], places[second] + shift]), axis=0)
    heights = np.arange(_HEIGHTS) / _HEIGHTS
    # a bond from 0.9 to 1.1 crosses a plane at 0 and at 1
    above = np.floor(ends[1][:, None] - heights) - np.floor(ends[0][:, None] - heights)
    crossed = np.abs(above).sum(axis=0)
    quiet = np.flatnonzero(crossed == crossed.min())
    return float(heights[quiet[len(quiet) // 2]])


def _whole_units(
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    crossing: NDArray[np.int64],
    heights: NDArray[np.float64],
) -> tuple[NDArray[np.int64], int]:
    """Cells that each atom moves up so that its unit is whole, shape (N,), and how many bonds stay cut."""
    moves = np.zeros(len(heights), dtype=np.int64)
    starts = np.searchsorted(first, np.arange(len(heights) + 1))
    done = np.zeros(len(heights), dtype=bool)
    for seed in np.unique(first[crossing != 0]):
        if done[seed]:
            continue
        level, endless = {int(seed): 0}, False
        queue = deque(level)
        while queue:
            atom = queue.popleft()
            for bond in range(starts[atom], starts[atom + 1]):
                other, up = int(second[bond]), level[atom] + int(crossing[bond])
                endless |= level.setdefault(other, up) != up
                if not done[other]:
                    done[other] = True
                    queue.append(other)
        if not endless:
            members = list(level)
            middle = np.mean(heights[members] + [level[atom] for atom in members])
            moves[members] = [level[atom] - int(np.floor(middle)) for atom in members]
    return moves, int(np.count_nonzero(crossing + moves[first] - moves[second])) // 2
