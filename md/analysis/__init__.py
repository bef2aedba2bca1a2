"""Observables of trajectories: arrays in, frozen results with value, unit, error and method out."""

from md.analysis.arrhenius import Arrhenius, fit_arrhenius
from md.analysis.averages import Average, compute_average
from md.analysis.conductivity import Conductivity, compute_conductivity
from md.analysis.coordination import Coordination, compute_coordination
from md.analysis.diffusion import Diffusivity, estimate_diffusivity
from md.analysis.frames import Frames
from md.analysis.load import load_frames
from md.analysis.msd import MeanSquaredDisplacement, compute_msd
from md.analysis.rdf import RadialDistribution, compute_rdf

__all__ = [
    "Arrhenius",
    "Average",
    "Conductivity",
    "Coordination",
    "Diffusivity",
    "Frames",
    "MeanSquaredDisplacement",
    "RadialDistribution",
    "compute_average",
    "compute_conductivity",
    "compute_coordination",
    "compute_msd",
    "compute_rdf",
    "estimate_diffusivity",
    "fit_arrhenius",
    "load_frames",
]
