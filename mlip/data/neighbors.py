"""Neighbor lists: the one place that decides which pairs of atoms see each other.

The pair search itself is vesin's cell list (https://github.com/Luthaf/vesin); here stand the conventions of
Vitreous, the cells that vesin should never see, and the errors for structures that have no neighbor list.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlip.errors import DataError

# Below this volume of the cell spanned by unit vectors a periodic cell counts as flat (0.01 degrees of tilt).
_FLAT_CELL = 1e-4
# Beyond this many cells of one cutoff each, vesin thins its grid by the same factor in all directions; a
# direction that is left with less than one cell then kills the process (division by zero).
_LARGEST_GRID = 9e4


def neighbor_list(
    positions: ArrayLike, cell: ArrayLike, pbc: ArrayLike, r_max: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find all ordered pairs of atoms closer than `r_max`, periodic images included.

    Both directions of each pair are listed; an atom is a neighbor of its own images, never of itself. The
    vector of a pair is `positions[j] - positions[i] + edge_shift @ cell`. Atoms may lie outside the cell.

    Args:
        positions: Cartesian positions, shape (N, 3), A.
        cell: Lattice vectors as rows, shape (3, 3), A. Rows of open directions are not used and may be zero.
        pbc: Which of the three directions are periodic, shape (3,) or one value for all.
        r_max: Cutoff radius, A.

    Returns:
        `edge_index`, int64 of shape (2, E): centre i and neighbor j; and `edge_shift`, int64 of shape (E, 3):
        lattice translations of j, zero along open directions. Sorted by i, then j, then translation.

    Raises:
        DataError: A periodic direction has no extent, positions are not finite, or the structure is so long
            and thin that an atom must have been lost.
    """
    from vesin import NeighborList  # loads torch where there is one: not for those who only want cells

    points = np.ascontiguousarray(positions, dtype=np.float64).reshape(-1, 3)
    periodic = np.broadcast_to(np.asarray(pbc, dtype=bool), (3,)).copy()
    box = complete_cell(cell, periodic)
    _check_finite(points)
    _check_extent(points, box, periodic, r_max)
    search = NeighborList(cutoff=float(r_max), full_list=True, sorted=False)
    centers, neighbors, shifts = search.compute(points, box, periodic, "ijS")
    centers, neighbors = centers.view(np.int64), neighbors.view(np.int64)  # size_t in C++
    order = _edge_order(centers, neighbors, shifts, len(points))
    # `take` moves rows several times as fast as an index does.
    return np.stack([centers[order], neighbors[order]]), shifts.take(order, axis=0).astype(np.int64)


def _edge_order(
    centers: NDArray[np.int64], neighbors: NDArray[np.int64], shifts: NDArray[np.int32], num_atoms: int
) -> NDArray[np.int64]:
    """The permutation (E,) into the order that does not depend on how edges were found.

    Sums over them, and so forces, are the same to the last bit after a restart, or from a Verlet list.
    """
    pair = centers * num_atoms + neighbors
    order = np.argsort(pair, kind="stable")
    ordered = pair[order]
    if np.any(ordered[1:] == ordered[:-1]):  # several images of a neighbor
        order = np.lexsort((*shifts.T[::-1], pair))
    return order


def complete_cell(cell: ArrayLike, pbc: ArrayLike) -> NDArray[np.float64]:
    """Replace the lattice vectors of open directions by unit vectors normal to the periodic ones.

    Args:
        cell: Lattice vectors as rows, shape (3, 3), A.
        pbc: Which of the three directions are periodic, shape (3,).

    Returns:
        A cell of full rank, shape (3, 3), A; periodic rows unchanged.

    Raises:
        DataError: The periodic lattice vectors are zero, parallel, in one plane, or not finite.
    """
    box = np.array(cell, dtype=np.float64).reshape(3, 3)
    periodic = np.asarray(pbc, dtype=bool)
    lengths = np.linalg.norm(box[periodic], axis=1)
    if not np.all(np.isfinite(lengths)) or np.any(lengths == 0.0):
        raise DataError(_describe_bad_cell(box, periodic))
    _, flatness, right = np.linalg.svd(box[periodic] / lengths[:, None])
    if np.prod(flatness) < _FLAT_CELL:
        raise DataError(_describe_bad_cell(box, periodic))
    box[~periodic] = right[np.count_nonzero(periodic) :]
    return box


def _describe_bad_cell(cell: NDArray[np.float64], pbc: NDArray[np.bool_]) -> str:
    """Say what is wrong with a cell and how to mend it."""
    flags = "".join("T" if flag else "F" for flag in pbc)
    rows = " ".join(str([float(f"{x:.6g}") for x in row]) for row in cell)
    return (
        f"The cell {rows} has no volume along its periodic directions (pbc={flags}); expected independent "
        "lattice vectors: give the right cell, or set pbc to false for a molecule."
    )


def _check_finite(positions: NDArray[np.float64]) -> None:
    """Refuse positions that are not numbers."""
    finite = np.isfinite(positions).all(axis=1)
    if not finite.all():
        atom = int(np.argmin(finite))
        raise DataError(f"Atom {atom} has position {positions[atom]}; expected finite numbers in A.")


def _check_extent(
    positions: NDArray[np.float64], cell: NDArray[np.float64], pbc: NDArray[np.bool_], r_max: float
) -> None:
    """Refuse needles and sheets of more cells than vesin's grid can hold, which lost atoms make."""
    heights = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    if len(positions):
        heights = np.where(pbc, heights, np.ptp(positions @ cell.T, axis=0))
    grid = np.maximum(np.floor(heights / r_max), 1.0)
    if np.min(grid) * np.cbrt(min(1.0, _LARGEST_GRID / np.prod(grid))) < 1.0:
        sizes = " x ".join(f"{height:.3g}" for height in heights)
        raise DataError(
            f"The structure measures {sizes} A, too many cutoffs of {r_max:g} A for so thin a shape: an atom "
            "was lost, or the cell is wrong; expected the atoms of one piece of matter."
        )
