"""Transport of the mobile species in one or several runs: diffusivity, conductivity, activation energy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from md.analysis.arrhenius import Arrhenius, fit_arrhenius
from md.analysis.conductivity import ION_CHARGES, Conductivity, compute_conductivity
from md.analysis.diffusion import Diffusivity, estimate_diffusivity
from md.analysis.extrapolation import Extrapolation, extrapolate
from md.analysis.frames import Frames, element_of
from md.analysis.msd import MeanSquaredDisplacement, compute_msd
from md.analysis.paths import find_reference
from md.analysis.rdf import compute_rdf, find_first_shell
from md.analysis.replicas import estimate_pooled_diffusivity


@dataclass(frozen=True)
class StretchTransport:
    """Transport in one stretch at one temperature.

    Attributes:
        frames: the stretch.
        msd: symbol -> mean squared displacement, the species asked for.
        diffusivity: symbol -> diffusivity, the species asked for.
        conductivity: symbol -> conductivity, where charge and temperature are known.
    """

    frames: Frames
    msd: Mapping[str, MeanSquaredDisplacement]
    diffusivity: Mapping[str, Diffusivity]
    conductivity: Mapping[str, Conductivity]


@dataclass(frozen=True)
class Transport:
    """Transport in all stretches.

    Attributes:
        species: the species asked for.
        stretches: one entry a stretch, in the order given.
        pooled: symbol -> temperature -> diffusivity of all runs at it, where there are several.
        arrhenius: symbol -> fit over the temperatures; empty with fewer than two temperatures.
        extrapolated: symbol -> diffusivity and conductivity at 300 K, where there is a fit.
        hop_distances_A: symbol -> site-to-site distance a.
    """

    species: tuple[str, ...]
    stretches: tuple[StretchTransport, ...]
    pooled: Mapping[str, Mapping[float, Diffusivity]]
    arrhenius: Mapping[str, Arrhenius]
    extrapolated: Mapping[str, Extrapolation]
    hop_distances_A: Mapping[str, float]


def analyze_transport(
    stretches: Sequence[Frames],
    species: Sequence[str] | None = None,
    hop_distance_A: float | None = None,
    directions: str = "xyz",
    charge: float | None = None,
) -> Transport:
    """Measure the transport of some species.

    Args:
        stretches: frames of each run or stage.
        species: symbols; by default the cations that can be mobile, or everything if there is none.
        hop_distance_A: site-to-site distance; by default from each species' own g(r).
        directions: Cartesian directions to sum over.
        charge: charge of an ion in e; by default that of the element in a solid electrolyte.
    """
    chosen = tuple(species) if species else mobile_species(stretches[0])
    hops = {symbol: hop_distance_A or find_hop_distance(stretches, symbol) for symbol in chosen}
    measured = tuple(_measure_stretch(frames, hops, directions, charge) for frames in stretches)
    fits = {symbol: fit for symbol in chosen if (fit := _fit(measured, symbol))}
    return Transport(
        chosen,
        measured,
        {symbol: _pool(measured, symbol, hop, directions) for symbol, hop in hops.items()},
        fits,
        {
            symbol: _extrapolate(measured, symbol, fit, charge)
            for symbol, fit in fits.items()
            if fit.activation_energy_eV is not None
        },
        hops,
    )


def group_by_temperature(stretches: Sequence[StretchTransport]) -> dict[float, list[StretchTransport]]:
    """Stretches of each temperature, to the Kelvin; without those whose temperature is not known."""
    groups: dict[float, list[StretchTransport]] = {}
    for stretch in stretches:
        if stretch.frames.temperature_K is not None:
            groups.setdefault(float(round(stretch.frames.temperature_K)), []).append(stretch)
    return groups


def _pool(
    stretches: Sequence[StretchTransport], symbol: str, hop_distance_A: float, directions: str
) -> dict[float, Diffusivity]:
    return {
        temperature: estimate_pooled_diffusivity(
            [stretch.msd[symbol] for stretch in group], hop_distance_A, directions, group[0].frames.thermostat
        )
        for temperature, group in group_by_temperature(stretches).items()
        if len(group) > 1
    }


def mobile_species(frames: Frames) -> tuple[str, ...]:
    """Cations that move through solid electrolytes, or every species where there is none."""
    cations = tuple(symbol for symbol in frames.species if ION_CHARGES.get(symbol, 0) > 0)
    return cations or tuple(frames.species)


def find_hop_distance(stretches: Sequence[Frames], symbol: str) -> float:
    """Find the site-to-site distance of a species in A: the first shell of its own g(r).

    The largest over the stretches is taken, the strictest gate; where there is no shell of at least one
    neighbor, the mean spacing of the ions.
    """
    return max(_site_distance(frames, symbol) for frames in stretches)


def _site_distance(frames: Frames, symbol: str) -> float:
    element = element_of(symbol)
    rdf = compute_rdf(frames, [(element, element)], max_frames=50)[element, element]
    peak, _ = find_first_shell(rdf.r, rdf.g, rdf.running, smallest_shell=1.0)
    spacing = (frames.volumes.mean() / len(frames.select(element))) ** (1 / 3)
    return peak if peak is not None else float(spacing)


def _measure_stretch(
    frames: Frames,
    hops: Mapping[str, float],
    directions: str,
    charge: float | None,
) -> StretchTransport:
    reference = find_reference(frames)
    msd = {symbol: compute_msd(frames, symbol, reference) for symbol in hops}
    diffusivity = {
        symbol: estimate_diffusivity(msd[symbol], hop_distance_A, directions, frames.thermostat)
        for symbol, hop_distance_A in hops.items()
    }
    conductivity = {}
    for symbol, result in diffusivity.items():
        ion_charge = _ion_charge(frames, symbol, charge)
        if ion_charge is None or frames.temperature_K is None:
            continue
        density = _number_density(frames, symbol)
        conductivity[symbol] = compute_conductivity(
            result.value, result.error, result.upper_bound, density, ion_charge, frames.temperature_K
        )
    return StretchTransport(frames, msd, diffusivity, conductivity)


def _ion_charge(frames: Frames, symbol: str, charge: float | None) -> float | None:
    # a metal of one element has no ions to carry the current; of a part of the atoms nobody knows
    if len(frames.species) == 1 and frames.centers is None:
        return None
    return charge if charge is not None else ION_CHARGES.get(element_of(symbol))


def _number_density(frames: Frames, symbol: str) -> float:
    return float(len(frames.select(symbol)) / frames.volumes.mean())


def _extrapolate(
    stretches: Sequence[StretchTransport], symbol: str, fit: Arrhenius, charge: float | None
) -> Extrapolation:
    """To room temperature, with the density of the coldest run."""
    coldest = min(stretches, key=lambda stretch: stretch.frames.temperature_K or np.inf).frames
    return extrapolate(fit, _number_density(coldest, symbol), _ion_charge(coldest, symbol, charge))


def _glasses(stretches: Sequence[StretchTransport]) -> list[str]:
    """Which glass each run is of; one for all where no two of them were at one temperature."""
    samples = [stretch.frames.sample for stretch in stretches]
    pairs = {(stretch.frames.sample, round(stretch.frames.temperature_K or 0.0)) for stretch in stretches}
    are_compared = len(pairs) > len({temperature for _, temperature in pairs})
    return samples if are_compared else [""] * len(samples)


def _fit(stretches: Sequence[StretchTransport], symbol: str) -> Arrhenius | None:
    known = [stretch for stretch in stretches if stretch.frames.temperature_K is not None]
    temperatures = [float(stretch.frames.temperature_K or 0.0) for stretch in known]
    if len({round(temperature) for temperature in temperatures}) < 2:
        return None
    found = [stretch.diffusivity[symbol] for stretch in known]
    return fit_arrhenius(
        temperatures,
        [each.value for each in found],
        [each.error for each in found],
        _glasses(known),
    )
