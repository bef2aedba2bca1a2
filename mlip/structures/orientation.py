"""Planes of a crystal: which ones symmetry tells apart, and the primitive cell that has one as its base."""

from collections.abc import Iterator
from itertools import product
from math import gcd

import numpy as np
import spglib
from ase import Atoms
from ase.geometry import cellpar_to_cell
from numpy.typing import NDArray

from mlip.errors import DataError
from mlip.structures.symmetry import find_operations, wrap

# Centred cells hold 2, 3 or 4 primitive ones: indices by primitive vectors are parts of whole numbers.
_LARGEST_DENOMINATOR = 12


def distinct_planes(crystal: Atoms, max_index: int, tolerance_A: float) -> list[tuple[int, int, int]]:
    """Miller indices up to a largest, one of each set that symmetry makes equal; (hkl) and (-h-k-l) are one.

    Args:
        crystal: The crystal in the cell that the indices are of.
        max_index: The largest absolute index.
        tolerance_A: Of symmetry.

    Returns:
        Low indices first, positive ones preferred.
    """
    rotations, _ = find_operations(crystal, tolerance_A)
    found: list[tuple[int, int, int]] = []
    seen: set[tuple[int, ...]] = set()
    for plane in _by_preference(max_index):
        if plane not in seen:
            found.append(plane)
            images = np.array(plane) @ rotations
            seen |= {tuple(each) for each in np.concatenate([images, -images]).tolist()}
    return found


def _by_preference(max_index: int) -> Iterator[tuple[int, int, int]]:
    indices = range(-max_index, max_index + 1)
    coprime = [plane for plane in product(indices, indices, indices) if gcd(*plane) == 1]
    return iter(
        sorted(
            coprime,
            key=lambda plane: (
                sum(each * each for each in plane),
                sum(each < 0 for each in plane),
                tuple(-each for each in plane),
            ),
        )
    )


def conventional_cell(crystal: Atoms, tolerance_A: float) -> Atoms:
    """The crystal in the conventional cell of its space group, in the directions it has.

    Raises:
        DataError: There is no symmetry to be found.
    """
    return _standardized(crystal, False, tolerance_A)


def orient(crystal: Atoms, plane: tuple[int, int, int], tolerance_A: float) -> Atoms:
    """The primitive cell of a crystal with two vectors in a plane, turned so that z is normal to it.

    Its volume is that of the primitive cell: the third vector reaches the next equivalent plane, no further.

    Args:
        crystal: The crystal in the cell that the Miller indices are of.
        plane: Miller indices.
        tolerance_A: Of symmetry.

    Returns:
        A cell whose first vector is along x, whose second is in the xy plane, at 60 to 120 degrees.
    """
    primitive = _standardized(crystal, True, tolerance_A)
    base = _base_of_plane(_by_primitive_vectors(crystal, primitive, plane))
    vectors = _reduced(base @ primitive.cell.array)
    fractional = primitive.positions @ np.linalg.inv(vectors)
    lengths = np.linalg.norm(vectors, axis=1)
    unit = vectors / lengths[:, None]
    angles = [np.degrees(np.arccos(unit[i] @ unit[j])) for i, j in ((1, 2), (0, 2), (0, 1))]
    turned = cellpar_to_cell([*lengths, *angles])
    return Atoms(primitive.numbers, scaled_positions=wrap(fractional), cell=turned, pbc=True)


def _standardized(crystal: Atoms, to_primitive: bool, tolerance_A: float) -> Atoms:
    """Another cell of the same crystal by spglib, which leaves positions and directions as they are."""
    cell = (crystal.cell.array, crystal.get_scaled_positions(), crystal.numbers)
    found = spglib.standardize_cell(cell, to_primitive=to_primitive, no_idealize=True, symprec=tolerance_A)
    if found is None:
        raise DataError(
            f"found no cell of {crystal.get_chemical_formula()}; expected atoms that are apart, in a cell"
        )
    vectors, fractional, numbers = found
    return Atoms(numbers, scaled_positions=fractional, cell=vectors, pbc=True)


def _by_primitive_vectors(
    crystal: Atoms, primitive: Atoms, plane: tuple[int, int, int]
) -> tuple[int, int, int]:
    """Miller indices by the primitive vectors, coprime."""
    indices = primitive.cell.array @ np.linalg.inv(crystal.cell.array) @ plane
    for denominator in range(1, _LARGEST_DENOMINATOR + 1):
        whole = np.rint(indices * denominator).astype(int)
        if np.abs(indices * denominator - whole).max() < 1e-4 * denominator:
            h, k, l = (int(each) for each in whole // gcd(*whole.tolist()))  # noqa: E741
            return h, k, l
    raise DataError(f"found no lattice plane {plane}; expected a crystal whose symmetry is clear: relax it")


def _base_of_plane(plane: tuple[int, int, int]) -> NDArray[np.int64]:
    """Whole rows u, v, w of determinant 1 or -1 with plane . u = plane . v = 0 and plane . w = 1."""
    h, k, l = plane  # noqa: E741
    if h == k == 0:
        return np.array([[1, 0, 0], [0, 1, 0], [0, 0, l]])
    common, p, q = _bezout(h, k)
    _, r, s = _bezout(common, l)
    return np.array([[k // common, -h // common, 0], [-p * l, -q * l, common], [r * p, r * q, s]])


def _bezout(a: int, b: int) -> tuple[int, int, int]:
    """The greatest common divisor g and x, y with a x + b y = g > 0."""
    if b == 0:
        return abs(a), (1 if a > 0 else -1), 0
    divisor, x, y = _bezout(b, a % b)
    return divisor, y, x - (a // b) * y


def _reduced(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """The shortest two vectors of the plane, and a third as upright as there is, right-handed."""
    u, v, w = vectors
    while True:  # Gauss' reduction
        if u @ u > v @ v:
            u, v = v, u
        steps = np.rint(u @ v / (u @ u))
        if steps == 0:
            break
        v = v - steps * u
    in_plane = np.array([u, v])
    w = w - np.rint(np.linalg.lstsq(in_plane.T, w, rcond=None)[0]) @ in_plane
    if np.linalg.det([u, v, w]) < 0:
        v = -v
    return np.array([u, v, w])
