"""The first shell of each former: PS4 and PS3, BO3 and BO4, PO4 and PO3N."""

from collections import Counter

import numpy as np
from ase.data import atomic_numbers, chemical_symbols

from md.analysis.census import Census, take_census
from md.analysis.frames import Frames
from md.analysis.network import Network


def compute_polyhedra(frames: Frames, former: str, max_frames: int = 100) -> Census:
    """Count the polyhedra around one element, named by the anions bonded to it.

    Args:
        frames: the frames.
        former: symbol in the middle, such as P.
        max_frames: at most so many frames are used, evenly spread.

    Raises:
        DataError: There is no such atom.
    """
    frames.select(former)
    return take_census(
        frames,
        f"polyhedra around {former}",
        lambda network: count_polyhedra(network, former),
        f"anions bonded to each {former}",
        max_frames,
    )


def count_polyhedra(network: Network, former: str) -> Counter[str]:
    """Count the polyhedra around one element in one frame; formula -> number."""
    middle = np.flatnonzero(network.numbers == atomic_numbers[former])
    elements = np.unique(network.numbers[network.anions])
    shells = np.zeros((len(network.numbers), len(elements)), dtype=np.int64)
    kind = np.searchsorted(elements, network.numbers[network.anion])
    np.add.at(shells, (network.former, kind), 1)
    formulas, numbers = np.unique(shells[middle], axis=0, return_counts=True)
    found: Counter[str] = Counter()
    for formula, number in zip(formulas, numbers, strict=True):
        found[former + write_formula(elements, formula)] += int(number)
    return found


def write_formula(elements: np.ndarray, formula: np.ndarray) -> str:
    """Formula of some elements, the most numerous first, such as O3N.

    Args:
        elements: atomic numbers, shape (K,).
        formula: how many atoms of each, shape (K,).
    """
    order = sorted(np.flatnonzero(formula), key=lambda k: (-formula[k], -elements[k]))
    return "".join(chemical_symbols[elements[k]] + (str(formula[k]) if formula[k] > 1 else "") for k in order)
