"""Radial distribution functions g(r) of pairs of species."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from md.analysis.frames import Frames
from md.analysis.pair_histogram import count_pairs
from md.analysis.pairs import map_frames, spread_frames
from mlip.errors import DataError

_SMOOTHING_A = 0.05
_PROMINENCE = 0.15
# a peak that holds fewer neighbors is a chance encounter, not a shell
SMALLEST_SHELL = 0.1


@dataclass(frozen=True)
class RadialDistribution:
    """g(r) of one pair of species, averaged over frames.

    Attributes:
        pair: symbols of the centre and of its neighbors.
        r: middle of each bin, shape (R,), A.
        g: g(r), shape (R,); 1 for an ideal gas (1 - 1/N among the N atoms of one species).
        running: neighbors within the outer edge of each bin, averaged over centres, shape (R,).
        first_peak_A: where the first shell is densest, or None without a shell.
        first_minimum_A: end of the first shell, or None without one.
        num_frames: frames averaged over.
        method: how it was computed.
    """

    pair: tuple[str, str]
    r: np.ndarray
    g: np.ndarray
    running: np.ndarray
    first_peak_A: float | None
    first_minimum_A: float | None
    num_frames: int
    method: str


def compute_rdf(
    frames: Frames,
    pairs: Sequence[tuple[str, str]] | None = None,
    r_max: float = 8.0,
    bin_width: float = 0.08,
    max_frames: int = 100,
) -> dict[tuple[str, str], RadialDistribution]:
    """Compute g(r) of pairs of species in cells of any shape, also cells that change.

    g_ab(r) = <V n_ab(r)> / (N_a N_b 4 pi r^2 dr), the volume of each frame with its own count. Distances
    run through as many periodic images as `r_max` needs, so `r_max` may exceed half the cell.

    Args:
        frames: the frames.
        pairs: (centre, neighbor) symbols; every pair of species by default.
        r_max: largest distance, A.
        bin_width: width of a bin, A.
        max_frames: at most so many frames are used, evenly spread.

    Returns:
        pair -> its radial distribution.

    Source:
        Allen and Tildesley, Computer Simulation of Liquids, 2nd ed. (2017), eq. 8.20.
    """
    wanted = list(pairs) if pairs is not None else list(combinations_with_replacement(frames.species, 2))
    for symbol in {symbol for pair in wanted for symbol in pair}:
        frames.select(symbol)
    num_bins = round(r_max / bin_width)
    if num_bins < 1:
        raise DataError(f"found r_max={r_max} A with bin_width={bin_width} A; expected at least one bin")
    edges = bin_width * np.arange(num_bins + 1)
    _, species = np.unique(frames.numbers, return_inverse=True)

    def count(fractional: np.ndarray, cell: np.ndarray) -> np.ndarray:
        return count_pairs(fractional, cell, species, float(edges[-1]), num_bins)

    counts = np.array(map_frames(frames, count, max_frames))
    volumes = frames.volumes[spread_frames(frames.num_frames, max_frames)]
    place = {symbol: index for index, symbol in enumerate(frames.species)}
    return {
        (a, b): _normalise(frames, (a, b), edges, counts[:, place[a], place[b]], volumes) for a, b in wanted
    }


def _normalise(
    frames: Frames, pair: tuple[str, str], edges: np.ndarray, counts: np.ndarray, volumes: np.ndarray
) -> RadialDistribution:
    num_centres, num_neighbors = (len(frames.select(symbol)) for symbol in pair)
    shells = 4.0 / 3.0 * np.pi * np.diff(edges**3)
    g = (counts * volumes[:, None]).mean(axis=0) / (num_centres * num_neighbors * shells)
    r = (edges[1:] + edges[:-1]) / 2
    running = np.cumsum(counts.mean(axis=0)) / num_centres
    peak, minimum = find_first_shell(r, g, running)
    method = (
        f"histogram of {edges[1] - edges[0]:g} A bins over {len(counts)} frames and all periodic images; "
        f"shell limits on g(r) smoothed by {_SMOOTHING_A:g} A"
    )
    return RadialDistribution(pair, r, g, running, peak, minimum, len(counts), method)


def find_first_shell(
    r: np.ndarray, g: np.ndarray, running: np.ndarray, smallest_shell: float = SMALLEST_SHELL
) -> tuple[float | None, float | None]:
    """Find the first peak of g(r) that holds a shell, and the minimum behind it.

    Where g(r) stays at its lowest over a range, as between the shells of a crystal, the minimum is the
    middle of that range.

    Args:
        r: distances, evenly spaced, shape (R,), A.
        g: g(r), shape (R,).
        running: neighbors within each distance, shape (R,).
        smallest_shell: neighbors that a shell holds at least.

    Returns:
        Distance of the first peak and of the minimum after it in A, each None where there is none.
    """
    if len(r) < 3:
        return None, None
    smooth = gaussian_filter1d(g, _SMOOTHING_A / (r[1] - r[0]), mode="constant")
    peaks = find_peaks(smooth, prominence=_PROMINENCE)[0]
    for number, peak in enumerate(peaks):
        end = peaks[number + 1] if number + 1 < len(peaks) else min(2 * peak, len(r) - 1)
        minimum = _middle_of_lowest(smooth, peak, end)
        if smooth[peak] > 1.0 and running[minimum] >= smallest_shell:
            return float(r[peak]), float(r[minimum])
    return None, None


def _middle_of_lowest(smooth: np.ndarray, peak: int, end: int) -> int:
    """Middle of the first unbroken range behind a peak where g(r) is lowest."""
    gap = smooth[peak : end + 1]
    low = np.flatnonzero(gap <= gap.min() + 0.01)
    first_break = np.flatnonzero(np.diff(low, append=len(smooth) + 2) > 1)[0]
    return int(peak + (low[0] + low[first_break]) // 2)
