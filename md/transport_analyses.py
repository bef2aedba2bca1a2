"""The analyses of transport beyond self-diffusion: collective motion, layers, hops, density maps."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from md.analysis.anion_crossings import AnionCrossings, find_anion_crossings
from md.analysis.chemistry import ANIONS
from md.analysis.collective_transport import measure_collective_transport
from md.analysis.density_map import compute_density_map
from md.analysis.displacements import compute_displacements
from md.analysis.first_passage import estimate_first_passage
from md.analysis.frames import Frames, element_of
from md.analysis.hops import find_hops
from md.analysis.planes import count_net_flux, estimate_plane_diffusivity, lattice_index
from md.analysis.rdf import compute_rdf
from md.analysis.regions import Region, estimate_parallel_diffusivity
from md.analysis.transport import StretchTransport, Transport
from md.analysis.van_hove import compute_van_hove
from md.report.chapter import Analysis
from md.report.collective import collective_analysis
from md.report.crossings import crossings_analysis
from md.report.density_map import density_analysis
from md.report.hops import hops_analysis
from md.report.layer_transport import LayerTransport, layers_analysis
from mlip.errors import ConfigError, DataError

# lags of the van Hove functions where none are given, in parts of the run
_LAGS_IN_RUN = (0.01, 0.05, 0.2)

Part = Callable[[Transport, DictConfig, Path], Analysis]


def analyze_collective(transport: Transport, config: DictConfig, folder: Path) -> Analysis:
    """Onsager coefficients, charge diffusion, Haven ratio, fluxes under gradients."""
    gradients = _numbers(config, "gradients")
    return collective_analysis(
        measure_collective_transport(transport, config.frame, gradients, config.directions, config.charge),
        folder,
    )


def analyze_layers(transport: Transport, config: DictConfig, folder: Path) -> Analysis:
    """Diffusion along and out of regions, diffusion and net flux across planes."""
    lattice_index(config.axis)
    regions = [Region(name, *ends, config.axis) for name, ends in _region_ends(config).items()]
    planes = [float(plane) for plane in (config.planes or [])]
    if not regions and not planes:
        raise ConfigError(
            "found no regions and no planes for analysis=[layers]; expected fractions of the lattice vector "
            "axis=, such as 'regions={compound:[0.1,0.5]}' or planes=[0.5]"
        )
    found = [
        _measure_layers(transport, stretch, regions, planes, config.axis) for stretch in transport.stretches
    ]
    return layers_analysis(found, folder)


def analyze_hops(transport: Transport, config: DictConfig, folder: Path) -> Analysis:
    """Hops and van Hove functions of each species."""
    found = []
    for stretch in transport.stretches:
        frames = stretch.frames
        lags = config.lags_ps or [part * frames.duration_ps for part in _LAGS_IN_RUN]
        for symbol in transport.species:
            hops = find_hops(frames, symbol, transport.hop_distances_A[symbol], config.hop_window_ps)
            hove = compute_van_hove(frames, symbol, lags, config.r_max)
            found.append((_label(transport, stretch), frames.temperature_K, hops, hove))
    return hops_analysis(found, folder)


def analyze_crossings(transport: Transport, config: DictConfig, folder: Path) -> Analysis:
    """Displacements normal to layers; ions that come between two anions, where there are two."""
    found, missing = [], []
    for stretch in transport.stretches:
        frames, label = stretch.frames, _label(transport, stretch)
        lags = config.lags_ps or [part * frames.duration_ps for part in _LAGS_IN_RUN]
        for symbol in transport.species:
            moved = compute_displacements(frames, symbol, lags, config.axis)
            passed = None
            try:
                passed = _anion_crossings(frames, symbol)
            except DataError as error:
                missing.append(f"{symbol} {label}".strip() + f": {error}.")
            found.append((label, frames.temperature_K, moved, passed))
    return crossings_analysis(found, missing, folder)


def analyze_density_map(transport: Transport, config: DictConfig, folder: Path) -> Analysis:
    """Density of each species on a grid, as files and as a picture."""
    found = [
        (
            _label(transport, stretch),
            stretch.frames.temperature_K,
            compute_density_map(stretch.frames, symbol, config.grid_A),
        )
        for stretch in transport.stretches
        for symbol in transport.species
    ]
    return density_analysis(found, folder)


TRANSPORT_PARTS: Mapping[str, Part] = {
    "collective": analyze_collective,
    "layers": analyze_layers,
    "hops": analyze_hops,
    "crossings": analyze_crossings,
    "density_map": analyze_density_map,
}


def _measure_layers(
    transport: Transport,
    stretch: StretchTransport,
    regions: Sequence[Region],
    planes: Sequence[float],
    axis: str,
) -> LayerTransport:
    frames, along, out, across, fluxes, missing = stretch.frames, [], [], [], [], []
    for symbol in transport.species:
        hop, tracer = transport.hop_distances_A[symbol], stretch.diffusivity[symbol]
        along += [(each, estimate_parallel_diffusivity(frames, symbol, each, hop)) for each in regions]
        fluxes += [count_net_flux(frames, symbol, plane, axis) for plane in planes]
        if tracer.value is None:
            missing.append(f"{symbol}: no D out of layers or across planes, too few ions leave their sites")
            continue
        first = tracer.window_ps[0]
        for each in regions:
            try:
                out.append((each, estimate_first_passage(frames, symbol, each, first, hop)))
            except DataError as error:
                missing.append(f"{symbol}: no D out of {each.name}: {error}")
        for plane in planes:
            try:
                across.append(estimate_plane_diffusivity(frames, symbol, plane, first, 2 * hop, axis))
            except DataError as error:
                missing.append(f"{symbol}: no D across {axis} = {plane:g}: {error}")
    label = _label(transport, stretch)
    return LayerTransport(label, frames.temperature_K, along, out, across, fluxes, missing)


def _anion_crossings(frames: Frames, symbol: str) -> AnionCrossings | None:
    """Passages between the two anions, within the first minima of their g(r); None without two of them.

    Raises:
        DataError: A g(r) has no first minimum.
    """
    anions = [each for each in frames.species if each in ANIONS]
    if len(anions) != 2:
        return None
    element, cutoffs = element_of(symbol), []
    for anion in anions:
        minimum = compute_rdf(frames, [(element, anion)])[element, anion].first_minimum_A
        if minimum is None:
            raise DataError(
                f"found no first minimum in g(r) of {element} and {anion}; no passages are counted"
            )
        cutoffs.append(minimum)
    return find_anion_crossings(frames, symbol, (anions[0], anions[1]), (cutoffs[0], cutoffs[1]))


def _label(transport: Transport, stretch: StretchTransport) -> str:
    """Name of a stretch where there are several."""
    if len(transport.stretches) == 1:
        return ""
    return stretch.frames.label or str(transport.stretches.index(stretch))


def _region_ends(config: DictConfig) -> dict[str, tuple[float, float]]:
    found = OmegaConf.to_container(config.regions) if config.regions is not None else {}
    if not isinstance(found, dict):
        raise ConfigError(f"found regions={found}; expected names with two fractions each, NAME: [0.1, 0.5]")
    for name, ends in dict(found).items():
        is_pair = isinstance(ends, list) and len(ends) == 2
        if not is_pair or not all(isinstance(end, int | float) for end in ends):
            raise ConfigError(f"found regions.{name!s}={ends}; expected two fractions, such as [0.1, 0.5]")
    return {str(name): (float(ends[0]), float(ends[1])) for name, ends in found.items()}


def _numbers(config: DictConfig, key: str) -> dict[str, float]:
    """A mapping of numbers under a key.

    Raises:
        ConfigError: It holds something else.
    """
    found: Any = OmegaConf.to_container(config[key]) if config[key] is not None else {}
    if not isinstance(found, dict) or not all(isinstance(value, int | float) for value in found.values()):
        raise ConfigError(f"found {key}={found}; expected a number for each species, such as {{Li: 0.01}}")
    return {str(name): float(value) for name, value in found.items()}
