"""Preflight checks of structures: compositions, positions, cells, volumes, overlaps, duplicates."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from ase import Atoms

from mlip.data.finding import Finding, list_frames
from mlip.data.neighbors import complete_cell, neighbor_list
from mlip.data.twins import SAME_DISTANCE, TWIN_DISTANCE, Twins
from mlip.errors import DataError

OVERLAP_A = 0.5
_LOOK_FOR_PAIRS_WITHIN_A = 4.0
_COMPOSITIONS_SHOWN = 8


def check_compositions(frames: Sequence[Atoms]) -> Finding:
    """Count frames, species, compositions and where they say they come from."""
    species = Counter(symbol for atoms in frames for symbol in atoms.get_chemical_symbols())
    formulas = Counter(atoms.get_chemical_formula() for atoms in frames)
    kinds = Counter(str(atoms.info["config_type"]) for atoms in frames if "config_type" in atoms.info)
    sizes = sorted({len(atoms) for atoms in frames})
    atoms_each = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    rows = [
        ("frames", f"{len(frames)} of {atoms_each} atoms"),
        ("species (atoms)", _counted(species)),
        ("compositions (frames)", _counted(formulas)),
    ]
    if kinds:
        rows.append(("config_type (frames)", _counted(kinds)))
    dummies = [index for index, atoms in enumerate(frames) if np.any(atoms.numbers == 0)]
    errors = (f"Atoms of no element (X) in {list_frames(dummies)}; name their element.",) if dummies else ()
    return Finding(tuple(rows), errors=errors)


def check_positions(frames: Sequence[Atoms]) -> Finding:
    """Find positions and cells that are not numbers."""
    bad = [
        index
        for index, atoms in enumerate(frames)
        if not (np.all(np.isfinite(atoms.positions)) and np.all(np.isfinite(atoms.cell.array)))
    ]
    error = (
        f"Positions or cell are NaN or infinite in {list_frames(bad)}; expected A: leave these frames out."
    )
    return Finding((("positions", f"{len(frames) - len(bad)} finite"),), errors=(error,) if bad else ())


def check_cells(frames: Sequence[Atoms]) -> Finding:
    """Find periodic frames whose cell has no volume."""
    periodic = Counter("".join("T" if flag else "F" for flag in atoms.pbc) for atoms in frames)
    bad = [index for index, atoms in enumerate(frames) if not _has_sound_cell(atoms)]
    error = (
        f"Periodic with a zero or flat cell: {list_frames(bad)}; expected three independent lattice vectors: "
        'give the cell, or pbc="F F F" for molecules.'
    )
    return Finding((("pbc (frames)", _counted(periodic)),), errors=(error,) if bad else ())


def check_volumes(frames: Sequence[Atoms]) -> Finding:
    """Say how dense the periodic frames are."""
    volumes = np.array([atoms.cell.volume / len(atoms) for atoms in frames if atoms.pbc.all()])
    if not len(volumes):
        return Finding((("volume", "no frame is periodic in all directions"),))
    text = f"{volumes.min():.2f} to {volumes.max():.2f} A^3/atom, median {np.median(volumes):.2f}"
    return Finding((("volume", text),))


def check_overlaps(frames: Sequence[Atoms]) -> Finding:
    """Find the shortest distance of each pair of species, and atoms on top of each other."""
    shortest: dict[tuple[int, int], float] = {}
    symbols: dict[tuple[int, int], str] = {}
    overlapping = []
    for index, atoms in enumerate(frames):
        (i, j), shift = neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, _LOOK_FOR_PAIRS_WITHIN_A)
        vectors = atoms.positions[j] - atoms.positions[i] + shift @ atoms.cell.array
        distances = np.linalg.norm(vectors, axis=1)
        if np.any(distances < OVERLAP_A):
            overlapping.append(index)
        numbers = np.sort(atoms.numbers[np.stack([i, j])], axis=0)
        for pair in np.unique(numbers, axis=1).T:
            key = (int(pair[0]), int(pair[1]))
            closest = float(distances[np.all(numbers == pair[:, None], axis=0)].min())
            shortest[key] = min(closest, shortest.get(key, np.inf))
            symbols[key] = "-".join(Atoms(numbers=pair).get_chemical_symbols())
    text = ", ".join(f"{symbols[key]} {shortest[key]:.2f}" for key in sorted(shortest))
    error = (
        f"Atoms closer than {OVERLAP_A} A in {list_frames(overlapping)}; expected atoms apart: leave these "
        "frames out, or mend their cell or units (A)."
    )
    return Finding(
        (("shortest distances", f"{text or 'no pairs'} A"),), errors=(error,) if overlapping else ()
    )


def check_duplicates(twins: Twins) -> Finding:
    """Count frames that are the same structure, or nearly."""
    same = int(np.count_nonzero(twins.distance < SAME_DISTANCE))
    sizes = np.bincount(twins.groups)
    rows = (
        ("exact duplicates", f"{same} pairs" if same else "none"),
        (
            "near-duplicates",
            f"{len(twins.distance) - same} pairs within {TWIN_DISTANCE} A RMS; {len(sizes)} groups of up to "
            f"{sizes.max()} frames (a split keeps each on one side)",
        ),
    )
    warning = (
        f"{same} pairs of frames are the same structure: they weigh double and cannot validate each other."
    )
    return Finding(rows, warnings=(warning,) if same else ())


def _has_sound_cell(atoms: Atoms) -> bool:
    try:
        complete_cell(atoms.cell.array, atoms.pbc)
    except DataError:
        return False
    return True


def _counted(counts: Counter[str]) -> str:
    """List the most common, and how many more there are."""
    shown = ", ".join(f"{name} {count}" for name, count in counts.most_common(_COMPOSITIONS_SHOWN))
    more = len(counts) - _COMPOSITIONS_SHOWN
    return f"{shown}, and {more} more" if more > 0 else shown
