"""Observables of trajectories: arrays in, frozen results with value, unit, error and method out."""

from md.analysis.arrhenius import Arrhenius, fit_arrhenius
from md.analysis.averages import Average, compute_average
from md.analysis.collective import ChargeDiffusion, compute_charge_diffusion
from md.analysis.conductivity import Conductivity, compute_conductivity
from md.analysis.coordination import Coordination, compute_coordination
from md.analysis.density_map import DensityMap, compute_density_map, write_density
from md.analysis.diffusion import Diffusivity, estimate_diffusivity
from md.analysis.extrapolation import Extrapolation, extrapolate
from md.analysis.frames import Frames
from md.analysis.hops import HopStatistics, find_hops
from md.analysis.load import load_frames
from md.analysis.msd import MeanSquaredDisplacement, compute_msd
from md.analysis.onsager import Flux, Onsager, compute_fluxes, compute_onsager
from md.analysis.paths import ReferenceFrame, find_reference
from md.analysis.planes import NetFlux, PlaneDiffusivity, count_net_flux, estimate_plane_diffusivity
from md.analysis.rdf import RadialDistribution, compute_rdf
from md.analysis.regions import Region, estimate_parallel_diffusivity
from md.analysis.replicas import estimate_pooled_diffusivity
from md.analysis.van_hove import VanHove, compute_van_hove

__all__ = [
    "Arrhenius",
    "Average",
    "ChargeDiffusion",
    "Conductivity",
    "Coordination",
    "DensityMap",
    "Diffusivity",
    "Extrapolation",
    "Flux",
    "Frames",
    "HopStatistics",
    "MeanSquaredDisplacement",
    "NetFlux",
    "Onsager",
    "PlaneDiffusivity",
    "RadialDistribution",
    "ReferenceFrame",
    "Region",
    "VanHove",
    "compute_average",
    "compute_charge_diffusion",
    "compute_conductivity",
    "compute_coordination",
    "compute_density_map",
    "compute_fluxes",
    "compute_msd",
    "compute_onsager",
    "compute_rdf",
    "compute_van_hove",
    "count_net_flux",
    "estimate_diffusivity",
    "estimate_parallel_diffusivity",
    "estimate_plane_diffusivity",
    "estimate_pooled_diffusivity",
    "extrapolate",
    "find_hops",
    "find_reference",
    "fit_arrhenius",
    "load_frames",
    "write_density",
]
