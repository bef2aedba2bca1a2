"""Mean squared displacement from every time origin, as a tensor."""

from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

from md.analysis.frames import Frames
from md.analysis.paths import ReferenceFrame, find_reference, sum_over_paths
from mlip.errors import DataError

_PAIRS = tuple(combinations_with_replacement(range(3), 2))


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


def compute_msd(
    frames: Frames, species: str, reference: ReferenceFrame | None = None
) -> MeanSquaredDisplacement:
    """Compute the mean squared displacement of one species from every time origin.

    Positions are unwrapped fractional coordinates times the mean cell: atoms at rest in a cell that
    breathes do not move.

    Args:
        frames: evenly spaced frames.
        species: symbol of the atoms to average over.
        reference: what displacements are relative to; by default the centre of mass of all atoms.

    Raises:
        DataError: The frames have no times, are not evenly spaced, or lack the species.
    """
    interval_ps = require_interval(frames)
    atoms = frames.select(species)
    reference = reference or find_reference(frames)
    num_frames = frames.num_frames
    parts = sum_over_paths(frames, atoms, reference, correlate_paths)
    method = (
        f"every time origin of {num_frames} frames, {len(atoms)} atoms; unwrapped fractional "
        f"coordinates times the mean cell, {reference.method}"
    )
    return MeanSquaredDisplacement(
        species,
        interval_ps * np.arange(num_frames),
        average_displacements(parts, num_frames, len(atoms)),
        len(atoms),
        (reference.centers[-1] - reference.centers[0]) @ frames.mean_cell,
        method,
    )


def require_interval(frames: Frames) -> float:
    """Time between frames, ps.

    Raises:
        DataError: There are fewer than three, or they are not evenly spaced.
    """
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


def correlate_paths(paths: np.ndarray) -> np.ndarray:
    """Sums over atoms that an MSD is made of, by fast Fourier transform.

    (x(t+m) - x(t)) (y(t+m) - y(t)) is expanded: products at equal times are summed over origins later,
    the cross terms are correlations, which cost O(T log T) instead of O(T^2).

    Args:
        paths: shape (n, 3, T), A; they are centred in place.

    Returns:
        For each pair of directions the products at equal times, (T,), then the cross spectrum's real part.

    Source:
        Calandrini et al., Collection SFN 12, 201 (2011), 10.1051/sfn/201112010, section 3.
    """
    # from the mean position the products stay small, and so does the rounding of their differences
    paths -= paths.mean(axis=2, keepdims=True)
    spectra = rfft(paths, n=_padded(paths.shape[2]), axis=2).view(np.float64)
    rows = []
    for a, b in _PAIRS:
        crossed = np.einsum("nk,nk->k", spectra[:, a], spectra[:, b])
        rows.append(
            np.concatenate(
                [np.einsum("nt,nt->t", paths[:, a], paths[:, b]), crossed.reshape(-1, 2).sum(axis=1)]
            )
        )
    return np.array(rows)


def average_displacements(parts: np.ndarray, num_frames: int, num_atoms: int) -> np.ndarray:
    """Average dr_a dr_b over atoms and every time origin.

    Args:
        parts: what `correlate_paths` gives, summed over the atoms.
        num_frames: frames T.
        num_atoms: atoms averaged over.

    Returns:
        The tensor for lags of 0 to T-1 frames, shape (T, 3, 3), A^2.
    """
    origins = num_frames - np.arange(num_frames)
    tensor = np.zeros((num_frames, 3, 3))
    for (a, b), row in zip(_PAIRS, parts, strict=True):
        total = np.concatenate([[0.0], np.cumsum(row[:num_frames])])
        same = total[origins] + (total[-1] - total[num_frames - origins])
        crossed = irfft(row[num_frames:], n=_padded(num_frames))[:num_frames]
        tensor[:, a, b] = tensor[:, b, a] = (same - 2 * crossed) / (origins * num_atoms)
    tensor[0] = 0.0
    return tensor


def _padded(num_frames: int) -> int:
    """Length of the transforms: paths do not meet their periodic images."""
    return int(next_fast_len(2 * num_frames, real=True))
