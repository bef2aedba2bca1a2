"""Covalent units: what bonds of formers and anions hold together, such as PS4, P2S7, P2O6N; and chains."""

from collections import Counter

import numpy as np

from md.analysis.census import Census, find_formers, take_census
from md.analysis.frames import Frames
from md.analysis.network import Network
from md.analysis.polyhedra import write_formula

# a unit of more formers has no name of its own
_LARGEST_NAMED = 4


def compute_units(frames: Frames, max_frames: int = 100) -> Census:
    """Count the covalent units by formula; those of more than four formers are one kind, `network`.

    Anions that no former holds count, too, as `free S` and so on: reactions set them free.

    Args:
        frames: the frames.
        max_frames: at most so many frames are used, evenly spread.

    Raises:
        DataError: There is nothing that covalent units form around.
    """
    find_formers(frames)
    method = "formers and anions that bonds connect, by their formula"
    return take_census(frames, "covalent units", count_units, method, max_frames)


def compute_chains(frames: Frames, max_frames: int = 100) -> Census:
    """Count the covalent units by how many formers they hold: 1 for PS4, 2 for P2S7 and P2S6, ...

    Args:
        frames: the frames.
        max_frames: at most so many frames are used, evenly spread.

    Raises:
        DataError: There is nothing that covalent units form around.
    """
    find_formers(frames)
    method = "formers that bonds and bridging anions connect"
    return take_census(frames, "formers in a unit", count_chains, method, max_frames)


def count_chains(network: Network) -> Counter[str]:
    """Count the covalent units of one frame; number of formers -> number of units."""
    sizes = np.bincount(network.units[network.formers])
    return Counter(str(size) for size in sizes[sizes > 0])


def count_units(network: Network) -> Counter[str]:
    """Count the covalent units of one frame; formula -> number."""
    members = np.concatenate([network.formers, network.anions])
    elements, kind = np.unique(network.numbers[members], return_inverse=True)
    _, unit = np.unique(network.units[members], return_inverse=True)
    formulas = np.zeros((unit.max() + 1, len(elements)), dtype=np.int64)
    np.add.at(formulas, (unit, kind), 1)
    is_former = np.isin(elements, network.numbers[network.formers])
    kinds, numbers = np.unique(formulas, axis=0, return_counts=True)
    found: Counter[str] = Counter()
    for formula, number in zip(kinds, numbers, strict=True):
        found[_name(elements, formula, is_former)] += int(number)
    return found


def _name(elements: np.ndarray, formula: np.ndarray, is_former: np.ndarray) -> str:
    """Formers first, then anions."""
    anions = write_formula(elements, np.where(is_former, 0, formula))
    num_formers = formula[is_former].sum()
    if num_formers > _LARGEST_NAMED:
        return "network"
    return (
        write_formula(elements, np.where(is_former, formula, 0)) + anions if num_formers else f"free {anions}"
    )
