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
class Layers:
    """How a cell is cut into layers, and how many frames are looked at.

    Attributes:
        axis: lattice vector across which the layers lie: a, b or c.
        thickness_A: of a layer, about: a whole number of them fills the cell, A.
        max_frames: at most so many frames are used, evenly spread.

    Raises:
        DataError: there is no such axis.
    """

    axis: str = "c"
    thickness_A: float = 1.0
    max_frames: int = 100

    def __post_init__(self) -> None:
        if self.axis not in AXES:
            raise DataError(f"found axis={self.axis}; expected one of {', '.join(AXES)}")

    @property
    def column(self) -> int:
        """Of `axis` in fractional coordinates."""
        return AXES.index(self.axis)


@dataclass(frozen=True)
class LayeredFrame:
    """One frame, cut into layers.

    Attributes:
        fractional: coordinates of all atoms, shape (N, 3), unwrapped.
        cell: rows are the lattice vectors, A.
        layer: which layer each atom is in, shape (N,).
        num_layers: their number.
        height_A: of a layer along its normal.
    """

    fractional: np.ndarray
    cell: np.ndarray
    layer: np.ndarray
    num_layers: int
    height_A: float

    def count(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Atoms in each layer, or the sum of their weights, shape (num_layers,)."""
        return np.bincount(self.layer, weights=weights, minlength=self.num_layers)


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


def compute_mean_map(frames: Frames, quantity: str, unit: str, measure: Measure, layers: Layers) -> Kymograph:
    """Average a quantity of atoms in each layer, such as coordination or the share of one species.

    Args:
        frames: the frames.
        quantity: its name.
        unit: its unit.
        measure: the atoms that carry it, and its values, from coordinates and cell of a frame.
        layers: across which axis, how thick, in how many frames.
    """

    def average(frame: LayeredFrame) -> np.ndarray:
        atoms, values = measure(frame.fractional, frame.cell)
        layer = frame.layer[atoms]
        counts = np.bincount(layer, minlength=frame.num_layers)
        sums = np.bincount(layer, weights=values, minlength=frame.num_layers)
        return np.divide(sums, counts, out=np.full(frame.num_layers, np.nan), where=counts > 0)

    return compute_map(frames, quantity, unit, average, layers)


def compute_map(
    frames: Frames,
    quantity: str,
    unit: str,
    of_layers: Callable[[LayeredFrame], np.ndarray],
    layers: Layers,
) -> Kymograph:
    """Compute what each layer has of a quantity, in frame after frame.

    Layers follow the centre of mass: coordinates are unwrapped, and with it the whole stack moves.

    Args:
        frames: the frames.
        quantity: its name.
        unit: its unit.
        of_layers: from a frame to the values of its layers, shape (num_layers,).
        layers: across which axis, how thick, in how many frames.
    """
    column = layers.column
    height = 1 / np.linalg.norm(np.linalg.inv(frames.mean_cell)[:, column])
    num_layers = max(1, round(height / layers.thickness_A))
    chosen = spread_frames(frames.num_frames, layers.max_frames)
    masses = atomic_masses[frames.numbers] / atomic_masses[frames.numbers].sum()
    start = masses @ frames.fractional[0][:, column]

    def one(fractional: np.ndarray, cell: np.ndarray) -> np.ndarray:
        drift = masses @ fractional[:, column] - start
        layer = find_layers(fractional[:, column] - drift, num_layers)
        layer_height = 1 / np.linalg.norm(np.linalg.inv(cell)[:, column]) / num_layers
        return of_layers(LayeredFrame(fractional, cell, layer, num_layers, float(layer_height)))

    return Kymograph(
        quantity=quantity,
        unit=unit,
        axis=layers.axis,
        positions_A=(np.arange(num_layers) + 0.5) * height / num_layers,
        values=np.array(map_frames(frames, one, layers.max_frames)),
        times_ps=None if frames.times_ps is None else frames.times_ps[chosen],
        method=(
            f"{num_layers} layers of {height / num_layers:.2f} A across {layers.axis} that follow the centre "
            f"of mass; {len(chosen)} frames"
        ),
    )


def find_layers(heights: np.ndarray, num_layers: int) -> np.ndarray:
    """The layer each atom is in, shape (N,), from its fractional coordinate across them, shape (N,)."""
    return np.minimum(((heights - np.floor(heights)) * num_layers).astype(np.int64), num_layers - 1)
