"""Ions that cross the interfaces of a metal and a compound in a periodic stack: their net number."""

from dataclasses import dataclass

import numpy as np

from mlip.errors import DataError


@dataclass(frozen=True)
class MetalRegion:
    """The metal's part of a periodic stack, between two planes across one lattice vector.

    Attributes:
        start: fractional coordinate of the plane where it begins.
        width: how far it reaches from there, in units of the lattice vector.
        axis: index of the lattice vector.
    """

    start: float
    width: float
    axis: int = 2

    def holds(self, fractional: np.ndarray) -> np.ndarray:
        """Whether atoms are inside; fractional coordinates (N, 3) -> bool (N,)."""
        return (fractional[:, self.axis] - self.start) % 1.0 < self.width


def find_metal_region(fractional: np.ndarray, is_metal: np.ndarray, axis: int = 2) -> MetalRegion:
    """Put planes halfway between the outermost atoms of the metal and those of the compound.

    Args:
        fractional: fractional coordinates at the start, shape (N, 3).
        is_metal: which atoms came from the metal, shape (N,).
        axis: index of the lattice vector that the layers are stacked along.

    Raises:
        DataError: One of the two is missing, or they are not two slabs one on the other.
    """
    heights = fractional[:, axis] % 1.0
    if not is_metal.any() or is_metal.all():
        raise DataError(
            "found atoms of one origin only; expected a metal (1) and a compound (0): see origin="
        )
    metal, compound = np.sort(heights[is_metal]), np.sort(heights[~is_metal])
    widths = np.diff(metal, append=metal[:1] + 1.0)
    gap = int(np.argmax(widths))
    top, bottom = metal[gap], metal[(gap + 1) % len(metal)]  # of the metal
    gap_width = (bottom - top) % 1.0 or 1.0
    above = (compound - top) % 1.0
    inside = above < gap_width
    if inside.mean() < 0.5:
        raise DataError("found metal and compound mixed along the third vector; expected two slabs")
    upper = top + 0.5 * above[inside].min()
    lower = top + 0.5 * (above[inside].max() + gap_width)
    return MetalRegion(float(lower % 1.0), float((upper - lower) % 1.0), axis)


def count_crossings(region: MetalRegion, start: np.ndarray, now: np.ndarray) -> int:
    """Net number of atoms that went out of the metal's region, into the compound's.

    Divided by the time and by the area of both interfaces it is their flux.

    Args:
        region: the metal's part.
        start: fractional coordinates of the atoms at the start, shape (n, 3).
        now: those of the same atoms now, shape (n, 3).
    """
    return int(region.holds(start).sum() - region.holds(now).sum())
