"""Where two lattices of surfaces coincide: supercells of both that have nearly the same shape."""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlip.errors import ConfigError, DataError

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

# Two strains or areas that differ by less are the same.
_SAME = 1e-6


@dataclass(frozen=True)
class LatticeMatch:
    """A supercell of each lattice, of nearly the same shape.

    Attributes:
        first: Supercell of the first lattice, rows in its vectors, integer, shape (2, 2).
        second: Supercell of the second lattice, shape (2, 2).
        stretches: How much longer the second becomes along its two principal directions when it takes the
            shape of the first, largest change first: 0.01 is 1 %.
        area_A2: Area of the first lattice's supercell, A^2.
    """

    first: Integers
    second: Integers
    stretches: tuple[float, float]
    area_A2: float

    @property
    def misfit(self) -> float:
        """The larger of the two principal strains, without its sign."""
        return abs(self.stretches[0])

    def strain_of(self, which: int) -> tuple[float, float]:
        """Principal strains of one side when it takes the shape of the other.

        Args:
            which: 0, the first; 1, the second.
        """
        e, f = self.stretches
        return (e, f) if which == 1 else (1 / (1 + e) - 1, 1 / (1 + f) - 1)


def match_lattices(
    first: ArrayLike, second: ArrayLike, max_area_A2: float, max_misfit: float
) -> list[LatticeMatch]:
    """Find common supercells of two surface lattices.

    All supercells of both up to an area are compared, each in its reduced basis and those close to it, so
    that no match is lost where vectors are equally long or angles close to 60 or 90 degrees.

    Args:
        first: Lattice vectors in the plane, shape (2, 2), A.
        second: Those of the other lattice, A.
        max_area_A2: Largest area of a common cell.
        max_misfit: Largest principal strain, such as 0.05.

    Returns:
        Matches with ever larger area and ever smaller misfit: none of the others is both smaller and less
        strained than one of these.

    Raises:
        ConfigError: Limits are not positive.
        DataError: There is no match within the limits.

    Source:
        A. Zur, T. C. McGill, J. Appl. Phys. 55, 378 (1984).
    """
    if max_area_A2 <= 0 or not 0 < max_misfit < 0.5:
        raise ConfigError(
            f"found max_area_A2={max_area_A2:g} and max_misfit={max_misfit:g}; expected an area, and "
            "a misfit below 0.5"
        )
    plane, other = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    area, other_area = abs(np.linalg.det(plane)), abs(np.linalg.det(other))
    front: list[LatticeMatch] = []
    for number in range(1, int(max_area_A2 / area) + 1):
        ratio = number * area / other_area
        lowest, highest = ratio / (1 + max_misfit) ** 2, ratio / (1 - max_misfit) ** 2
        for other_number in range(max(1, int(np.ceil(lowest))), int(highest) + 1):
            match = _best_match(plane, number, other, other_number)
            if match.misfit <= min([max_misfit, *(found.misfit - _SAME for found in front)]):
                front = [found for found in front if found.area_A2 < match.area_A2 * (1 - _SAME)] + [match]
    if not front:
        raise DataError(
            f"found no common cell up to {max_area_A2:g} A2 with a misfit up to {100 * max_misfit:g} %; "
            "expected one: raise one of the two, or take other surfaces"
        )
    return front


def supercells(number: int) -> Integers:
    """All lattices of `number` cells in the plane: Hermite normal forms, shape (n, 2, 2).

    Args:
        number: Ratio of areas.
    """
    return np.array(
        [
            [[first, offset], [0, number // first]]
            for first in range(1, number + 1)
            if number % first == 0
            for offset in range(number // first)
        ]
    )


def reduced_supercells(lattice: Array, number: int) -> Integers:
    """The same lattices in reduced bases: shortest vectors, right-handed, shape (n, 2, 2).

    Args:
        lattice: Lattice vectors as rows, shape (2, 2), A.
        number: Ratio of areas.
    """
    forms = supercells(number)
    for _ in range(64):
        vectors = forms @ lattice
        lengths = np.einsum("nij,nij->ni", vectors, vectors)
        swap = lengths[:, 1] < lengths[:, 0] * (1 - 1e-12)
        forms[swap] = forms[swap][:, ::-1]
        vectors, lengths = forms @ lattice, np.where(swap[:, None], lengths[:, ::-1], lengths)
        along = np.einsum("ni,ni->n", vectors[:, 0], vectors[:, 1]) / lengths[:, 0]
        steps = np.rint(along - 1e-9).astype(np.int64)
        forms[:, 1] -= steps[:, None] * forms[:, 0]
        if not swap.any() and not steps.any():
            break
    forms[np.linalg.det(forms @ lattice) < 0, 1] *= -1
    return forms


def _neighboring_bases() -> Integers:
    """Changes of basis with entries -1, 0, 1 that keep the handedness, shape (20, 2, 2)."""
    entries = np.array(list(product((-1, 0, 1), repeat=4))).reshape(-1, 2, 2)
    return entries[np.rint(np.linalg.det(entries)) == 1]


def _best_match(plane: Array, number: int, other: Array, other_number: int) -> LatticeMatch:
    """The least strained of all pairs of supercells with these numbers of cells."""
    first = reduced_supercells(plane, number)
    changed = _neighboring_bases()[:, None] @ reduced_supercells(other, other_number)[None]
    second = changed.reshape(-1, 2, 2)
    # what maps the vectors of one onto the other, for every pair
    maps = np.linalg.inv(second @ other)[None] @ (first @ plane)[:, None]
    stretches = _principal_stretches(maps)
    misfits = np.abs(stretches).max(axis=-1)
    row, column = np.unravel_index(np.argmin(misfits), misfits.shape)
    ordered = sorted(stretches[row, column].tolist(), key=abs, reverse=True)
    area = number * abs(float(np.linalg.det(plane)))
    return LatticeMatch(first[row], second[column], (ordered[0], ordered[1]), area)


def _principal_stretches(maps: Array) -> Array:
    """Singular values of 2 x 2 matrices less one, shape (..., 2); closed form, for there are many."""
    a, b, c, d = maps[..., 0, 0], maps[..., 0, 1], maps[..., 1, 0], maps[..., 1, 1]
    mean, difference = np.hypot(a + d, c - b) / 2, np.hypot(a - d, c + b) / 2
    return np.stack([mean + difference, mean - difference], axis=-1) - 1
