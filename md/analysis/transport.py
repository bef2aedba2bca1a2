"""Transport of the mobile species in one or several runs: diffusivity, conductivity, activation energy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from md.analysis.arrhenius import Arrhenius, fit_arrhenius
from md.analysis.conductivity import ION_CHARGES, Conductivity, compute_conductivity
from md.analysis.diffusion import Diffusivity, estimate_diffusivity
from md.analysis.frames import Frames, element_of
from md.analysis.msd import MeanSquaredDisplacement, compute_msd
from md.analysis.rdf import compute_rdf, find_first_shell


@dataclass(frozen=True)
class StretchTransport:
    """Transport in one stretch at one temperature.

    Attributes:
        frames: the stretch.
        msd: symbol -> mean squared displacement, every species.
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
        arrhenius: symbol -> fit over the temperatures; empty with fewer than two temperatures.
    """

    species: tuple[str, ...]
    stretches: tuple[StretchTransport, ...]
    arrhenius: Mapping[str, Arrhenius]


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
    return Transport(chosen, measured, {symbol: fit for symbol in chosen if (fit := _fit(measured, symbol))})


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
    msd = {symbol: compute_msd(frames, symbol) for symbol in dict.fromkeys([*hops, *frames.species])}
    diffusivity = {
        symbol: estimate_diffusivity(msd[symbol], hop_distance_A, directions, frames.thermostat)
        for symbol, hop_distance_A in hops.items()
    }
    conductivity = {}
    for symbol, result in diffusivity.items():
        ion_charge = charge if charge is not None else ION_CHARGES.get(element_of(symbol))
        # a metal of one element has no ions to carry the current; of a part of the atoms nobody knows
        is_metal = len(frames.species) == 1 and frames.centers is None
        if ion_charge is None or frames.temperature_K is None or is_metal:
            continue
        number_density = float(len(frames.select(symbol)) / frames.volumes.mean())
        conductivity[symbol] = compute_conductivity(
            result.value, result.error, result.upper_bound, number_density, ion_charge, frames.temperature_K
        )
    return StretchTransport(frames, msd, diffusivity, conductivity)


def _fit(stretches: Sequence[StretchTransport], symbol: str) -> Arrhenius | None:
    known = [
        (stretch.frames.temperature_K, stretch.diffusivity[symbol])
        for stretch in stretches
        if stretch.frames.temperature_K is not None
    ]
    temperatures = [temperature for temperature, _ in known]
    if len({round(temperature) for temperature in temperatures}) < 2:
        return None
    return fit_arrhenius(temperatures, [d.value for _, d in known], [d.error for _, d in known])
