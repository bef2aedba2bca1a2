"""Observables of trajectories: arrays in, frozen results with value, unit, error and method out."""

from md.analysis.anion_sites import compute_anion_sites
from md.analysis.arrhenius import Arrhenius, fit_arrhenius
from md.analysis.averages import Average, compute_average
from md.analysis.bond_valence import BondValence, compute_bond_valence
from md.analysis.census import Census
from md.analysis.conductivity import Conductivity, compute_conductivity
from md.analysis.connectivity import compute_connectivity
from md.analysis.coordination import Coordination, compute_coordination
from md.analysis.crystallinity import Crystallinity, compute_crystallinity
from md.analysis.diffusion import Diffusivity, estimate_diffusivity
from md.analysis.frames import Frames
from md.analysis.glass_transition import GlassTransition, fit_glass_transition
from md.analysis.interphase import Interphase, compute_interphase
from md.analysis.kinetics import Growth, fit_growth
from md.analysis.load import load_frames
from md.analysis.msd import MeanSquaredDisplacement, compute_msd
from md.analysis.polyhedra import compute_polyhedra
from md.analysis.rdf import RadialDistribution, compute_rdf
from md.analysis.reactions import Reactions, analyze_reactions
from md.analysis.rings import compute_rings
from md.analysis.structure_factor import StructureFactor, compute_structure_factor
from md.analysis.units import compute_chains, compute_units

__all__ = [
    "Arrhenius",
    "Average",
    "BondValence",
    "Census",
    "Conductivity",
    "Coordination",
    "Crystallinity",
    "Diffusivity",
    "Frames",
    "GlassTransition",
    "Growth",
    "Interphase",
    "MeanSquaredDisplacement",
    "RadialDistribution",
    "Reactions",
    "StructureFactor",
    "analyze_reactions",
    "compute_anion_sites",
    "compute_average",
    "compute_bond_valence",
    "compute_chains",
    "compute_conductivity",
    "compute_connectivity",
    "compute_coordination",
    "compute_crystallinity",
    "compute_interphase",
    "compute_msd",
    "compute_polyhedra",
    "compute_rdf",
    "compute_rings",
    "compute_structure_factor",
    "compute_units",
    "estimate_diffusivity",
    "fit_arrhenius",
    "fit_glass_transition",
    "fit_growth",
    "load_frames",
]
