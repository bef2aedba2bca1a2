"""The gates `nvt` and `npt`: a run at a temperature must last, without voids, segregation or drift."""

from dataclasses import dataclass

import numpy as np
from ase import Atoms

from md.gates.dynamics import Held, check_drift, check_end
from md.gates.segregation import measure_segregation
from md.gates.voids import atomic_spacing, largest_void
from mlip.deploy.gates import Check, GateResult
from mlip.report.panels import Panel

_FEWEST_ATOMS_TO_SEGREGATE = 100
_METHOD = (
    "{ensemble} at {temperature:g} K, {duration:g} ps in steps of {step:g} fs, {atoms} atoms; voids and "
    "segregation of the worst of {looked} frames, density of the second half"
)


@dataclass(frozen=True)
class StabilityLimits:
    """What a stable run keeps.

    Attributes:
        void_spacings: The largest empty sphere may become so much wider in radius than at the start, in units
            of the edge of the cube that an atom has for itself.
        segregation: The intensity of segregation may rise by so much.
        drift_meV_atom_ps: Of the conserved energy.
        density: Share by which the mean density under npt may be off.
        density_g_cm3: What the density should be; None for that of the start.
        frames: So many frames are looked at for voids and segregation.
    """

    void_spacings: float = 0.4
    segregation: float = 0.15
    drift_meV_atom_ps: float = 0.1
    density: float = 0.15
    density_g_cm3: float | None = None
    frames: int = 8


def check_stability(held: Held, limits: StabilityLimits) -> GateResult:
    """Judge a run under nvt or npt.

    Args:
        held: The run; the gate is named by its ensemble.
        limits: What it has to keep.
    """
    stage = held.stage
    looked = np.unique(np.linspace(0, held.frames.num_frames - 1, limits.frames).round().astype(int))
    structures = [held.frames.atoms(int(index)) for index in looked]
    radii = np.array([largest_void(atoms) for atoms in structures])
    voids = _check_void(held, radii, radii[0] + limits.void_spacings * atomic_spacing(structures[0]))
    checks = [check_end(held), voids, *_check_segregation(held, structures, limits)]
    checks.append(check_drift(held, "conserved_eV", limits.drift_meV_atom_ps))
    if stage.ensemble == "npt":
        checks.append(_check_density(held, limits))
    method = _METHOD.format(
        ensemble=stage.ensemble,
        temperature=stage.temperature_K,
        duration=stage.duration_ps,
        step=stage.timestep_fs,
        atoms=held.num_atoms,
        looked=len(looked),
    )
    return GateResult(stage.ensemble, tuple(checks), method, _panels(held, looked, radii, voids.limit))


def _check_void(held: Held, radii: np.ndarray, allowed_A: float) -> Check:
    explorer = "nvt_npt" if held.stage.ensemble == "npt" else "nvt"
    loop = f"mlip learn explorer={explorer} explorer.temperature_K={held.stage.temperature_K:g}"
    advice = (
        f"a void of {radii.max():.1f} A opened: label frames of {held.files.trajectory} with it, or let "
        f"{loop} find what it lacks"
    )
    return Check("radius of the largest void", float(radii.max()), "A", allowed_A, advice)


def _check_segregation(held: Held, structures: list[Atoms], limits: StabilityLimits) -> list[Check]:
    """One check, of the species that gathered most; none for one species or a few atoms."""
    if held.num_atoms < _FEWEST_ATOMS_TO_SEGREGATE or len(held.frames.species) < 2:
        return []
    first, *later = [measure_segregation(atoms) for atoms in structures]
    rises = {
        symbol: max([found[symbol] for found in later] or [start]) - start for symbol, start in first.items()
    }
    worst = max(rises, key=rises.__getitem__)
    advice = (
        f"{worst} gathers by itself: label frames of {held.files.trajectory}, and add mixed structures, such "
        f"as builder=glass builder.composition={structures[0].get_chemical_formula('metal')}"
    )
    return [Check(f"rise of the segregation of {worst}", float(rises[worst]), "", limits.segregation, advice)]


def _check_density(held: Held, limits: StabilityLimits) -> Check:
    density = held.table["density_g_cm3"]
    mean = float(density[len(density) // 2 :].mean())
    expected = limits.density_g_cm3 or float(density[0])
    advice = (
        f"the density is {mean:.3g} g/cm3, expected {expected:.3g}: add builder=volumes "
        "builder.relative_volumes=[0.85,1.2] of this structure, labelled with stress"
    )
    return Check("density off by", 100.0 * abs(mean / expected - 1.0), "%", 100.0 * limits.density, advice)


def _panels(held: Held, looked: np.ndarray, radii: np.ndarray, void_limit: float) -> tuple[Panel, ...]:
    times, table = held.table["time_ps"], held.table
    void_times = held.frames.require_times()[looked]
    bad = [(time, radius) for time, radius in zip(void_times, radii, strict=True) if radius > void_limit]
    conserved = 1000.0 * (table["conserved_eV"] - table["conserved_eV"][0]) / held.num_atoms
    xlabel = "time (ps)"
    panels = [
        Panel("temperature", xlabel, "temperature (K)", {"": (times, table["temperature_K"])}),
        Panel("drift", xlabel, "conserved energy (meV/atom)", {"": (times, conserved)}),
        Panel(
            "largest void",
            xlabel,
            "radius (A)",
            {"radius": (void_times, radii)},
            dots=("radius",),
            marks=bad,
            levels={"limit": void_limit},
        ),
    ]
    if held.stage.ensemble == "npt":
        panels.append(Panel("density", xlabel, "density (g/cm$^3$)", {"": (times, table["density_g_cm3"])}))
    return tuple(panels)
