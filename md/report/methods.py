"""The chapter on methods: what was simulated and how it was analysed, to paste, with references."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ase.formula import Formula
from omegaconf import OmegaConf

from md.analysis.frames import Frames
from md.formats.reading import H5MD_SUFFIXES
from md.report.references import list_references, number_citations, write_bibtex
from md.trajectory import Trajectory
from md.trajectory_layout import StageRecord
from mlip.report.html import Section

_INTRODUCTION = "Ready to paste; methods.bib, below, has the references for LaTeX."
# What a method rests on, by the name of its analysis. Keys in brackets are those of references.bib.
ANALYSIS_METHODS: Mapping[str, str] = {
    "structure": (
        "Radial distribution functions count all periodic images [allen2017]; a first shell ends at the "
        "lowest point behind the first peak. Errors of means over time are from blocks [flyvbjerg1989]."
    ),
    "diffusion": (
        "Mean squared displacements were taken from every time origin by fast Fourier transform "
        "[calandrini2011], from unwrapped fractional coordinates times the mean cell, relative to the centre "
        "of mass. The self-diffusion coefficient is their slope over 2d by generalised least squares with "
        "the covariance of Brownian walkers, between the lag at which they reach half the squared "
        "site-to-site distance and 70 % of the run; the larger error of that fit and of He et al. [he2018] "
        "is given, or the spread of replicas if that is larger. Conductivities are by Nernst and Einstein. "
        "Activation energies are from fits of ln D weighted with its errors; the variance between glasses is "
        "by restricted maximum likelihood [patterson1971], and intervals are from a bootstrap-t [efron1981]."
    ),
    "collective": (
        "Onsager coefficients are slopes of correlations of summed displacements [fong2020]; the Haven ratio "
        "[murch1982] is D of tracer over D of charge."
    ),
    "layers": (
        "Diffusion along a layer is from ions that stay in it for the whole lag [liu2004], out of it from "
        "how far and how long ions go until they first leave it [wald1944, redner2001], across a plane from "
        "the number of ions that are on its other side after a lag."
    ),
    "hops": (
        "Hops are maxima of the function of Candelier et al. [candelier2010]; self and distinct parts of the "
        "van Hove function [vanhove1954] are averages over time origins."
    ),
    "crossings": (
        "Displacements normal to the layers are from many time origins; ions between two anions are those "
        "that both coordinate, within the first minima of g(r), and did not 1 ps earlier."
    ),
    "density_map": ("Densities of ions are histograms on a grid that breathes with the cell."),
    "units": (
        "Covalent bonds are contacts within 1.3 sums of covalent radii; Qn species [lippmaa1980] count "
        "bridging anions, rings are shortest closed ways [king1967]."
    ),
    "bond_valence": (
        "Bond valences exp((R0 - R) / 0.37 Å) use parameters of Brown and Altermatt [brown1985], Brese and "
        "O'Keeffe [brese1991] and, for other pairs, sizes and electronegativities [okeeffe1991]; the global "
        "instability index is that of Salinas-Sanchez et al. [salinas1992]."
    ),
    "scattering": (
        "Structure factors after Faber and Ziman [faber1965] are from Fourier components at wave vectors of "
        "the cell, with scattering lengths [sears1992] and form factors [waasmaier1995]."
    ),
    "profiles": ("Profiles are averages over layers along a lattice vector."),
    "crystallinity": (
        "Crystalline atoms are found by matching their surroundings to those of fcc, hcp, bcc and simple "
        "cubic lattices [larsen2016]; bond order is q6 averaged over neighbors [lechner2008]."
    ),
    "reactions": (
        "The reduction of thiophosphates counts P-S bonds up to 3 Å [chaney2024]; laws of growth are weighed "
        "by Akaike's criterion [burnham2002] with the number of independent samples."
    ),
    "glass_transition": (
        "The glass transition is where two lines through density, enthalpy or energy along the quench meet "
        "[buchholz2002]; intervals are from a bootstrap over blocks."
    ),
}
_THERMOSTATS = {
    "nose_hoover_chain": "a Nosé-Hoover chain [martyna1992]",
    "velocity_rescaling": "stochastic velocity rescaling [bussi2007]",
    "langevin": "Langevin dynamics",
}
_BAROSTATS = {
    "nose_hoover_chain": "the barostat of Martyna, Tobias and Klein [martyna1994]",
    "velocity_rescaling": "stochastic cell rescaling [bernetti2020]",
}
_ENGINES = {"AseBackend": "ASE [larsen2017]", "LammpsBackend": "LAMMPS [thompson2022]"}
_MOST_STAGES = 6


def methods_section(
    paths: Sequence[Path],
    stretches: Sequence[Frames],
    chosen: Sequence[str],
    folder: Path,
    energetics: Sequence[str] = (),
) -> Section:
    """Write the chapter, and the cited papers as methods.bib.

    Args:
        paths: the trajectories.
        stretches: their frames; empty where no analysis asked for them.
        chosen: names of the analyses.
        folder: where methods.bib goes.
        energetics: sentences on what was computed with a potential.
    """
    # runs of one protocol are said once
    runs = dict.fromkeys(_simulation(path) for path in paths if path.suffix in H5MD_SUFFIXES)
    parts = [*runs, _frames(stretches), *(ANALYSIS_METHODS.get(name, "") for name in chosen), *energetics]
    text, keys = number_citations(" ".join(part for part in parts if part))
    folder.mkdir(parents=True, exist_ok=True)
    files = [write_bibtex(keys, folder / "methods.bib")] if keys else []
    return Section("Methods", f"{_INTRODUCTION}\n\n{text}", references=list_references(keys), files=files)


def _simulation(path: Path) -> str:
    """What a run of ours was: atoms, stages, engine, potential."""
    with Trajectory(path) as trajectory:
        formula = Formula.from_list([str(each) for each in trajectory.symbols]).format("metal")
        count, stages = len(trajectory.numbers), trajectory.stages
    moving = [stage for stage in stages if stage.ensemble != "relax"]
    if not moving:
        return ""
    said = "; ".join(_stage(stage) for stage in moving[:_MOST_STAGES])
    more = f"; {len(moving) - _MOST_STAGES} more" if len(moving) > _MOST_STAGES else ""
    steps = " and ".join(f"{each:g}" for each in sorted({stage.timestep_fs for stage in moving}))
    kinds = dict.fromkeys(_control(stage) for stage in moving if stage.thermostat)
    control = f"; {', '.join(kinds)}" if kinds else ""
    by = _engine(path.with_name("config.yaml"))
    return (
        f"Molecular dynamics of {formula} ({count} atoms){by}: {said}{more}; time step {steps} fs{control}."
    )


def _stage(stage: StageRecord) -> str:
    name = stage.name.replace("_", " ")
    if stage.start_K is None or stage.end_K is None:
        return f"{name} ({stage.ensemble.upper()})"
    ends = dict.fromkeys((f"{stage.start_K:.0f}", f"{stage.end_K:.0f}"))
    return f"{name} ({stage.ensemble.upper()}, {' to '.join(ends)} K)"


def _control(stage: StageRecord) -> str:
    thermostat = str(stage.thermostat)
    words = _THERMOSTATS.get(thermostat, thermostat)
    return (
        f"{words}, {_BAROSTATS[thermostat]}"
        if stage.ensemble == "npt" and thermostat in _BAROSTATS
        else words
    )


def _engine(config: Path) -> str:
    """Engine and potential of a run, from the settings beside its trajectory."""
    if not config.exists():
        return ""
    settings: Any = OmegaConf.to_container(OmegaConf.load(config))
    target = str((settings.get("engine") or {}).get("_target_", "")).rpartition(".")[2]
    engine = _ENGINES.get(target, "Vitreous" if target else "")
    potential = Path(str(settings.get("potential", ""))).name
    return (f" by {engine}" if engine else "") + (f" with the potential {potential}" if potential else "")


def _frames(stretches: Sequence[Frames]) -> str:
    """How many frames were analysed, how far apart."""
    if not stretches:
        return ""
    counts = sorted({frames.num_frames for frames in stretches})
    number = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    apart = {
        f"{frames.duration_ps / (frames.num_frames - 1):.3g}"
        for frames in stretches
        if frames.times_ps is not None and frames.num_frames > 1
    }
    each = f" every {' or '.join(sorted(apart))} ps" if apart else ""
    several = f" in each of {len(stretches)} stretches" if len(stretches) > 1 else ""
    return f"Analysed were {number} frames{each}{several}."
