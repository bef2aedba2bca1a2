"""Reactions at an interface along one stretch: reduction, species, interphase, their laws of growth, maps."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from md.analysis.census import Census
from md.analysis.chemistry import FORMERS
from md.analysis.frames import Frames
from md.analysis.interphase import Interphase, compute_interphase
from md.analysis.kinetics import Growth, fit_growth
from md.analysis.kymograph import Kymograph, Layers, compute_mean_map
from md.analysis.profiles import compute_smooth_composition
from md.analysis.reduction import Reduction, compute_reduction_series, find_reduced
from md.analysis.units import compute_units
from mlip.errors import DataError

# wider than the layers of most crystals are apart
_SMOOTHING_A = 2.5


@dataclass(frozen=True)
class Reactions:
    """What reacts in one stretch.

    Attributes:
        reduction: reduction of thiophosphates, or None without P and S.
        units: covalent units, or None where there are none.
        interphase: thickness of the interphase, or None where no two sides differ.
        growth: name of a quantity -> its laws of growth.
        maps: title -> map of position and time.
        warnings: what could not be measured, and why to believe less.
    """

    reduction: Reduction | None
    units: Census | None
    interphase: Interphase | None
    growth: Mapping[str, Growth]
    maps: Mapping[str, Kymograph]
    warnings: tuple[str, ...]


def analyze_reactions(frames: Frames, species: str, layers: Layers) -> Reactions:
    """Measure the reactions of one stretch.

    Args:
        frames: the frames, with times.
        species: whose share of the atoms tells the two sides apart, such as Li across Li | Li6PS5Cl.
        layers: across which axis, how thick, in how many frames.

    Raises:
        DataError: The frames have no times.
    """
    frames.require_times()
    composition = compute_smooth_composition(frames, species, _SMOOTHING_A, layers)
    maps = {f"share of {species}": composition}
    warnings = []
    interphase = reduction = None
    try:
        interphase = compute_interphase(composition)
    except DataError as error:
        warnings.append(f"no interphase: {error}")
    if {"P", "S"} <= set(frames.species):
        reduction = compute_reduction_series(frames, max_frames=layers.max_frames)
        maps["reduction of P"] = _reduction_map(frames, layers)
    has_units = any(symbol in FORMERS for symbol in frames.species)
    series = {
        "reduction": None if reduction is None else reduction.series,
        "interphase_thickness": None if interphase is None else interphase.thickness_A,
    }
    times = composition.times_ps
    growth = {}
    for name, values in series.items():
        if values is None or times is None:
            continue
        try:
            growth[name] = fit_growth(times - times[0], values)
        except DataError as error:
            warnings.append(f"no law of growth of {name.replace('_', ' ')}: {error}")
    warnings += [f"{name.replace('_', ' ')}: {each}" for name, fit in growth.items() for each in fit.warnings]
    units = compute_units(frames, layers.max_frames) if has_units else None
    return Reactions(reduction, units, interphase, growth, maps, tuple(warnings))


def _reduction_map(frames: Frames, layers: Layers) -> Kymograph:
    """How far the phosphorus in each layer is reduced; thicker layers, for it is rare."""

    def measure(fractional: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return find_reduced(fractional, cell, frames.numbers)

    thick = replace(layers, thickness_A=3 * layers.thickness_A)
    return compute_mean_map(frames, "reduction", "share of electrons", measure, thick)
