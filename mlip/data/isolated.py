"""Energies of isolated atoms: from frames of single atoms where there are some, else by least squares."""

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

logger = logging.getLogger(__name__)

# Directions of composition space below this share of the largest singular value count as not sampled.
_SAMPLED = 1e-3


@dataclass(frozen=True)
class IsolatedEnergies:
    """Energy of a lone atom of each species, and where it comes from.

    Attributes:
        energies: One per species, eV.
        source: "frames", "least squares" or "minimum-norm least squares".
    """

    energies: tuple[float, ...]
    source: str


def find_isolated_energies(
    counts: ArrayLike, energies: ArrayLike, lone: ArrayLike, species: tuple[str, ...]
) -> IsolatedEnergies:
    """Find what a lone atom of each species costs.

    Args:
        counts: Atoms of each species, shape (frames, species).
        energies: Total energies, shape (frames,), eV.
        lone: Which frames are a single atom without neighbors, shape (frames,).
        species: Chemical symbols.

    Returns:
        Energies from lone atoms for the species that have them; for the others the least-squares energies per
        atom of the rest of the data, as close as possible to equal where the compositions leave a choice.
    """
    counts, energies = np.asarray(counts, dtype=np.float64), np.asarray(energies, dtype=np.float64)
    lone = np.asarray(lone, dtype=bool)
    known = counts[lone].sum(axis=0) > 0
    values = np.zeros(len(species))
    for index in np.flatnonzero(known):
        values[index] = energies[lone & (counts[:, index] > 0)].mean()
    if known.all():
        return IsolatedEnergies(tuple(values.tolist()), "frames")
    values[~known], rank = _fit(counts[~lone][:, ~known], (energies - counts @ values)[~lone])
    unknown = [symbol for symbol, found in zip(species, known, strict=True) if not found]
    if rank == len(unknown):
        return IsolatedEnergies(tuple(values.tolist()), "least squares")
    logger.warning(
        "The compositions determine %d of the %d isolated-atom energies of %s; the rest is a convention, so "
        "compare energies only within these compositions, or add frames of single atoms.",
        rank,
        len(unknown),
        ", ".join(unknown),
    )
    return IsolatedEnergies(tuple(values.tolist()), "minimum-norm least squares")


def _fit(counts: NDArray[np.float64], energies: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """Fit energies per atom, each frame weighing the same whatever its size.

    The norm that is kept small is that of the differences from the mean energy per atom: a single composition
    gives the same energy to all species, and not one in proportion to how many atoms of it there are.
    """
    num_atoms = counts.sum(axis=1)
    counts, energies, num_atoms = counts[num_atoms > 0], energies[num_atoms > 0], num_atoms[num_atoms > 0]
    if not len(counts):
        return np.zeros(counts.shape[1]), 0
    shares, per_atom = counts / num_atoms[:, None], energies / num_atoms
    mean = float(per_atom.mean())
    solution, _, rank, _ = np.linalg.lstsq(shares, per_atom - mean, rcond=_SAMPLED)
    return mean + solution, int(rank)
