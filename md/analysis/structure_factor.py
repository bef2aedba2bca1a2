"""Static structure factors S(q): partial ones of pairs of species, and what neutrons and X-rays see."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np

from md.analysis.frames import Frames
from md.analysis.pairs import map_frames
from md.analysis.scattering import NEUTRONS, SOURCES, XRAYS, scattering_amplitude
from mlip.errors import DataError

_MOST_PER_BIN = 100
_SMALLEST_Q = 0.5


@dataclass(frozen=True)
class StructureFactor:
    """S(q) of a liquid or glass, averaged over directions and frames.

    Attributes:
        q: mean wave vector of each bin, shape (Q,), 1/A.
        partial: pair of symbols -> Faber-Ziman partial structure factor, shape (Q,); 1 at large q.
        total: neutrons or X-rays -> weighted sum of the partials, shape (Q,); 1 at large q.
        errors: neutrons or X-rays -> standard error over frames, shape (Q,).
        value: position of the first sharp peak that X-rays see, 1/A; None without one.
        error: half the width of a bin, 1/A.
        method: how it was computed.
    """

    q: np.ndarray
    partial: Mapping[tuple[str, str], np.ndarray]
    total: Mapping[str, np.ndarray]
    errors: Mapping[str, np.ndarray]
    value: float | None
    error: float | None
    method: str

    unit = "1/A"


def compute_structure_factor(
    frames: Frames, q_max: float = 12.0, bin_width: float = 0.1, max_frames: int = 20, seed: int = 0
) -> StructureFactor:
    """Compute S(q) from the densities' Fourier components at wave vectors that fit the mean cell.

    S_ab(q) = 1 + (<Re rho_a rho_b*> - N_a d_ab) N / (N_a N_b), rho_a the sum of exp(i q r) over species a;
    total: sum c_a c_b f_a f_b S_ab / (sum c_a f_a)^2. Of wave vectors in a bin at most 100 are taken, at
    random; the smallest q is that of the longest wave in the cell.

    Args:
        frames: the frames.
        q_max: largest wave vector, 1/A.
        bin_width: width of a bin, 1/A.
        max_frames: at most so many frames are used, evenly spread.
        seed: of the choice of wave vectors.

    Raises:
        DataError: The cell is so small that no wave fits, or a table lacks an element.

    Source:
        Faber and Ziman, Phil. Mag. 11, 153 (1965); Fischer, Barnes, Salmon, Rep. Prog. Phys. 69, 233 (2006),
        10.1088/0034-4885/69/1/R05, eqs. 2.14 to 2.20.
    """
    waves = choose_waves(frames.mean_cell, q_max, bin_width, np.random.default_rng(seed))
    length = np.linalg.norm(waves @ (2 * np.pi * np.linalg.inv(frames.mean_cell).T), axis=1)
    groups = [frames.select(symbol) for symbol in frames.species]

    def measure(fractional: np.ndarray, _: np.ndarray) -> np.ndarray:
        density = np.stack([fourier_components(fractional[group], waves) for group in groups])
        return (density[:, None] * density[None].conj()).real

    products = np.array(map_frames(frames, measure, max_frames))
    bins = (length / bin_width).astype(np.int64)
    kept, place, counts = np.unique(bins, return_inverse=True, return_counts=True)
    q = np.bincount(place, weights=length) / counts
    numbers = np.array([len(group) for group in groups])
    partial = np.empty((len(products), len(groups), len(groups), len(kept)))
    for frame, product in enumerate(products):
        for a in range(len(groups)):
            for b in range(len(groups)):
                mean = np.bincount(place, weights=product[a, b]) / counts
                own = numbers[a] if a == b else 0
                partial[frame, a, b] = 1 + (mean - own) * numbers.sum() / (numbers[a] * numbers[b])
    totals = {probe: _weigh(partial, frames.species, numbers, probe, q) for probe in (NEUTRONS, XRAYS)}
    places = list(combinations_with_replacement(range(len(groups)), 2))
    peak = _first_peak(q, totals[XRAYS].mean(axis=0))
    return StructureFactor(
        q=q,
        partial={(frames.species[a], frames.species[b]): partial[:, a, b].mean(axis=0) for a, b in places},
        total={probe: each.mean(axis=0) for probe, each in totals.items()},
        errors={probe: _error(each) for probe, each in totals.items()},
        value=peak,
        error=None if peak is None else bin_width / 2,
        method=(
            f"{len(waves)} wave vectors of the mean cell up to {q_max:g} 1/A, {len(products)} frames; "
            + "; ".join(SOURCES.values())
        ),
    )


def choose_waves(cell: np.ndarray, q_max: float, bin_width: float, rng: np.random.Generator) -> np.ndarray:
    """Integer wave vectors of a cell below `q_max`, one of each opposite pair, shape (W, 3).

    Raises:
        DataError: None fits.
    """
    limits = np.floor(q_max * np.linalg.norm(cell, axis=1) / (2 * np.pi)).astype(int)
    grids = np.meshgrid(*(np.arange(-limit, limit + 1) for limit in limits), indexing="ij")
    waves = np.stack([grid.ravel() for grid in grids], axis=1)
    waves = waves[len(waves) // 2 + 1 :]  # behind the middle: half of all, without the zero
    length = np.linalg.norm(waves @ (2 * np.pi * np.linalg.inv(cell).T), axis=1)
    waves, length = waves[length < q_max], length[length < q_max]
    if len(waves) == 0:
        raise DataError(
            f"found no wave vector below {q_max:g} 1/A that fits the cell; expected a larger cell"
        )
    bins = (length / bin_width).astype(int)
    order = rng.permutation(len(waves))
    order = order[np.argsort(bins[order], kind="stable")]
    starts = np.searchsorted(bins[order], bins[order], side="left")
    return waves[np.sort(order[np.arange(len(order)) - starts < _MOST_PER_BIN])]


def fourier_components(fractional: np.ndarray, waves: np.ndarray) -> np.ndarray:
    """Sums of exp(2 pi i h.s) over atoms, shape (W,), by products of powers of exp(2 pi i s).

    Args:
        fractional: fractional coordinates, shape (n, 3).
        waves: integers h, shape (W, 3).
    """
    total = np.zeros(len(waves), dtype=np.complex128)
    size = max(1, 2**22 // max(len(waves), 1))
    for start in range(0, len(fractional), size):
        some = fractional[start : start + size]
        factor = np.ones((len(some), len(waves)), dtype=np.complex128)
        for axis in range(3):
            span = int(np.abs(waves[:, axis]).max())
            powers = np.exp(2j * np.pi * some[:, axis, None] * np.arange(-span, span + 1))
            factor *= powers[:, waves[:, axis] + span]
        total += factor.sum(axis=0)
    return total


def _weigh(
    partial: np.ndarray, species: list[str], numbers: np.ndarray, probe: str, q: np.ndarray
) -> np.ndarray:
    """Total structure factor of each frame, shape (T, Q)."""
    shares = numbers / numbers.sum()
    amplitudes = np.stack(
        [c * scattering_amplitude(s, probe, q) for c, s in zip(shares, species, strict=True)]
    )
    return np.einsum("aq,bq,tabq->tq", amplitudes, amplitudes, partial) / amplitudes.sum(axis=0) ** 2


def _error(series: np.ndarray) -> np.ndarray:
    """Standard error over frames far apart, shape (Q,)."""
    if len(series) < 2:
        return np.full(series.shape[1], np.nan)
    return series.std(axis=0, ddof=1) / np.sqrt(len(series))


def _first_peak(q: np.ndarray, values: np.ndarray) -> float | None:
    """The highest point of the first maximum above 1; small q shows how a sample is put together."""
    q, values = q[q > _SMALLEST_Q], values[q > _SMALLEST_Q]
    inner = values[1:-1]
    peaks = 1 + np.flatnonzero((inner > values[:-2]) & (inner >= values[2:]) & (inner > 1.0))
    return float(q[peaks[0]]) if len(peaks) else None
