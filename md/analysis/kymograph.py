"""Maps of a quantity over position and time: layers across one lattice vector, frame by frame."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ase.data import atomic_masses

from md.analysis.frames import Frames
from md.analysis.pairs import map_frames, spread_frames
from mlip.errors import DataError

AXES = "abc"

# from fractional coordinates and cell to the atoms that carry a quantity and its values, shape (n,) both
Measure = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Kymograph:
    """A quantity in layers, frame by frame.

    Attributes:
        quantity: its name, such as "Li share of atoms".
        unit: its unit.
        axis: lattice vector across which the layers lie: a, b or c.
        positions_A: middle of each layer along the normal of the layers, shape (L,), A, in the mean cell.
        values: shape (T, L); NaN where a layer holds nothing that has the quantity.
        times_ps: shape (T,), or None.
        method: how it was computed.
    """

    quantity: str
    unit: str
    axis: str
    positions_A: np.ndarray
    values: np.ndarray
    times_ps: np.ndarray | None
    method: str


def compute_mean_map(
    frames: Frames,
    quantity: str,
    unit: str,
    measure: Measure,
    axis: str = "c",
    layer_A: float = 1.0,
    max_frames: int = 100,
) -> Kymograph:
    """Average a quantity of atoms in each layer, such as coordination or the share of one species.

    Args:
        frames: the frames.
        quantity: its name.
        unit: its unit.
        measure: the atoms that carry it, and its values, from coordinates and cell of a frame.
        axis: lattice vector across which the layers lie.
        layer_A: thickness of a layer, about, A.
        max_frames: at most so many frames are used, evenly spread.
    """

    def one_frame(fractional: np.ndarray, cell: np.ndarray, num_layers: int, drift: float) -> np.ndarray:
        atoms, values = measure(fractional, cell)
        layer = find_layers(fractional[atoms, AXES.index(axis)] - drift, num_layers)
        counts = np.bincount(layer, minlength=num_layers)
        sums = np.bincount(layer, weights=values, minlength=num_layers)
        return np.divide(sums, counts, out=np.full(num_layers, np.nan), where=counts > 0)

    return _map(frames, quantity, unit, one_frame, axis, layer_A, max_frames)


def compute_density_map(
    frames: Frames,
    quantity: str,
    unit: str,
    weights: np.ndarray,
    axis: str = "c",
    layer_A: float = 1.0,
    max_frames: int = 100,
) -> Kymograph:
    """Sum a weight of atoms over the volume of each layer, such as mass for a density.

    Args:
        frames: the frames.
        quantity: its name.
        unit: the weights' unit per A^3.
        weights: what each atom brings, shape (N,).
        axis: lattice vector across which the layers lie.
        layer_A: thickness of a layer, about, A.
        max_frames: at most so many frames are used, evenly spread.
    """

    def one_frame(fractional: np.ndarray, cell: np.ndarray, num_layers: int, drift: float) -> np.ndarray:
        layer = find_layers(fractional[:, AXES.index(axis)] - drift, num_layers)
        volume = abs(np.linalg.det(cell)) / num_layers
        return np.bincount(layer, weights=weights, minlength=num_layers) / volume

    return _map(frames, quantity, unit, one_frame, axis, layer_A, max_frames)


def find_layers(heights: np.ndarray, num_layers: int) -> np.ndarray:
    """The layer each atom is in, shape (N,), from its fractional coordinate across them, shape (N,)."""
    return np.minimum(((heights - np.floor(heights)) * num_layers).astype(np.int64), num_layers - 1)


def _map(
    frames: Frames,
    quantity: str,
    unit: str,
    one_frame: Callable[[np.ndarray, np.ndarray, int, float], np.ndarray],
    axis: str,
    layer_A: float,
    max_frames: int,
) -> Kymograph:
    if axis not in AXES:
        raise DataError(f"found axis={axis}; expected one of {', '.join(AXES)}")
    column = AXES.index(axis)
    height = 1 / np.linalg.norm(np.linalg.inv(frames.mean_cell)[:, column])
    num_layers = max(1, round(height / layer_A))
    chosen = spread_frames(frames.num_frames, max_frames)
    masses = atomic_masses[frames.numbers] / atomic_masses[frames.numbers].sum()
    start = masses @ frames.fractional[0][:, column]

    def one(fractional: np.ndarray, cell: np.ndarray) -> np.ndarray:
        # unwrapped coordinates: the centre of mass moves with the whole stack, which layers follow
        return one_frame(fractional, cell, num_layers, float(masses @ fractional[:, column] - start))

    return Kymograph(
        quantity=quantity,
        unit=unit,
        axis=axis,
        positions_A=(np.arange(num_layers) + 0.5) * height / num_layers,
        values=np.array(map_frames(frames, one, max_frames)),
        times_ps=None if frames.times_ps is None else frames.times_ps[chosen],
        method=(
            f"{num_layers} layers of {height / num_layers:.2f} A across {axis} that follow the centre of "
            f"mass; {len(chosen)} frames"
        ),
    )
