"""Analyses of structure and reactions by name: what `mlip analyze analysis=[...]` runs for each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ase.data import atomic_numbers, covalent_radii

from md.analysis.anion_sites import compute_anion_sites
from md.analysis.bond_valence import compute_bond_valence
from md.analysis.census import Census, find_formers
from md.analysis.chemistry import ANIONS, FORMAL_CHARGES, FORMERS
from md.analysis.connectivity import compute_connectivity
from md.analysis.crystallinity import compute_crystallinity
from md.analysis.frames import Frames
from md.analysis.kymograph import Kymograph, Layers
from md.analysis.polyhedra import compute_polyhedra
from md.analysis.profiles import (
    compute_bond_length_layers,
    compute_composition_layers,
    compute_coordination_layers,
    compute_density_layers,
)
from md.analysis.rdf import compute_rdf
from md.analysis.reactions import analyze_reactions
from md.analysis.rings import compute_rings
from md.analysis.structure_factor import compute_structure_factor
from md.analysis.transport import mobile_species
from md.analysis.units import compute_chains, compute_units
from md.report.bond_valence import bond_valence_chapter
from md.report.chapter import Analysis
from md.report.crystallinity import crystallinity_chapter
from md.report.glass_transition import glass_transition_chapter
from md.report.layers import layers_chapter
from md.report.reactions import reactions_chapter
from md.report.scattering import scattering_chapter
from md.report.units import units_chapter

# a first shell within this many sums of covalent radii is a bond, or an ionic contact such as Li-S
_CONTACT = 1.25
# laws of growth want more points in time than averages do
_REACTION_FRAMES = 200


@dataclass(frozen=True)
class Subject:
    """What is analysed, and how.

    Attributes:
        paths: the trajectories.
        stretches: their frames, one a stage; empty where an analysis needs none.
        folder: where PNG and CSV go.
        species: symbols that were asked for; empty for a choice of ours.
        layers: how cells are cut into layers.
    """

    paths: Sequence[Path]
    stretches: Sequence[Frames]
    folder: Path
    species: Sequence[str]
    layers: Layers


def run_units(subject: Subject) -> Analysis:
    """Covalent units, polyhedra, sites of anions, Qn, chains and rings."""
    return units_chapter(subject.stretches, [_count(each) for each in subject.stretches], subject.folder)


def run_bond_valence(subject: Subject) -> Analysis:
    """Bond-valence sums and the global instability index."""
    results = [compute_bond_valence(frames) for frames in subject.stretches]
    return bond_valence_chapter(subject.stretches, results, subject.folder)


def run_scattering(subject: Subject) -> Analysis:
    """Structure factors, partial and as neutrons and X-rays see them."""
    results = [compute_structure_factor(frames) for frames in subject.stretches]
    return scattering_chapter(subject.stretches, results, subject.folder)


def run_profiles(subject: Subject) -> Analysis:
    """Density, composition, coordination and bond lengths in layers."""
    maps = [_layers(frames, subject) for frames in subject.stretches]
    return layers_chapter(subject.stretches, maps, subject.folder)


def run_crystallinity(subject: Subject) -> Analysis:
    """Crystalline and amorphous atoms of a sublattice, and their domains."""
    chosen = tuple(subject.species) or None
    results = [compute_crystallinity(frames, chosen) for frames in subject.stretches]
    return crystallinity_chapter(subject.stretches, results, subject.folder)


def run_reactions(subject: Subject) -> Analysis:
    """Reduction, species, interphase, laws of growth and kymographs."""
    species = [*subject.species, *mobile_species(subject.stretches[0])][0]
    layers = replace(subject.layers, max_frames=_REACTION_FRAMES)
    results = [analyze_reactions(frames, species, layers) for frames in subject.stretches]
    return reactions_chapter(subject.stretches, results, subject.folder)


def run_glass_transition(subject: Subject) -> Analysis:
    """Glass transition of each quench."""
    return glass_transition_chapter(subject.paths, subject.folder)


STRUCTURE_ANALYSES: Mapping[str, Callable[[Subject], Analysis]] = {
    "units": run_units,
    "bond_valence": run_bond_valence,
    "scattering": run_scattering,
    "profiles": run_profiles,
    "crystallinity": run_crystallinity,
    "reactions": run_reactions,
    "glass_transition": run_glass_transition,
}
# these read ramps in files of ours, which are no stretches
WITHOUT_STRETCHES = ("protocol", "glass_transition")


def _count(frames: Frames) -> dict[str, Census]:
    """Every census that the species of the frames allow; name of its entries -> census."""
    formers = find_formers(frames)
    anions = [symbol for symbol in frames.species if symbol in ANIONS]
    censuses = {"units": compute_units(frames)}
    censuses |= {f"polyhedra_{symbol}": compute_polyhedra(frames, symbol) for symbol in formers}
    censuses |= {f"sites_{symbol}": compute_anion_sites(frames, symbol) for symbol in anions}
    censuses |= {f"qn_{symbol}": compute_connectivity(frames, symbol) for symbol in formers}
    return censuses | {"chains": compute_chains(frames), "rings": compute_rings(frames)}


def _layers(frames: Frames, subject: Subject) -> list[Kymograph]:
    """Density, the share of each species, and coordination and bond lengths of pairs in contact."""
    layers = subject.layers
    maps = [compute_density_layers(frames, layers)]
    maps += [compute_composition_layers(frames, symbol, layers) for symbol in frames.species]
    for pair, cutoff in _contacts(frames).items():
        maps.append(compute_coordination_layers(frames, pair, cutoff, layers))
        maps.append(compute_bond_length_layers(frames, pair, cutoff, layers))
    return maps


def _contacts(frames: Frames) -> dict[tuple[str, str], float]:
    """(Cation, anion) pairs and Li-Li, within the first minimum of their g(r), or of covalent radii."""
    cations = [symbol for symbol in frames.species if FORMAL_CHARGES.get(symbol, 0) > 0]
    anions = [symbol for symbol in frames.species if symbol in ANIONS]
    pairs = [(cation, anion) for cation in cations for anion in anions]
    pairs += [(cation, cation) for cation in cations if cation not in FORMERS]
    curves = compute_rdf(frames, pairs) if pairs else {}
    found = {}
    for pair, curve in curves.items():
        contact = sum(covalent_radii[atomic_numbers[symbol]] for symbol in pair)
        bonded = curve.first_peak_A is not None and curve.first_peak_A < _CONTACT * contact
        if curve.first_minimum_A is not None and (bonded or pair[0] == pair[1]):
            found[pair] = curve.first_minimum_A
    return found
