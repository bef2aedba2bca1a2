"""Frames of a trajectory to turn and ask in the interactive page, with what is known of each atom."""

import numpy as np
from ase.data import atomic_numbers, covalent_radii
from matplotlib.colors import to_hex

from md.analysis.frames import Frames
from md.analysis.pairs import find_pairs
from md.report.chapter import legend_label
from md.report.picture import BOND_LENGTH, UNBONDED, element_color
from mlip.report.html import Section
from mlip.report.viewer import AtomValues, Scene

_TEXT = (
    "Drag to turn, use the wheel or two fingers to zoom; point at an atom to read its numbers. Neighbors "
    "are atoms of other elements within 1.25 sums of covalent radii."
)
_BALL = 0.5
_CONTACT = 1.25
_MOST_FRAMES = 40
_MOST_PLACES = 100_000


def scene_section(frames: Frames) -> Section:
    """The chapter with a stretch in three dimensions.

    Args:
        frames: the stretch; some of its frames are shown, evenly spread, fewer of large cells.
    """
    num_atoms = len(frames.numbers)
    count = min(frames.num_frames, _MOST_FRAMES, max(2, _MOST_PLACES // num_atoms))
    chosen = np.unique(np.linspace(0, frames.num_frames - 1, count).astype(int))
    fractional = np.stack([frames.fractional[k] for k in chosen])
    cells = frames.cells[chosen]
    wrapped = np.einsum("tni,tij->tnj", fractional % 1.0, cells)
    moved = np.linalg.norm((fractional - fractional[0]) @ frames.mean_cell, axis=2)
    neighbors = [_count_neighbors(f, cell, frames.numbers) for f, cell in zip(fractional, cells, strict=True)]
    symbols = [str(symbol) for symbol in frames.atoms(0).symbols]
    scene = Scene(
        symbols,
        wrapped,
        cells,
        _labels(frames, chosen),
        {symbol: to_hex(element_color(atomic_numbers[symbol])) for symbol in frames.species},
        {symbol: _BALL * float(covalent_radii[atomic_numbers[symbol]]) for symbol in frames.species},
        [symbol for symbol in frames.species if atomic_numbers[symbol] not in UNBONDED],
        BOND_LENGTH / _BALL,
        (AtomValues("neighbors", np.array(neighbors)), AtomValues("moved", moved, " Å")),
    )
    return Section("Structure in three dimensions", _TEXT, scene=scene)


def _labels(frames: Frames, chosen: np.ndarray) -> list[str]:
    name = legend_label(frames, 0)
    if frames.times_ps is None:
        return [f"{name}, frame {k}" for k in chosen]
    return [f"{name}, {frames.times_ps[k]:.4g} ps" for k in chosen]


def _count_neighbors(fractional: np.ndarray, cell: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Number of atoms of other elements in contact with each atom, shape (N,)."""
    radii = _CONTACT * covalent_radii[numbers]
    centre, neighbor, vector = find_pairs(fractional % 1.0, cell, 2 * radii.max())
    touching = np.linalg.norm(vector, axis=1) < radii[centre] + radii[neighbor]
    other = numbers[centre] != numbers[neighbor]
    return np.bincount(centre[touching & other], minlength=len(numbers))
