"""Hops of ions from cage to cage: how often, how far, how long they stay, how often they come back."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import maximum_filter1d

from md.analysis.frames import Frames
from md.analysis.msd import require_interval
from md.analysis.paths import ReferenceFrame, find_reference, sum_over_paths
from mlip.errors import DataError

WINDOW_PS = 1.0
_FEWEST_FRAMES = 2
_NUM_BINS, _LONGEST_IN_HOPS = 60, 3.0


@dataclass(frozen=True)
class HopStatistics:
    """Hops of one species.

    Attributes:
        species: symbol.
        value: hops of an ion per time, 1/ps.
        error: its standard error, from the spread over ions.
        num_hops: hops found.
        mean_length_A: mean length; None without hops.
        mean_square_length_A2: mean squared length; None without hops.
        mean_residence_ps: mean time between two hops of an ion; None without two hops of one ion.
        mean_cosine: mean cosine of the angle between two hops of an ion that follow each other.
        correlation_factor: (1 + cosine) / (1 - cosine): 1 where hops do not remember the one before.
        lengths_A: edges of the bins of the lengths, shape (R + 1,), A.
        length_density: density of the lengths, integral 1, shape (R,), 1/A.
        method: how it was found.
        warnings: why it should be believed less.
    """

    species: str
    value: float
    error: float | None
    num_hops: int
    mean_length_A: float | None
    mean_square_length_A2: float | None
    mean_residence_ps: float | None
    mean_cosine: float | None
    correlation_factor: float | None
    lengths_A: np.ndarray
    length_density: np.ndarray
    method: str
    warnings: tuple[str, ...] = ()

    unit = "1/ps"


def find_hops(
    frames: Frames,
    species: str,
    hop_distance_A: float,
    window_ps: float = WINDOW_PS,
    reference: ReferenceFrame | None = None,
) -> HopStatistics:
    """Find hops: an ion's mean places before and after an instant are further apart than it rattles.

    p(t) = sqrt(<|r_before - mean_after|^2> <|r_after - mean_before|^2>) over windows to both sides; a hop is
    its maximum within a window where p exceeds (a/2)^2. No sites need be known, so glasses do as well.

    Args:
        frames: evenly spaced frames.
        species: symbol.
        hop_distance_A: site-to-site distance a, A.
        window_ps: time to each side; hops closer than this count once.
        reference: what ions move relative to; by default the centre of mass of all atoms.

    Raises:
        DataError: The run has no two windows.

    Source:
        Candelier et al., Phys. Rev. Lett. 105, 135702 (2010), 10.1103/PhysRevLett.105.135702; correlation
        factor: Haven and Verkerk (1965), as in Mehrer, Diffusion in Solids (2007), eq. 7.21.
    """
    interval_ps = require_interval(frames)
    window = max(_FEWEST_FRAMES, round(window_ps / interval_ps))
    if frames.num_frames < 3 * window:
        raise DataError(
            f"found {frames.num_frames} frames for windows of {window}; expected three times that: run "
            "longer, or take a smaller hop_window_ps"
        )
    edges = np.linspace(0.0, _LONGEST_IN_HOPS * hop_distance_A, _NUM_BINS + 1)
    atoms, reference = frames.select(species), reference or find_reference(frames)

    def count(paths: np.ndarray) -> np.ndarray:
        return _count(*_detect(paths, window, (hop_distance_A / 2) ** 2), edges)

    found = sum_over_paths(frames, atoms, reference, count)
    hops, squares_of_counts, length, square, pairs, residence, cosine = found[:7]
    watched_ps = (frames.num_frames - 2 * window + 1) * interval_ps
    variance = squares_of_counts / len(atoms) - (hops / len(atoms)) ** 2
    mean_cosine = float(cosine / pairs) if pairs else None
    return HopStatistics(
        species=species,
        value=float(hops / len(atoms) / watched_ps),
        error=float(np.sqrt(max(variance, 0.0) / (len(atoms) - 1)) / watched_ps) if len(atoms) > 1 else None,
        num_hops=int(hops),
        mean_length_A=float(length / hops) if hops else None,
        mean_square_length_A2=float(square / hops) if hops else None,
        mean_residence_ps=float(residence / pairs * interval_ps) if pairs else None,
        mean_cosine=mean_cosine,
        correlation_factor=(1 + mean_cosine) / (1 - mean_cosine) if mean_cosine is not None else None,
        lengths_A=edges,
        length_density=found[7:] / max(found[7:].sum() * edges[1], 1e-300),
        method=(
            f"maxima of p_hop above (a/2)^2, a = {hop_distance_A:.2f} A, windows of "
            f"{window * interval_ps:.3g} ps (Candelier et al. 2010); {reference.method}; "
            "error from the spread over ions"
        ),
        warnings=_warnings(hops / len(atoms) / watched_ps * window * interval_ps),
    )


def _detect(paths: np.ndarray, window: int, threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ion and frame of each hop, in the order of time for each ion, and its vector (h, 3), A."""
    means, variances = _windows(paths, window)
    before, after = slice(None, -window), slice(window, None)
    vectors = means[..., after] - means[..., before]
    squares = np.sum(vectors**2, axis=1)
    both = (variances[:, before] + squares) * (variances[:, after] + squares)
    is_peak = (both > threshold**2) & (both == maximum_filter1d(both, 2 * window + 1, axis=1))
    ions, instants = np.nonzero(is_peak)
    return ions, instants, vectors[ions, :, instants]


def _windows(paths: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Means (n, 3, T - w + 1) and total variances (n, T - w + 1) of a path in each window of w frames."""
    centred = paths - paths.mean(axis=2, keepdims=True)
    sums = np.cumsum(np.pad(centred, ((0, 0), (0, 0), (1, 0))), axis=2)
    squares = np.cumsum(np.pad(np.sum(centred**2, axis=1), ((0, 0), (1, 0))), axis=1)
    means = (sums[..., window:] - sums[..., :-window]) / window
    return means, (squares[:, window:] - squares[:, :-window]) / window - np.sum(means**2, axis=1)


def _count(ions: np.ndarray, instants: np.ndarray, vectors: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """What hops of a block of ions add: numbers, lengths, pairs that follow each other, histogram."""
    lengths = np.linalg.norm(vectors, axis=1)
    follows = ions[1:] == ions[:-1]
    products = np.sum(vectors[1:] * vectors[:-1], axis=1) / np.maximum(lengths[1:] * lengths[:-1], 1e-300)
    per_ion = np.bincount(ions)
    head = [
        len(ions),
        np.sum(per_ion**2),
        lengths.sum(),
        np.sum(lengths**2),
        follows.sum(),
        np.diff(instants)[follows].sum(),
        products[follows].sum(),
    ]
    return np.concatenate([head, np.histogram(lengths, edges)[0]]).astype(float)


def _warnings(hops_per_window: float) -> tuple[str, ...]:
    if hops_per_window <= 0.2:
        return ()
    return (
        f"an ion hops {hops_per_window:.1f} times in a window: hops merge, and the rate is too small; the "
        "ions are more liquid than hopping",
    )
