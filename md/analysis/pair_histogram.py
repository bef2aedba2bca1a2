"""Histograms of the distances between species of a periodic frame: compiled, or by a tree of scipy."""

import ctypes
import logging
from functools import cache
from pathlib import Path

import numpy as np
from numpy.ctypeslib import ndpointer

import mlip.native
from md.analysis.pairs import find_pairs
from mlip.errors import ConfigError
from mlip.native.builder import ensure_built
from mlip.native.library import NativeLibrary

logger = logging.getLogger(__name__)

_SOURCE = Path(mlip.native.__file__).parent / "analysis" / "pair_histogram.cpp"
_LIBRARY = NativeLibrary(
    name="vitreous_pair_histogram",
    title="the histogram of pairs",
    sources=(_SOURCE,),
    flags=("-O3", "-fno-math-errno", "-fno-trapping-math"),
    quick=True,
)


def count_pairs(
    fractional: np.ndarray, cell: np.ndarray, species: np.ndarray, r_max: float, num_bins: int
) -> np.ndarray:
    """Count ordered pairs of atoms by the species of the two and their distance.

    Args:
        fractional: fractional coordinates, shape (N, 3).
        cell: lattice vectors as rows, shape (3, 3), A.
        species: index of each atom's species, 0, 1, ..., shape (N,).
        r_max: largest distance, A; it may exceed the cell.
        num_bins: bins of equal width from 0 to `r_max`.

    Returns:
        Counts, shape (S, S, num_bins): of centres, of their neighbors, within each bin.
    """
    compiled = _compiled()
    if compiled is None:
        return count_pairs_by_tree(fractional, cell, species, r_max, num_bins)
    num_species = int(species.max()) + 1
    counts = np.zeros((num_species, num_species, num_bins), dtype=np.int64)
    wrapped = np.ascontiguousarray(fractional - np.floor(fractional), dtype=np.float64)
    box = np.ascontiguousarray(cell, dtype=np.float64)
    # a plane of the cell is as far from its opposite as the inverse of a reciprocal vector is long
    reach = r_max * np.linalg.norm(np.linalg.inv(box), axis=0)
    indices = np.ascontiguousarray(species, dtype=np.int32)
    failed = compiled(len(wrapped), wrapped, indices, num_species, box, reach, r_max, num_bins, counts)
    if failed:
        raise MemoryError(f"no memory for the pairs of {len(wrapped)} atoms within {r_max} A")
    return counts


def count_pairs_by_tree(
    fractional: np.ndarray, cell: np.ndarray, species: np.ndarray, r_max: float, num_bins: int
) -> np.ndarray:
    """Count as `count_pairs` does, by a list of all pairs; arguments and result are its own."""
    centre, neighbor, vector = find_pairs(fractional, cell, r_max)
    distance = np.linalg.norm(vector, axis=1)
    bins = np.minimum((distance * (num_bins / r_max)).astype(np.int64), num_bins - 1)
    num_species = int(species.max()) + 1
    place = (species[centre] * num_species + species[neighbor]) * num_bins + bins
    inside = distance < r_max
    counts = np.bincount(place[inside], minlength=num_species**2 * num_bins)
    return counts.reshape(num_species, num_species, num_bins)


@cache
def _compiled() -> "ctypes._NamedFuncPointer | None":
    """The compiled function, or None where nothing can be compiled."""
    try:
        library = ctypes.CDLL(str(ensure_built(_LIBRARY)))
    except ConfigError as error:
        logger.info("g(r) is counted without compiled code, some twenty times slower: %s", error)
        return None
    function = library.vitreous_pair_histogram
    reals = ndpointer(np.float64, flags="C_CONTIGUOUS")
    function.argtypes = [
        ctypes.c_int64,
        reals,
        ndpointer(np.int32, flags="C_CONTIGUOUS"),
        ctypes.c_int,
        reals,
        reals,
        ctypes.c_double,
        ctypes.c_int,
        ndpointer(np.int64, flags="C_CONTIGUOUS"),
    ]
    return function
