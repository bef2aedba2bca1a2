"""Crystalline and amorphous atoms of a sublattice along a run: shares of lattices, domains, bond order."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from md.analysis.averages import Average, compute_average
from md.analysis.chemistry import ANIONS, is_one_of
from md.analysis.domains import find_domains
from md.analysis.frames import Frames
from md.analysis.pairs import find_nearest, map_frames, spread_frames
from md.analysis.steinhardt import compute_steinhardt
from md.analysis.template_matching import AMORPHOUS, match_lattices
from mlip.errors import DataError

# neighbors in a lattice are closer than this many distances of the nearest twelve
_TOUCHING = 1.2
_FEWEST = 32
# with a smaller share in lattices, what the rest is cannot be told
_FEW_CRYSTALLINE = 0.05


@dataclass(frozen=True)
class Crystallinity:
    """Order of a sublattice in time.

    Attributes:
        sublattice: symbols of its atoms.
        value: share of its atoms that are crystalline, averaged over time.
        error: its standard error, or None.
        shares: lattice, or amorphous -> share in each frame, shape (T,).
        averages: the same, averaged over time.
        largest_domain: atoms of the largest domain in each frame, shape (T,).
        mean_domain: mean size of the domain an atom is in, in each frame, shape (T,).
        bond_order: Steinhardt q6 of each atom of the last frame, averaged over neighbors, shape (n,).
        names: lattice of each atom of the last frame, shape (n,).
        atoms: indices of the sublattice, shape (n,).
        times_ps: times of the frames, shape (T,), or None.
        method: how it was found.
        warnings: why it should be believed less.
    """

    sublattice: tuple[str, ...]
    value: float
    error: float | None
    shares: Mapping[str, np.ndarray]
    averages: Mapping[str, Average]
    largest_domain: np.ndarray
    mean_domain: np.ndarray
    bond_order: np.ndarray
    names: np.ndarray
    atoms: np.ndarray
    times_ps: np.ndarray | None
    method: str
    warnings: tuple[str, ...] = ()

    unit = "share of the sublattice"


def compute_crystallinity(
    frames: Frames, species: tuple[str, ...] | None = None, max_frames: int = 50
) -> Crystallinity:
    """Classify the atoms of a sublattice as fcc, hcp, bcc, simple cubic or amorphous, frame by frame.

    The anions of an antifluorite (Li2S) or of rock salt (LiCl) are an fcc lattice, so the products of a
    reaction are told from an amorphous interphase by their anions; P counts as one of them, as in Li3P.

    Args:
        frames: the frames.
        species: symbols of the sublattice; by default the anions, and P with them where there are any.
        max_frames: at most so many frames are used, evenly spread.

    Raises:
        DataError: The sublattice has too few atoms.

    Source:
        Chaney et al., growth of the interphase of Li and Li6PS5Cl.
    """
    symbols = species or _default_sublattice(frames)
    atoms = np.flatnonzero(is_one_of(frames.numbers, symbols))
    if len(atoms) < _FEWEST:
        raise DataError(
            f"found {len(atoms)} atoms of {', '.join(symbols)}; expected at least {_FEWEST} to tell a lattice"
        )

    def measure(fractional: np.ndarray, cell: np.ndarray) -> tuple[dict[str, float], float, float]:
        positions = fractional[atoms]
        match = match_lattices(positions, cell)
        _, vectors = find_nearest(positions, cell, 12)
        cutoff = _TOUCHING * float(np.median(np.linalg.norm(vectors, axis=2)))
        domains = find_domains(positions, cell, match.names != AMORPHOUS, cutoff)
        return match.shares, float(domains.sizes.max(initial=0)), domains.value

    found = map_frames(frames, measure, max_frames)
    shares = {name: np.array([each[0][name] for each in found]) for name in found[0][0]}
    crystalline = compute_average(1.0 - shares[AMORPHOUS])
    chosen = spread_frames(frames.num_frames, max_frames)
    last, cell = frames.fractional[int(chosen[-1])][atoms], frames.cells[chosen[-1]]
    match, order = match_lattices(last, cell), compute_steinhardt(last, cell)
    return Crystallinity(
        sublattice=tuple(symbols),
        value=crystalline.value,
        error=crystalline.error,
        shares=shares,
        averages={name: compute_average(series) for name, series in shares.items()},
        largest_domain=np.array([each[1] for each in found]),
        mean_domain=np.array([each[2] for each in found]),
        bond_order=order.averaged,
        names=match.names,
        atoms=atoms,
        times_ps=None if frames.times_ps is None else frames.times_ps[chosen],
        method=f"atoms of {', '.join(symbols)}; {match.method}; {len(found)} frames; {crystalline.method}",
        warnings=_warn_of_other_lattices(crystalline.value, match.shares),
    )


def _warn_of_other_lattices(crystalline: float, shares: Mapping[str, float]) -> tuple[str, ...]:
    if crystalline >= _FEW_CRYSTALLINE:
        return ()
    known = ", ".join(name for name in shares if name != AMORPHOUS)
    return (f"a glass, or a crystal whose lattice is not among {known}: this share does not tell them apart",)


def _default_sublattice(frames: Frames) -> tuple[str, ...]:
    anions = tuple(symbol for symbol in frames.species if symbol in ANIONS)
    if not anions:
        return tuple(frames.species)
    return (*anions, "P") if "P" in frames.species and "S" in anions else anions
