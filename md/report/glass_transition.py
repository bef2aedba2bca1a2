"""The chapter on the glass transition: density and enthalpy, or energy, along each quench of a run."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from md.analysis.glass_transition import GlassTransition, fit_glass_transition
from md.report.chapter import Analysis, Entries
from md.report.entries import entry, join_name
from md.report.structure_plots import plot_glass_transition
from md.trajectory import Trajectory
from mlip.errors import DataError
from mlip.report.figures import new_panels, save_figure
from mlip.report.html import FigureBlock, Section
from mlip.units import EV_PER_A3_IN_GPA

_EXPLANATION = (
    "Two straight lines that meet, fitted to density and enthalpy, or to the energy of a fixed cell, against "
    "the temperature that the thermostat aimed at. The interval is that of a bootstrap over blocks of the "
    "quench. A quench in a simulation is faster than one in a laboratory by ten orders of magnitude, so its "
    "glass transition is higher."
)
# a density that changes less was held by a fixed cell
_SMALLEST_CHANGE = 1e-3
# share of its range of temperatures that a finished quench may lack
_UNDONE = 0.05


def glass_transition_chapter(paths: Sequence[Path], folder: Path) -> Analysis:
    """Fit the glass transition of every cooling stage of runs of `mlip md`.

    Args:
        paths: trajectories of `mlip md`, each with its thermo.csv.
        folder: where PNG and CSV go.

    Raises:
        DataError: A trajectory is not of `mlip md`, or has no cooling stage.
    """
    figures, warnings = [], []
    entries: Entries = {}
    for path in paths:
        for quench in read_quenches(path):
            part = ".".join([quench.stage] if len(paths) == 1 else [path.parent.name, quench.stage])
            reached_K = quench.temperature_K[-1]
            if reached_K - quench.end_K > _UNDONE * (quench.temperature_K[0] - quench.end_K):
                warnings.append(f"{part} got to {reached_K:.0f} K, not to {quench.end_K:.0f} K as was asked.")
            results = {
                name: fit_glass_transition(quench.temperature_K, series, name)
                for name, series in quench.quantities.items()
            }
            figures.append(_figure(quench, results, folder, part))
            for name, result in results.items():
                entries[join_name(f"glass_transition_{name}", part)] = entry(result)
                warnings += [f"{part}, {name}: {each}." for each in result.warnings]
    section = Section(heading="Glass transition", text=_EXPLANATION, figures=figures, warnings=warnings)
    return Analysis(entries, [section])


@dataclass(frozen=True)
class Quench:
    """A cooling stage, as far as it got.

    Attributes:
        stage: its name.
        end_K: temperature that it was to reach.
        temperature_K: what the thermostat aimed at, shape (F,).
        quantities: density (g/cm^3) and enthalpy, or energy (eV/atom), each of shape (F,).
    """

    stage: str
    end_K: float
    temperature_K: np.ndarray
    quantities: dict[str, np.ndarray]


def read_quenches(path: Path) -> list[Quench]:
    """Cooling stages of a run of `mlip md`.

    Raises:
        DataError: There is no thermo.csv, or no cooling stage.
    """
    thermo = path.with_name("thermo.csv")
    if not thermo.exists():
        raise DataError(
            f"found no {thermo}; expected it beside a trajectory of `mlip md`: analysis=[glass_transition] "
            "reads density and energy along a quench there"
        )
    with thermo.open(newline="") as stream:
        rows = {int(row["step"]): row for row in csv.DictReader(stream)}
    found = []
    with Trajectory(path) as trajectory:
        size = len(trajectory.numbers)
        for index, stage in enumerate(trajectory.stages):
            if stage.start_K is None or stage.end_K is None or stage.end_K >= stage.start_K:
                continue
            members = np.flatnonzero(trajectory.frame_stages == index)
            frames = [frame for frame in members if int(trajectory.steps[frame]) in rows]
            if not frames:
                continue
            chosen = [rows[int(trajectory.steps[frame])] for frame in frames]
            column = {name: np.array([float(row[name]) for row in chosen]) for name in _COLUMNS}
            temperature_K = trajectory.target_temperatures_K[frames]
            found.append(Quench(stage.name, stage.end_K, temperature_K, _quantities(column, size)))
    if not found:
        raise DataError(
            f"{path} has no cooling stage; expected a quench: a stage with temperature_K=[from, to]"
        )
    return found


_COLUMNS = ("density_g_cm3", "potential_eV", "kinetic_eV", "pressure_GPa", "volume_A3")


def _quantities(column: dict[str, np.ndarray], num_atoms: int) -> dict[str, np.ndarray]:
    """Density and enthalpy E + pV an atom, or the energy alone of a cell that is held.

    p is the mean pressure, which is the one that a barostat holds: that of a frame fluctuates by GPa in a
    small cell, and p V by ten times what E does.
    """
    energy, density = column["potential_eV"] + column["kinetic_eV"], column["density_g_cm3"]
    if np.ptp(density) < _SMALLEST_CHANGE * density.mean():
        return {"energy": energy / num_atoms}
    work = column["pressure_GPa"].mean() / EV_PER_A3_IN_GPA * column["volume_A3"]
    return {"density": density, "enthalpy": (energy + work) / num_atoms}


def _figure(quench: Quench, results: dict[str, GlassTransition], folder: Path, part: str) -> FigureBlock:
    temperature, quantities = quench.temperature_K, quench.quantities
    units = {"density": "g/cm³", "enthalpy": "eV/atom", "energy": "eV/atom"}
    with new_panels(1, len(quantities), (4.9 * len(quantities), 3.5)) as (figure, panels):
        for axes, (name, series) in zip(panels, quantities.items(), strict=True):
            plot_glass_transition(axes, temperature, series, results[name])
            axes.set_xlabel("temperature (K)")
            axes.set_ylabel(f"{name} ({units[name]})")
        path = save_figure(
            figure, folder / f"glass_transition_{part}.png", {"temperature_K": temperature, **quantities}
        )
    caption = (
        f"{part}: lines of glass and melt, where they meet, and the 95 % interval of that; or the one line."
    )
    return FigureBlock(path, caption, wide=len(quantities) > 1)
