"""Where a crystal can be cut along a plane, and which of the slabs between two cuts are the same."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list
from numpy.typing import NDArray

from mlip.structures.symmetry import find_operations


@dataclass(frozen=True)
class Slice:
    """What lies between two cuts, some whole periods further apart.

    Attributes:
        bottom: Fractional height of the lower cut.
        top: Fractional height of the upper one; the same as `bottom` for whole periods.
        symmetric: Whether an operation of the crystal turns it upside down onto itself.
    """

    bottom: float
    top: float
    symmetric: bool

    @property
    def stoichiometric(self) -> bool:
        """Whether it holds whole periods."""
        return self.top == self.bottom


def find_slices(
    oriented: Atoms, layer_A: float, tolerance_A: float, bonds: Sequence[Sequence] = ()
) -> list[Slice]:
    """Find every distinct slice of a crystal: those of whole periods, and symmetric ones of parts of them.

    Args:
        oriented: A cell of `orient`.
        layer_A: Atoms whose heights differ by less are one layer, which is not cut.
        tolerance_A: Of symmetry.
        bonds: [species, species, longest length in A] of bonds that are not cut.

    Returns:
        Slices of whole periods first, by height. None, if there is no gap between layers.
    """
    cuts = _find_cuts(oriented, layer_A)
    cuts = cuts[~_through_bonds(oriented, cuts, bonds)]
    if not len(cuts):
        return []
    kept, turned = _map_cuts(oriented, cuts, tolerance_A)
    pairs = [(i, i) for i in range(len(cuts))]
    pairs += [(i, int(j)) for row in turned for i, j in enumerate(row) if i != j and j >= 0]
    slices = []
    seen: set[tuple[int, int]] = set()
    for bottom, top in pairs:
        if (bottom, top) in seen:
            continue
        seen |= {(int(row[bottom]), int(row[top])) for row in kept}
        seen |= {(int(row[top]), int(row[bottom])) for row in turned}
        symmetric = any(row[bottom] == top for row in turned)
        slices.append(Slice(float(cuts[bottom]), float(cuts[top]), symmetric))
    return slices


def _find_cuts(oriented: Atoms, layer_A: float) -> NDArray[np.float64]:
    """Fractional heights (K,) in the middle between layers."""
    heights = np.sort(oriented.get_scaled_positions(wrap=True)[:, 2])
    gaps = np.diff(heights, append=heights[0] + 1.0)
    wide = gaps * oriented.cell.array[2, 2] > layer_A
    return np.sort((heights + gaps / 2)[wide] % 1.0)


def _through_bonds(
    oriented: Atoms, cuts: NDArray[np.float64], bonds: Sequence[Sequence]
) -> NDArray[np.bool_]:
    """Which cuts part two bonded atoms, (K,)."""
    parted = np.zeros(len(cuts), dtype=bool)
    if not bonds or not len(cuts):
        return parted
    longest = {(str(a), str(b)): float(length) for a, b, length in bonds}
    i, vectors = neighbor_list("iD", oriented, longest)
    heights = oriented.get_scaled_positions(wrap=True)[i, 2]
    ends = heights + vectors[:, 2] / oriented.cell.array[2, 2]
    low, high = np.minimum(heights, ends), np.maximum(heights, ends)
    # A cut at c + n parts a bond for any whole n between its ends.
    return np.array([bool(np.any(np.ceil(low - cut) < high - cut)) for cut in cuts])


def _map_cuts(
    oriented: Atoms, cuts: NDArray[np.float64], tolerance_A: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where operations that keep the plane take cuts: those that keep its sides, and those that turn it over.

    Returns:
        Two arrays (G, K) of numbers of cuts; -1 where an image is none.
    """
    rotations, translations = find_operations(oriented, tolerance_A)
    maps: dict[int, set[tuple[int, ...]]] = {1: set(), -1: set()}
    for rotation, translation in zip(rotations, translations, strict=True):
        if rotation[2, 0] == rotation[2, 1] == 0:
            side = int(rotation[2, 2])
            images = (side * cuts + translation[2]) % 1.0
            off = np.abs((images[:, None] - cuts[None] + 0.5) % 1.0 - 0.5) * oriented.cell.array[2, 2]
            nearest = np.where(off.min(axis=1) < 10 * tolerance_A, off.argmin(axis=1), -1)
            maps[side].add(tuple(nearest.tolist()))
    kept, turned = (np.array(sorted(maps[side])).reshape(-1, len(cuts)) for side in (1, -1))
    return kept, turned
