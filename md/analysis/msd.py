"""Mean squared displacement from every time origin, as a tensor."""

from dataclasses import dataclass

import numpy as np
from ase.data import atomic_masses

from md.analysis.frames import Frames
from mlip.errors import DataError

# float64 numbers held at once by the Fourier transforms: 128 MiB
_TRANSFORM_SIZE = 2**24


@dataclass(frozen=True)
class MeanSquaredDisplacement:
    """Mean squared displacement of one species against the time lag.

    Attributes:
        species: symbol of the atoms.
        lags_ps: time lags, evenly spaced from zero, shape (L,), ps.
        tensor: <dr_a dr_b> over atoms and time origins, shape (L, 3, 3), A^2.
        num_atoms: atoms averaged over.
        drift_A: how far the centre of mass of all atoms moved from first frame to last, shape (3,), A;
            displacements are taken relative to it.
        method: how it was computed.
    """

    species: str
    lags_ps: np.ndarray
    tensor: np.ndarray
    num_atoms: int
    drift_A: np.ndarray
    method: str

    @property
    def total(self) -> np.ndarray:
        """Trace of the tensor, shape (L,), A^2."""
        return np.trace(self.tensor, axis1=1, axis2=2)

    def along(self, directions: str) -> np.ndarray:
        """Sum of the tensor's diagonal over Cartesian directions such as "xy", shape (L,), A^2."""
        return sum((self.tensor[:, "xyz".index(axis), "xyz".index(axis)] for axis in directions), np.zeros(1))


def compute_msd(frames: Frames, species: str) -> MeanSquaredDisplacement:
    """Compute the mean squared displacement of one species from every time origin.

    Positions are unwrapped fractional coordinates times the mean cell: atoms at rest in a cell that
    breathes do not move. The centre of mass of all atoms is the frame of reference (barycentric).

    Args:
        frames: evenly spaced frames.
        species: symbol of the atoms to average over.

    Raises:
        DataError: The frames have no times, are not evenly spaced, or lack the species.
    """
    interval_ps = _even_interval(frames)
    atoms = frames.select(species)
    positions, drift = _barycentric_positions(frames)
    tensor = correlate_displacements(positions[:, atoms])
    method = (
        f"every time origin of {frames.num_frames} frames, {len(atoms)} atoms; unwrapped fractional "
        "coordinates times the mean cell, relative to the centre of mass of all atoms"
    )
    lags = interval_ps * np.arange(frames.num_frames)
    return MeanSquaredDisplacement(species, lags, tensor, len(atoms), drift, method)


def _even_interval(frames: Frames) -> float:
    times = frames.require_times()
    if len(times) < 3:
        raise DataError(f"found {len(times)} frames; expected at least 3 for a mean squared displacement")
    intervals = np.diff(times)
    if np.ptp(intervals) > 0.01 * intervals.mean():
        raise DataError(
            f"found frames {intervals.min():.4g} to {intervals.max():.4g} ps apart; "
            "expected evenly spaced frames: analyse stretches with different intervals one by one"
        )
    return float(intervals.mean())


def _barycentric_positions(frames: Frames) -> tuple[np.ndarray, np.ndarray]:
    """Positions in the mean cell relative to the centre of mass (T, N, 3) and its drift (3,), A."""
    centre = frames.centers
    if centre is None:
        masses = atomic_masses[frames.numbers]
        centre = np.einsum("n,tnk->tk", masses / masses.sum(), frames.fractional)
    moved = (frames.fractional - (centre - centre[0])[:, None]) @ frames.mean_cell
    return moved, (centre[-1] - centre[0]) @ frames.mean_cell


def correlate_displacements(positions: np.ndarray) -> np.ndarray:
    """Average dr_a dr_b over atoms and every time origin, by fast Fourier transform.

    (x(t+m) - x(t)) (y(t+m) - y(t)) is expanded: products at equal times are cumulative sums, the cross
    terms are correlations, which cost O(T log T) instead of O(T^2).

    Args:
        positions: unwrapped positions, shape (T, N, 3), A.

    Returns:
        The tensor for lags of 0 to T-1 frames, shape (T, 3, 3), A^2.

    Source:
        Calandrini et al., Collection SFN 12, 201 (2011), 10.1051/sfn/201112010, section 3.
    """
    num_frames, num_atoms, _ = positions.shape
    # from the mean position the products stay small, and so does the rounding of their differences
    centred = positions - positions.mean(axis=0)
    equal_times = np.einsum("tna,tnb->tab", centred, centred)
    total = np.concatenate([np.zeros((1, 3, 3)), np.cumsum(equal_times, axis=0)])
    lags = np.arange(num_frames)
    origins = num_frames - lags
    same = total[origins] + (total[-1] - total[lags])
    crossed = _cross_correlation(centred)[:num_frames]
    tensor = (same - crossed - crossed.transpose(0, 2, 1)) / (origins * num_atoms)[:, None, None]
    tensor[0] = 0.0
    return tensor


def _cross_correlation(positions: np.ndarray) -> np.ndarray:
    """Sum over atoms and origins t of x_a(t) x_b(t+m), shape (>= T, 3, 3)."""
    num_frames, num_atoms, _ = positions.shape
    length = 2 ** int(np.ceil(np.log2(2 * num_frames)))
    chunk = max(1, _TRANSFORM_SIZE // (3 * length))
    spectrum = np.zeros((length // 2 + 1, 3, 3), dtype=np.complex128)
    for start in range(0, num_atoms, chunk):
        waves = np.fft.rfft(positions[:, start : start + chunk], n=length, axis=0)
        spectrum += np.einsum("fna,fnb->fab", waves.conj(), waves)
    return np.fft.irfft(spectrum, n=length, axis=0)
