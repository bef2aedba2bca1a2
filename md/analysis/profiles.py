"""Profiles along an axis: density, composition, coordination and bond lengths in layers."""

from dataclasses import dataclass, replace

import numpy as np
from ase.data import atomic_masses, atomic_numbers
from scipy.ndimage import gaussian_filter1d

from md.analysis.averages import compute_average
from md.analysis.frames import Frames
from md.analysis.kymograph import Kymograph, LayeredFrame, Layers, compute_map, compute_mean_map
from md.analysis.pairs import find_pairs
from mlip.units import AMU_PER_A3_IN_G_PER_CM3


@dataclass(frozen=True)
class Profile:
    """A quantity along an axis, averaged over time.

    Attributes:
        quantity: its name.
        unit: its unit.
        axis: lattice vector across which the layers lie.
        positions_A: middle of each layer, shape (L,), A.
        values: shape (L,); NaN where a layer never held anything that has the quantity.
        errors: standard errors over time, shape (L,); NaN where there is none.
        method: how it was computed.
    """

    quantity: str
    unit: str
    axis: str
    positions_A: np.ndarray
    values: np.ndarray
    errors: np.ndarray
    method: str


def average_over_time(kymograph: Kymograph) -> Profile:
    """Average a map over its frames; frames in which a layer is empty do not count for it."""
    values = np.full(kymograph.values.shape[1], np.nan)
    errors = np.full(len(values), np.nan)
    for layer, series in enumerate(kymograph.values.T):
        present = series[np.isfinite(series)]
        if len(present):
            average = compute_average(present)
            values[layer] = average.value
            errors[layer] = np.nan if average.error is None else average.error
    return Profile(
        quantity=kymograph.quantity,
        unit=kymograph.unit,
        axis=kymograph.axis,
        positions_A=kymograph.positions_A,
        values=values,
        errors=errors,
        method=f"{kymograph.method}; errors over blocks of time (Flyvbjerg and Petersen 1989)",
    )


def compute_density_layers(frames: Frames, layers: Layers) -> Kymograph:
    """Compute the mass density in layers, g/cm^3."""
    masses = atomic_masses[frames.numbers] * AMU_PER_A3_IN_G_PER_CM3

    def density(frame: LayeredFrame) -> np.ndarray:
        return frame.count(masses) * frame.num_layers / abs(np.linalg.det(frame.cell))

    return compute_map(frames, "density", "g/cm^3", density, layers)


def compute_composition_layers(frames: Frames, species: str, layers: Layers) -> Kymograph:
    """Compute the share of a species in the atoms of each layer.

    Args:
        frames: the frames.
        species: symbol, or one of an origin such as Li@1.
        layers: across which axis, how thick, in how many frames.
    """
    is_species = _is_species(frames, species)
    everyone = np.arange(len(is_species))
    return compute_mean_map(
        frames, f"share of {species}", "of atoms", lambda fractional, cell: (everyone, is_species), layers
    )


def compute_smooth_composition(frames: Frames, species: str, width_A: float, layers: Layers) -> Kymograph:
    """Compute the share of a species after smoothing, so that the layers of a crystal do not show.

    Numbers of the species and of all atoms are smoothed by a Gaussian, then divided.

    Args:
        frames: the frames.
        species: symbol, or one of an origin such as Li@1.
        width_A: standard deviation of the Gaussian, A.
        layers: across which axis, how thick, in how many frames.
    """
    is_species = _is_species(frames, species)

    def smooth_share(frame: LayeredFrame) -> np.ndarray:
        counts = np.stack((frame.count(is_species), frame.count()))
        some, total = gaussian_filter1d(counts.astype(float), width_A / frame.height_A, axis=1, mode="wrap")
        return some / np.maximum(total, 1e-12)

    kymograph = compute_map(frames, f"share of {species}", "of atoms", smooth_share, layers)
    return replace(
        kymograph, method=f"{kymograph.method}; numbers of atoms smoothed by a Gaussian of {width_A:g} A"
    )


def compute_coordination_layers(
    frames: Frames, pair: tuple[str, str], cutoff_A: float, layers: Layers
) -> Kymograph:
    """Compute the mean number of neighbors of a species around another in each layer.

    Args:
        frames: the frames.
        pair: symbols of the centre and of its neighbors.
        cutoff_A: neighbors are closer than this, A.
        layers: across which axis, how thick, in how many frames.
    """
    centres = frames.select(pair[0])

    def measure(fractional: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        centre, _ = _bonds(fractional, cell, frames.numbers, pair, cutoff_A)
        return centres, np.bincount(centre, minlength=len(frames.numbers))[centres].astype(np.float64)

    return compute_mean_map(frames, f"{pair[1]} around {pair[0]}", "neighbors", measure, layers)


def compute_bond_length_layers(
    frames: Frames, pair: tuple[str, str], cutoff_A: float, layers: Layers
) -> Kymograph:
    """Compute the mean length of the bonds of a pair in each layer, a bond where its centre is.

    Arguments as `compute_coordination_layers`.
    """

    def measure(fractional: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return _bonds(fractional, cell, frames.numbers, pair, cutoff_A)

    frames.select(pair[0])
    return compute_mean_map(frames, f"{'-'.join(pair)} length", "A", measure, layers)


def _is_species(frames: Frames, species: str) -> np.ndarray:
    """One for atoms of the species, else zero, shape (N,)."""
    is_species = np.zeros(len(frames.numbers))
    is_species[frames.select(species)] = 1.0
    return is_species


def _bonds(
    fractional: np.ndarray, cell: np.ndarray, numbers: np.ndarray, pair: tuple[str, str], cutoff_A: float
) -> tuple[np.ndarray, np.ndarray]:
    """Centre and length of each bond of a pair."""
    first, second = (atomic_numbers[symbol] for symbol in pair)
    members = np.flatnonzero((numbers == first) | (numbers == second))
    centre, neighbor, vector = find_pairs(fractional[members], cell, cutoff_A)
    kept = (numbers[members[centre]] == first) & (numbers[members[neighbor]] == second)
    return members[centre[kept]], np.linalg.norm(vector[kept], axis=1)
