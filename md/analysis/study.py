"""Glasses side by side: the transport of each by itself, beside that of all."""

from collections.abc import Mapping
from dataclasses import dataclass

from md.analysis.arrhenius import Arrhenius, fit_arrhenius
from md.analysis.diffusion import Diffusivity
from md.analysis.replicas import estimate_pooled_diffusivity
from md.analysis.transport import StretchTransport, Transport, group_by_temperature
from mlip.units import AMU_PER_A3_IN_G_PER_CM3


@dataclass(frozen=True)
class Glass:
    """One glass or crystal of a study.

    Attributes:
        name: what it is called.
        density_g_cm3: temperature in K -> mass density, mean over its runs; empty without temperatures.
        diffusivity: symbol -> temperature in K -> diffusivity, of all its runs at it.
        arrhenius: symbol -> fit over its own temperatures.
    """

    name: str
    density_g_cm3: Mapping[float, float]
    diffusivity: Mapping[str, Mapping[float, Diffusivity]]
    arrhenius: Mapping[str, Arrhenius]


def compare_glasses(transport: Transport, directions: str = "xyz") -> list[Glass]:
    """Measure each glass by itself.

    Args:
        transport: of runs whose frames say which sample they are of.
        directions: Cartesian directions to sum over.

    Returns:
        The glasses in the order of their first runs; empty where there is one only.
    """
    names = dict.fromkeys(stretch.frames.sample for stretch in transport.stretches)
    if len(names) < 2:
        return []
    return [_measure(name, transport, directions) for name in names]


def _measure(name: str, transport: Transport, directions: str) -> Glass:
    runs = group_by_temperature([each for each in transport.stretches if each.frames.sample == name])
    density = {
        temperature: sum(float(run.frames.density.mean()) for run in group) / len(group)
        for temperature, group in runs.items()
    }
    diffusivity = {
        symbol: {
            temperature: _pool(group, symbol, transport.hop_distances_A[symbol], directions)
            for temperature, group in runs.items()
        }
        for symbol in transport.species
    }
    fits = {symbol: _fit(found) for symbol, found in diffusivity.items()}
    in_g_cm3 = {temperature: value * AMU_PER_A3_IN_G_PER_CM3 for temperature, value in density.items()}
    return Glass(name, in_g_cm3, diffusivity, fits)


def _pool(group: list[StretchTransport], symbol: str, hop_distance_A: float, directions: str) -> Diffusivity:
    if len(group) == 1:
        return group[0].diffusivity[symbol]
    moved = [each.msd[symbol] for each in group]
    return estimate_pooled_diffusivity(moved, hop_distance_A, directions, group[0].frames.thermostat)


def _fit(found: Mapping[float, Diffusivity]) -> Arrhenius:
    results = list(found.values())
    return fit_arrhenius(list(found), [each.value for each in results], [each.error for each in results])
