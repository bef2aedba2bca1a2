"""Frames of one stretch of a simulation at one condition: what every observable is computed from."""

from dataclasses import dataclass, field

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers, chemical_symbols

from md.analysis.stored import StoredPositions
from mlip.errors import DataError


@dataclass(frozen=True)
class Frames:
    """Positions of the same atoms at successive times.

    Attributes:
        fractional: unwrapped fractional coordinates, shape (T, N, 3): they go on counting when an atom
            leaves the cell, and do not change when the cell breathes around atoms at rest in it. Many of
            them stay in their file; index frames, then atoms, before computing.
        cells: lattice vectors as rows, shape (T, 3, 3), A.
        numbers: atomic numbers, shape (N,).
        times_ps: time of each frame, shape (T,), or None for frames that are not a time series.
        label: name of the stretch, such as the stage of a protocol.
        temperature_K: temperature the stretch was held at, if known.
        thermostat: what held it, if known.
        notes: what a reader must know about how the frames came to be, for the report.
        origin: which part of an interface each atom came from, shape (N,), if known.
        centers: fractional coordinates of the centre of mass of all atoms of the run, shape (T, 3), where the
            frames have only some of them; None where they have all.
        sample: name of the glass or crystal, the same for all runs of it; empty if nobody said.
    """

    fractional: np.ndarray | StoredPositions
    cells: np.ndarray
    numbers: np.ndarray
    times_ps: np.ndarray | None = None
    label: str = ""
    temperature_K: float | None = None
    thermostat: str | None = None
    notes: tuple[str, ...] = field(default=())
    origin: np.ndarray | None = None
    centers: np.ndarray | None = None
    sample: str = ""

    def __post_init__(self) -> None:
        num_frames, num_atoms = self.fractional.shape[:2]
        if num_frames == 0 or num_atoms == 0:
            raise DataError(f"found {num_frames} frames of {num_atoms} atoms; expected at least one of each")
        if self.cells.shape != (num_frames, 3, 3) or self.numbers.shape != (num_atoms,):
            raise DataError(
                f"found cells {self.cells.shape} and numbers {self.numbers.shape} for positions "
                f"{self.fractional.shape}; expected (T, 3, 3), (N,) and (T, N, 3)"
            )
        if isinstance(self.fractional, np.ndarray) and not np.isfinite(self.fractional).all():
            raise DataError(
                "found positions that are not finite; the run went wrong, or the cell is singular"
            )
        if np.any(np.abs(np.linalg.det(self.cells)) < 1e-6):
            raise DataError(
                "found a cell without volume; expected periodic frames with three lattice vectors"
            )

    @property
    def num_frames(self) -> int:
        """Number of frames T."""
        return int(self.fractional.shape[0])

    @property
    def mean_cell(self) -> np.ndarray:
        """Lattice vectors averaged over time, shape (3, 3), A."""
        return self.cells.mean(axis=0)

    @property
    def volumes(self) -> np.ndarray:
        """Volume of each frame, shape (T,), A^3."""
        return np.abs(np.linalg.det(self.cells))

    @property
    def density(self) -> np.ndarray:
        """Mass density of each frame, shape (T,), amu/A^3."""
        return atomic_masses[self.numbers].sum() / self.volumes

    @property
    def species(self) -> list[str]:
        """Chemical symbols in the frames, by atomic number."""
        return [chemical_symbols[number] for number in np.unique(self.numbers)]

    @property
    def duration_ps(self) -> float:
        """Time from the first frame to the last, ps."""
        times = self.require_times()
        return float(times[-1] - times[0])

    def require_times(self) -> np.ndarray:
        """Times of the frames, ps.

        Raises:
            DataError: The frames carry no times, or are not in the order of time.
        """
        if self.times_ps is None:
            raise DataError("found frames without times; give timestep_fs=, the time between stored frames")
        if np.any(np.diff(self.times_ps) <= 0):
            raise DataError("found frames whose times do not increase; expected each frame once, in order")
        return self.times_ps

    def atoms(self, index: int) -> Atoms:
        """One frame as an ASE structure, wrapped into its cell."""
        scaled = self.fractional[index] % 1.0
        return Atoms(self.numbers, scaled_positions=scaled, cell=self.cells[index], pbc=True)

    def select(self, symbol: str) -> np.ndarray:
        """Indices of the atoms of one species, shape (n,); `Li@1` are those of origin 1 alone.

        Raises:
            DataError: There is no such atom, or no origin is known.
        """
        element, _, origin = symbol.partition("@")
        is_chosen = self.numbers == atomic_numbers.get(element, -1)
        if not is_chosen.any():
            raise DataError(
                f"found no {element} in the trajectory; expected one of {', '.join(self.species)}"
            )
        if not origin:
            return np.flatnonzero(is_chosen)
        origins = np.zeros(0) if self.origin is None else self.origin[is_chosen]
        if origin not in map(str, np.unique(origins)):
            known = ", ".join(f"{element}@{each}" for each in np.unique(origins)) or "no origins"
            raise DataError(f"found no {symbol} in the trajectory; it knows {known}: see origin= of mlip md")
        return np.flatnonzero(is_chosen)[origins == int(origin)]


def element_of(species: str) -> str:
    """Li of a sub-population such as Li@1, or of Li."""
    return species.partition("@")[0]
