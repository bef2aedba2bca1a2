"""Sub-cells: pieces of a frame that is too large to label, small enough for a reference calculation."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from mlip.data.labels import FORCE_MASK
from mlip.data.neighbors import neighbor_list
from mlip.errors import ConfigError, DataError
from mlip.structures.units import find_units

# By so much more vacuum each time, until atoms across the new boundary are far enough apart, A.
_MORE_PAD_A = 0.1


def build_subcells(
    parent: Atoms,
    *,
    num_atoms: int = 100,
    pad_A: float = 2.0,
    buffer_A: float = 0.0,
    bonds: Sequence[Sequence[str | float]] = (),
    charges: Mapping[str, float] | None = None,
    count: int | None = None,
    seed: int = 0,
) -> Iterator[Atoms]:
    """Divide a frame into boxes along its lattice vectors, and cut them out; time is linear in its atoms.

    A direction that is not divided stays periodic as it was; one that is gets vacuum at the new boundary:
    `pad_A`, and more if atoms across it would be closer than any two inside.

    Args:
        parent: A frame that is periodic in three directions.
        num_atoms: About how many are in a box.
        pad_A: Vacuum at the boundary of a piece, A.
        buffer_A: Atoms so far around a box come along, A; the forces on them are not to be trusted, and the
            array `force_mask` is false for them.
        bonds: [species, species, longest length in A] of bonds that are not cut: a molecule is in the piece
            that its centre is in.
        charges: Of the ions, e, by species, to report those of the pieces; null: no report.
        count: How many pieces, drawn at random; null: all.
        seed: Of the draw.

    Yields:
        Structures of config_type `subcell`; `core_atoms` says how many are in the box, `pad_A` how much
        vacuum there is, `formal_charge` what `charges` add up to. With a buffer they have the array
        `force_mask`; training then takes the forces on the core alone, no energy and no stress.

    Raises:
        ConfigError: A number makes no sense.
        DataError: The frame has open directions, or a molecule without end.

    Source: Li et al. 2025, on Li7P3S11: pieces of about 100 atoms, padded by 0.5 A of vacuum.
    """
    if num_atoms < 1 or pad_A < 0 or buffer_A < 0 or (count is not None and count < 1):
        raise ConfigError(
            f"found builder.num_atoms={num_atoms}, pad_A={pad_A}, buffer_A={buffer_A}, count={count}; "
            "expected at least one atom and one piece, and no negative lengths"
        )
    if not parent.pbc.all() or parent.cell.volume == 0:
        raise DataError(f"found {parent.symbols}, not periodic in three directions; expected a frame that is")
    frame = _divide(parent, num_atoms, bonds)
    around = _tree(frame, buffer_A) if buffer_A > 0 else None
    boxes = np.unique(frame.box)
    if count is not None and count < len(boxes):
        boxes = np.sort(np.random.default_rng(seed).choice(boxes, count, replace=False))
    for box in boxes:
        piece = _cut(frame, int(box), pad_A, buffer_A, around)
        if charges is not None:
            piece.info["formal_charge"] = float(sum(charges.get(each, 0.0) for each in piece.symbols))
        yield piece


def cut_around(
    parent: Atoms,
    atom: int,
    *,
    num_atoms: int = 100,
    pad_A: float = 2.0,
    buffer_A: float = 0.0,
    bonds: Sequence[Sequence[str | float]] = (),
) -> Atoms:
    """Cut the one box out of a frame that has an atom in its middle.

    Args:
        parent: A frame that is periodic in three directions.
        atom: Its index.
        num_atoms: As of `build_subcells`, like the others.
        pad_A: Vacuum at the boundary, A.
        buffer_A: Atoms so far around the box come along, A.
        bonds: Those that are not cut.

    Raises:
        DataError: A molecule has no end.
    """
    divisions = _divisions(_spacings(parent), len(parent) / num_atoms)
    moved = parent.copy()
    moved.positions += (0.5 / divisions - moved.get_scaled_positions()[atom]) @ moved.cell.array
    frame = _divide(moved, num_atoms, bonds)
    around = _tree(frame, buffer_A) if buffer_A > 0 else None
    return _cut(frame, int(frame.box[atom]), pad_A, buffer_A, around)


@dataclass(frozen=True)
class _Frame:
    """A frame divided into boxes.

    Attributes:
        atoms: The frame.
        fractional: (N, 3), molecules in one piece.
        centres: (N, 3), in the cell: of the molecule of each atom.
        divisions: (3,): boxes along each lattice vector.
        box: (N,): number of the box of each atom.
        order: (N,): atoms sorted by box.
    """

    atoms: Atoms
    fractional: NDArray[np.float64]
    centres: NDArray[np.float64]
    divisions: NDArray[np.int64]
    box: NDArray[np.int64]
    order: NDArray[np.int64]

    def of_box(self, box: int) -> NDArray[np.int64]:
        """Atoms of a box."""
        first, last = np.searchsorted(self.box[self.order], [box, box + 1])
        return self.order[first:last]


def _divide(atoms: Atoms, num_atoms: int, bonds: Sequence[Sequence[str | float]]) -> _Frame:
    unit, joined = find_units(atoms, bonds)
    fractional = joined @ np.linalg.inv(atoms.cell.array)
    sums = np.stack([np.bincount(unit, fractional[:, axis]) for axis in range(3)], axis=1)
    centres = (sums / np.bincount(unit)[:, None])[unit]
    inside = np.floor(centres)
    fractional, centres = fractional - inside, centres - inside
    divisions = _divisions(_spacings(atoms), len(atoms) / num_atoms)
    cells = np.minimum((centres * divisions).astype(np.int64), divisions - 1)
    box = np.ravel_multi_index(tuple(cells.T), tuple(divisions))
    return _Frame(atoms, fractional, centres, divisions, box, np.argsort(box, kind="stable"))


def _divisions(lengths: NDArray[np.float64], count: float) -> NDArray[np.int64]:
    """How often to divide lengths (3,) for a number of boxes as near to `count`, and cubes, as can be."""
    divided = np.ones(3, dtype=bool)
    while divided.any():
        edge = (lengths[divided].prod() / count) ** (1 / divided.sum())
        short = divided & (lengths < edge)
        if not short.any():
            return _nearest_whole(np.where(divided, lengths / edge, 1.0), count)
        divided &= ~short
    return np.ones(3, dtype=np.int64)


def _nearest_whole(divisions: NDArray[np.float64], count: float) -> NDArray[np.int64]:
    """Each of (3,) rounded up or down, so that their product is nearest to `count`; of equals, by little."""
    fewer, more = np.maximum(np.floor(divisions), 1.0), np.ceil(divisions)
    candidates = np.array(list(product(*zip(fewer, more, strict=True))))
    ratio = np.abs(np.log(candidates.prod(axis=1) / count)).round(9)
    rounding = np.abs(np.log(candidates / divisions)).sum(axis=1)
    return candidates[np.lexsort((rounding, ratio))[0]].astype(np.int64)


def _spacings(atoms: Atoms) -> NDArray[np.float64]:
    """Distances between opposite faces of the cell, (3,), A."""
    return 1.0 / np.linalg.norm(np.linalg.inv(atoms.cell.array), axis=0)


def _half_extents(frame: _Frame, buffer_A: float) -> NDArray[np.float64]:
    """Half of a box with its buffer, fractional (3,); infinite where it would be the whole cell."""
    half = 0.5 / frame.divisions + buffer_A / _spacings(frame.atoms)
    return np.where((frame.divisions == 1) | (half >= 0.5), np.inf, half)


def _tree(frame: _Frame, buffer_A: float) -> cKDTree:
    """Centres in a space where a box with its buffer is the cube from -1 to 1."""
    half = _half_extents(frame, buffer_A)
    return cKDTree(frame.centres / half, boxsize=np.where(np.isinf(half), 0.0, 1.0 / half))


def _cut(frame: _Frame, box: int, pad_A: float, buffer_A: float, around: cKDTree | None) -> Atoms:
    middle = (np.array(np.unravel_index(box, tuple(frame.divisions))) + 0.5) / frame.divisions
    half = _half_extents(frame, buffer_A)
    divided = np.isfinite(half)
    core = frame.of_box(box)
    chosen = core if around is None else np.sort(around.query_ball_point(middle / half, 1.0, p=np.inf))
    shifts = np.where(divided, np.rint(frame.centres[chosen] - middle), 0.0)
    fractional = frame.fractional[chosen] - shifts
    low = np.where(divided, np.minimum(middle - half, fractional.min(axis=0)), 0.0)
    high = np.where(divided, np.maximum(middle + half, fractional.max(axis=0)), 1.0)
    piece = frame.atoms[chosen]
    pad_A = _place(piece, frame.atoms, fractional - low, np.where(divided, high - low, 1.0), divided, pad_A)
    piece.info = {"config_type": "subcell", "core_atoms": len(core), "pad_A": pad_A}
    if buffer_A > 0:
        piece.arrays[FORCE_MASK] = np.isin(chosen, core)
    return piece


def _place(
    piece: Atoms,
    parent: Atoms,
    fractional: NDArray[np.float64],
    extents: NDArray[np.float64],
    divided: NDArray[np.bool_],
    pad_A: float,
) -> float:
    """Give a piece its cell and positions; returns how much vacuum there is in the end, A."""
    positions = fractional @ parent.cell.array
    closest = cKDTree(positions).query(positions, k=2)[0][:, 1].min() if len(piece) > 1 else 0.0
    while True:
        pads = np.where(divided, pad_A / _spacings(parent), 0.0)
        piece.set_cell(parent.cell.array * (extents + pads)[:, None])
        piece.positions = positions + pads / 2 @ parent.cell.array
        if pad_A >= closest or not divided.any():
            return pad_A
        edges, _ = neighbor_list(piece.positions, piece.cell.array, piece.pbc, 0.999 * closest)
        if edges.shape[1] == 0:
            return pad_A
        pad_A = round(pad_A + _MORE_PAD_A, 6)
