"""Collective transport of the mobile species at each temperature, replicas taken together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from md.analysis.collective import ChargeDiffusion, compute_charge_diffusion
from md.analysis.conductivity import ION_CHARGES
from md.analysis.diffusion import Diffusivity
from md.analysis.fluxes import Flux, compute_fluxes
from md.analysis.frames import Frames, element_of
from md.analysis.onsager import Onsager, compute_onsager
from md.analysis.paths import BARYCENTRIC, FRAMEWORK
from md.analysis.transport import StretchTransport, Transport, group_by_temperature
from mlip.errors import DataError


@dataclass(frozen=True)
class CollectiveTransport:
    """Collective transport at one temperature.

    Attributes:
        temperature_K: temperature.
        onsager: coefficients; None where they cannot be given.
        charge: diffusion of charge; None where a charge is unknown or nothing flows.
        fluxes: fluxes under the gradients asked for.
        reason: why something is missing; empty where nothing is.
    """

    temperature_K: float
    onsager: Onsager | None
    charge: ChargeDiffusion | None
    fluxes: Sequence[Flux]
    reason: str


def measure_collective_transport(
    transport: Transport,
    frame: str | None = None,
    gradients: Mapping[str, float] | None = None,
    directions: str = "xyz",
    charge: float | None = None,
) -> tuple[CollectiveTransport, ...]:
    """Measure collective transport at each temperature.

    Args:
        transport: self-diffusion of the species, whose windows say when motion is diffusive.
        frame: frame of reference; by default that of the framework where there is one.
        gradients: symbol -> gradient of its chemical potential, eV/A.
        directions: Cartesian directions to average over.
        charge: charge of an ion in e; by default that of the element in a solid electrolyte.

    Raises:
        DataError: No stretch has a temperature.
    """
    groups = group_by_temperature(transport.stretches)
    if not groups:
        raise DataError("found no temperature in the trajectory; give temperature_K= for collective motion")
    species = transport.species
    chosen = frame or _default_frame(transport.stretches[0].frames, species)
    charges = {
        symbol: charge if charge is not None else ION_CHARGES.get(element_of(symbol)) for symbol in species
    }
    return tuple(
        _measure(
            temperature,
            [stretch.frames for stretch in stretches],
            {symbol: _tracer(transport, temperature, stretches, symbol) for symbol in species},
            chosen,
            gradients or {},
            directions,
            charges,
        )
        for temperature, stretches in groups.items()
    )


def _tracer(
    transport: Transport, temperature_K: float, stretches: Sequence[StretchTransport], symbol: str
) -> Diffusivity:
    """Self-diffusivity at a temperature, of all replicas where there are several."""
    return transport.pooled[symbol].get(temperature_K, stretches[0].diffusivity[symbol])


def _default_frame(frames: Frames, species: Sequence[str]) -> str:
    mobile = {element_of(symbol) for symbol in species}
    return FRAMEWORK if set(frames.species) - mobile else BARYCENTRIC


def _measure(
    temperature_K: float,
    replicas: Sequence[Frames],
    tracers: Mapping[str, Diffusivity],
    frame: str,
    gradients: Mapping[str, float],
    directions: str,
    charges: Mapping[str, float | None],
) -> CollectiveTransport:
    species = list(tracers)
    known = [tracer.window_ps[0] for tracer in tracers.values() if tracer.value is not None]
    if len(replicas[0].species) == 1 and replicas[0].centers is None:
        reason = "all atoms are of one species, and rest together in their own frame"
        return CollectiveTransport(temperature_K, None, None, (), reason)
    if not known:
        return CollectiveTransport(temperature_K, None, None, (), "no ion has left its site often enough")
    try:
        onsager = compute_onsager(replicas, species, temperature_K, max(known), frame, directions)
    except DataError as error:
        return CollectiveTransport(temperature_K, None, None, (), str(error))
    fluxes = compute_fluxes(onsager, gradients) if gradients else ()
    valences = {symbol: value for symbol, value in charges.items() if value is not None}
    if len(valences) < len(species):
        reason = f"the charge of {', '.join(sorted(set(species) - set(valences)))} is not known: see charge="
        return CollectiveTransport(temperature_K, onsager, None, fluxes, reason)
    counts = {symbol: len(replicas[0].select(symbol)) for symbol in species}
    try:
        moved = compute_charge_diffusion(onsager, valences, counts, tracers)
    except DataError as error:
        return CollectiveTransport(temperature_K, onsager, None, fluxes, str(error))
    return CollectiveTransport(temperature_K, onsager, moved, fluxes, "")
