"""Registries of an interface: the same two slabs, one shifted in the plane against the other."""

from collections.abc import Iterator

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip.structures.flips import find_flips, find_translations, plane_symmetries
from mlip.structures.registry import Registry, is_whole, sums_of
from mlip.structures.stacking import COMPOUND, METAL, Stacking, place_slabs

Array = NDArray[np.float64]

_WHOLE = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)])


def shift_interface(interface: Atoms, per_vector: int) -> Iterator[Atoms]:
    """Move the upper slab over the cell in which registries repeat, on a grid; the gap follows the contacts.

    That cell is spanned by the translations of both slabs, so it is as large as the interface only where
    neither repeats within it. In a sandwich the next period moves along, so that the two interfaces stay
    images of each other wherever they were: under an inversion by twice the shift.

    Args:
        interface: As `stack_interface` left it, not relaxed.
        per_vector: Points of the grid along each vector; multiples of 6 meet the sites of high symmetry of
            square and of hexagonal lattices.

    Yields:
        The interface itself, then the others. `info["shift"]` is how far the upper slab moved, in fractions
        of the vectors in the plane.
    """
    lower, upper = (interface[interface.arrays["origin"] == side] for side in (COMPOUND, METAL))
    own = interface.copy()
    own.info["shift"] = [0.0, 0.0]
    yield own
    if lower.positions[:, 2].max() >= upper.positions[:, 2].min():
        return  # mixed, or wrapped across the boundary of the cell: no two slabs any more
    plane = interface.cell.array[:2, :2]
    vacuum = None
    if interface.info["num_interfaces"] == 1:
        vacuum = float(interface.cell[2, 2] - np.ptp(interface.positions[:, 2]))
    how = Stacking(gap_A=float(interface.info["least_gap_A"]), vacuum_A=vacuum)
    tilt = interface.cell.array[2, :2] @ np.linalg.inv(plane)
    differences = _differences_of_flips(lower, upper) if vacuum is None else []
    for offset in _grid(lower, upper, per_vector)[1:]:
        atoms = place_slabs(lower, upper, _registry_at(offset, differences, tilt, plane), how)
        atoms.info = interface.info | atoms.info | {"shift": offset.tolist()}
        yield atoms


def _grid(lower: Atoms, upper: Atoms, per_vector: int) -> Array:
    """Offsets over the cell of all translations of both slabs, fractional, shape (per_vector^2, 2)."""
    plane = lower.cell.array[:2, :2]
    translations = sums_of(find_translations(lower), find_translations(upper))
    number = len(translations)  # of a group: so often each leads to a whole lattice vector
    points = (np.rint(translations * number)[:, None] / number + _WHOLE).reshape(-1, 2)
    lengths = np.linalg.norm(points @ plane, axis=1)
    order = np.argsort(lengths, kind="stable")
    points, lengths = points[order][lengths[order] > 1e-2], lengths[order][lengths[order] > 1e-2]
    # the two shortest vectors that are not parallel enclose 60 degrees or more
    turned = np.abs(
        np.linalg.det(np.stack([np.broadcast_to(points[0], points.shape), points], axis=1) @ plane)
    )
    second = int(np.argmax(turned > 0.5 * lengths[0] * lengths))
    steps = np.arange(per_vector) / per_vector
    return np.array([i * points[0] + j * points[second] for i in steps for j in steps])


def _differences_of_flips(lower: Atoms, upper: Atoms) -> list[tuple[Array, Array]]:
    """For each M that turns over both slabs: M, and all t' - t of `find_registry`, shape (n, 2)."""
    found = []
    for change in plane_symmetries(lower.cell.array[:2, :2]):
        below, above = find_flips(lower, change), find_flips(upper, change)
        if len(below) and len(above):
            found.append((change.astype(float), (above[None] - below[:, None]).reshape(-1, 2)))
    return found


def _registry_at(
    offset: Array, differences: list[tuple[Array, Array]], tilt: Array, plane: Array
) -> Registry:
    """The upper slab at an offset; the next period where both interfaces are images, as upright as can be.

    A flip s -> s M + t' of the upper slab becomes one by t' + d (1 - M) when the slab moves by d.
    """
    upright: list[tuple[float, Array]] = []
    for change, between in differences:
        tilts = between + offset @ (np.eye(2) - change)
        tilts -= np.rint(tilts)
        kept = np.array([each for each in tilts if is_whole(each @ change + each)]).reshape(-1, 2)
        lengths = np.linalg.norm(kept @ plane, axis=1)
        upright += list(zip(lengths.round(3).tolist(), kept, strict=True))
    if not upright:
        return Registry(offset, tilt, equivalent=False)
    return Registry(offset, min(upright, key=lambda each: each[0])[1], equivalent=True)
