"""Observables of trajectories: arrays in, frozen results with value, unit, error and method out."""

from md.analysis.anion_crossings import find_anion_crossings
from md.analysis.anion_sites import compute_anion_sites
from md.analysis.arrhenius import Arrhenius, fit_arrhenius
from md.analysis.averages import Average, compute_average
from md.analysis.bond_valence import BondValence, compute_bond_valence
from md.analysis.census import Census
from md.analysis.collective import ChargeDiffusion, compute_charge_diffusion
from md.analysis.conductivity import Conductivity, compute_conductivity
from md.analysis.connectivity import compute_connectivity
from md.analysis.coordination import Coordination, compute_coordination
from md.analysis.crystallinity import Crystallinity, compute_crystallinity
from md.analysis.density_map import DensityMap, compute_density_map, write_density
from md.analysis.diffusion import Diffusivity, estimate_diffusivity
from md.analysis.displacements import compute_displacements
from md.analysis.extrapolation import Extrapolation, extrapolate
from md.analysis.first_passage import FirstPassage, estimate_first_passage
from md.analysis.fluxes import Flux, compute_fluxes
from md.analysis.frames import Frames
from md.analysis.glass_transition import GlassTransition, fit_glass_transition
from md.analysis.hops import HopStatistics, find_hops
from md.analysis.interphase import Interphase, compute_interphase
from md.analysis.kinetics import Growth, fit_growth
from md.analysis.load import load_frames
from md.analysis.msd import MeanSquaredDisplacement, compute_msd
from md.analysis.onsager import Onsager, compute_onsager
from md.analysis.paths import ReferenceFrame, find_reference
from md.analysis.planes import NetFlux, PlaneDiffusivity, count_net_flux, estimate_plane_diffusivity
from md.analysis.polyhedra import compute_polyhedra
from md.analysis.rdf import RadialDistribution, compute_rdf
from md.analysis.reactions import Reactions, analyze_reactions
from md.analysis.regions import Region, estimate_parallel_diffusivity
from md.analysis.replicas import estimate_pooled_diffusivity
from md.analysis.rings import compute_rings
from md.analysis.structure_factor import StructureFactor, compute_structure_factor
from md.analysis.study import compare_glasses
from md.analysis.units import compute_chains, compute_units
from md.analysis.van_hove import VanHove, compute_van_hove

__all__ = [
    "Arrhenius",
    "Average",
    "BondValence",
    "Census",
    "ChargeDiffusion",
    "Conductivity",
    "Coordination",
    "Crystallinity",
    "DensityMap",
    "Diffusivity",
    "Extrapolation",
    "FirstPassage",
    "Flux",
    "Frames",
    "GlassTransition",
    "Growth",
    "HopStatistics",
    "Interphase",
    "MeanSquaredDisplacement",
    "NetFlux",
    "Onsager",
    "PlaneDiffusivity",
    "RadialDistribution",
    "Reactions",
    "ReferenceFrame",
    "Region",
    "StructureFactor",
    "VanHove",
    "analyze_reactions",
    "compare_glasses",
    "compute_anion_sites",
    "compute_average",
    "compute_bond_valence",
    "compute_chains",
    "compute_charge_diffusion",
    "compute_conductivity",
    "compute_connectivity",
    "compute_coordination",
    "compute_crystallinity",
    "compute_density_map",
    "compute_displacements",
    "compute_fluxes",
    "compute_interphase",
    "compute_msd",
    "compute_onsager",
    "compute_polyhedra",
    "compute_rdf",
    "compute_rings",
    "compute_structure_factor",
    "compute_units",
    "compute_van_hove",
    "count_net_flux",
    "estimate_diffusivity",
    "estimate_first_passage",
    "estimate_parallel_diffusivity",
    "estimate_plane_diffusivity",
    "estimate_pooled_diffusivity",
    "extrapolate",
    "find_anion_crossings",
    "find_hops",
    "find_reference",
    "fit_arrhenius",
    "fit_glass_transition",
    "fit_growth",
    "load_frames",
    "write_density",
]
