"""How close two slabs may come, and where one stands on the other so that both interfaces are alike."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip.data.neighbors import neighbor_list
from mlip.structures.flips import find_flips, plane_symmetries
from mlip.structures.packing import closest_contact

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

# Fractions of a lattice vector.
_SAME = 1e-3
_CORNERS = np.array(list(product((0, 1), repeat=2)))


@dataclass(frozen=True)
class Registry:
    """How the upper slab stands on the lower one, and the stack on itself.

    Attributes:
        offset: Displacement of the upper slab in the plane, fractional, shape (2,).
        tilt: Where the next period stands, fractional in the plane, shape (2,).
        equivalent: Whether an operation exchanges the two interfaces of a period.
    """

    offset: Array
    tilt: Array
    equivalent: bool


def closest_gap(lower: Atoms, upper: Atoms) -> float:
    """The smallest distance between the planes of the outermost atoms at which no two atoms are too close.

    Two atoms at u and v behind those planes, with a distance rho in the plane, keep their least distance d if
    the gap is at least sqrt(d^2 - rho^2) - u - v.

    Args:
        lower: Slab whose top is at the interface.
        upper: Slab whose bottom is at the interface, on the same cell in the plane; its height does not
            matter.

    Returns:
        The gap in A; negative if the slabs could interlock.
    """
    depth, height = lower.positions[:, 2].max() - lower.positions[:, 2], upper.positions[:, 2]
    behind = np.concatenate([depth, height - height.min()])
    symbols = np.array([*lower.symbols, *upper.symbols])
    kinds = np.unique(symbols).tolist()
    contacts = {(a, b): closest_contact(a, b) for a in kinds for b in kinds}
    reach = max(contacts.values())
    near = np.flatnonzero(behind < reach)
    flat = np.concatenate([lower.positions, upper.positions])[near] * [1.0, 1.0, 0.0]
    cell = np.zeros((3, 3))
    cell[:2, :2], cell[2, 2] = lower.cell.array[:2, :2], 1.0
    (first, second), shift = neighbor_list(flat, cell, [True, True, False], reach)
    across = (near[first] < len(lower)) & (near[second] >= len(lower))
    first, second, shift = first[across], second[across], shift[across]
    rho = np.linalg.norm(flat[second] + shift @ cell - flat[first], axis=1)
    i, j = near[first], near[second]
    least = np.array([contacts[a, b] for a, b in zip(symbols[i], symbols[j], strict=True)])
    room = np.sqrt(np.maximum(least**2 - rho**2, 0.0)) - behind[i] - behind[j]
    return float(room[rho < least].max(initial=-reach))


def find_registry(lower: Atoms, upper: Atoms) -> Registry:
    """Place the upper slab so that both interfaces of a periodic stack are images of each other.

    An operation that turns the lower slab upside down onto itself with a translation t, and the upper one
    with t', maps the stack onto itself if the next period stands by t' - t further in the plane. Moving the
    upper slab changes t' for an inversion, but not for a mirror: so a stack without tilt is found wherever
    there is one, and among those the one in which the slabs can come closest.

    Args:
        lower: Slab on the common cell.
        upper: The other slab on it.

    Returns:
        Where the upper slab and the next period stand; nothing moves if no operation is common to both slabs.
    """
    plane = lower.cell.array[:2, :2]
    found: list[tuple[float, Array, Array, Array]] = []
    for change in plane_symmetries(plane):
        below, above = find_flips(lower, change), find_flips(upper, change)
        for offset, tilt in _settings(below, above, change):
            length = round(float(np.linalg.norm(tilt @ plane)), 3)
            found.append((length, offset, tilt, sums_of(below, above)))
    if not found:
        return Registry(np.zeros(2), np.zeros(2), equivalent=False)
    least = min(length for length, *_ in found)
    distinct: list[tuple[Array, Array]] = []
    for length, offset, tilt, translations in found:
        if length == least and not any(_is_among(offset - other, translations) for other, _ in distinct):
            distinct.append((offset, tilt))
    gaps = [round(closest_gap(lower, displaced(upper, offset)), 3) for offset, _ in distinct]
    offset, tilt = distinct[int(np.argmin(gaps))]
    return Registry(offset, tilt, equivalent=True)


def _settings(below: Array, above: Array, change: Integers) -> Iterator[tuple[Array, Array]]:
    """Offset of the upper slab, and tilt, for each flip of the lower slab with each of the upper."""
    freedom = np.eye(2) - change
    for t, other in product(below, above):
        moved = [(t - other + whole) @ np.linalg.pinv(freedom) for whole in _CORNERS]
        upright = [offset for offset in moved if is_whole(offset @ freedom - (t - other))]
        for offset in upright:
            yield offset, np.zeros(2)
        tilt = other - t - np.rint(other - t)
        if not upright and is_whole(tilt @ change + tilt):
            yield np.zeros(2), tilt


def sums_of(below: Array, above: Array) -> Array:
    """Translations between operations of either slab, and sums of them, fractional, shape (n, 2).

    Args:
        below: Translations of operations of one kind that leave the lower slab as it is, shape (p, 2).
        above: Those of the upper slab, shape (q, 2).
    """
    sums = (below - below[0])[:, None] + (above - above[0])[None]
    return np.unique(np.round(sums.reshape(-1, 2) % 1.0, 4) % 1.0, axis=0)


def _is_among(offset: Array, translations: Array) -> bool:
    difference = offset - translations
    return bool(np.any(np.abs(difference - np.rint(difference)).max(axis=1) < _SAME))


def is_whole(vectors: Array) -> bool:
    """Whether fractional coordinates are those of lattice points."""
    return bool(np.abs(vectors - np.rint(vectors)).max() < _SAME)


def displaced(slab: Atoms, offset: Array) -> Atoms:
    """A slab moved in its plane.

    Args:
        slab: The slab.
        offset: Fractional, shape (2,).
    """
    slab = slab.copy()
    slab.positions[:, :2] += offset @ slab.cell.array[:2, :2]
    return slab
