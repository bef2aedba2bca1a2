"""The chapter on the run itself: temperature, pressure, energy, density along a protocol."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from md.analysis.averages import compute_average
from md.report.plots import plot_series, shade_stages
from md.trajectory import Trajectory
from mlip.errors import DataError
from mlip.report.figures import new_panels, save_figure
from mlip.report.html import FigureBlock, Section, TableBlock
from mlip.report.style import PALETTE

# column of thermo.csv -> what its axis says
_PANELS = {
    "temperature_K": "T (K)",
    "pressure_GPa": "P (GPa)",
    "potential_eV": "$E_{pot}$ (eV/atom)",
    "density_g_cm3": "density (g/cm³)",
}
_PANEL_HEIGHT = 1.55
_SMOOTHED_SHARE = 50


@dataclass(frozen=True)
class ProtocolRecord:
    """What happened along a run.

    Attributes:
        series: column of thermo.csv -> values, each of shape (T,); energies per atom.
        target_K: temperature the run aimed at, at the times of thermo.csv, shape (T,), NaN where none.
        stages: name, start and end in ps of each stage that was reached.
    """

    series: dict[str, np.ndarray]
    target_K: np.ndarray
    stages: list[tuple[str, float, float]]


def read_protocol_record(trajectory_path: Path) -> ProtocolRecord:
    """Read thermo.csv beside a trajectory of `mlip md`, and the stages from the trajectory.

    Relaxations are left out: they take no time.

    Raises:
        DataError: There is no thermo.csv, or it has no complete row.
    """
    thermo = trajectory_path.with_name("thermo.csv")
    if not thermo.exists():
        raise DataError(f"found no {thermo}; expected it beside the trajectory: `mlip md` writes both")
    with thermo.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    if not rows:
        raise DataError(f"{thermo} has no rows; the run may have been stopped before its first frame")
    with Trajectory(trajectory_path) as trajectory:
        moving = _frames_in_time(trajectory)
        at_rest = set(trajectory.steps[~moving].tolist())
        rows = [row for row in rows if int(row["step"]) not in at_rest]
        series = {name: np.array([float(row[name]) for row in rows]) for name in ("time_ps", *_PANELS)}
        series["potential_eV"] = series["potential_eV"] / len(trajectory.numbers)
        targets = trajectory.target_temperatures_K[moving]
        target = np.interp(series["time_ps"], trajectory.times_ps[moving], targets)
        stages = _stage_spans(trajectory, moving)
    return ProtocolRecord(series, target, stages)


def _frames_in_time(trajectory: Trajectory) -> np.ndarray:
    """Which frames are of dynamics, shape (F,)."""
    in_time = np.array([stage.ensemble != "relax" for stage in trajectory.stages])
    return in_time[trajectory.frame_stages]


def _stage_spans(trajectory: Trajectory, moving: np.ndarray) -> list[tuple[str, float, float]]:
    """Name, start and end of each stage; a stage starts where the one before ended."""
    spans: list[tuple[str, float, float]] = []
    for index in np.unique(trajectory.frame_stages[moving]):
        last = trajectory.frames_of(int(index)).stop - 1
        start = spans[-1][2] if spans else float(trajectory.times_ps[0])
        spans.append((trajectory.stages[int(index)].name, start, float(trajectory.times_ps[last])))
    return spans


def protocol_section(record: ProtocolRecord, folder: Path, name: str = "protocol") -> Section:
    """Draw what happened along a run and write its chapter.

    Args:
        record: the run.
        folder: where PNG and CSV go.
        name: file name of the figure, for reports on several runs.
    """
    times = record.series["time_ps"]
    shown = {column: label for column, label in _PANELS.items() if _worth_showing(record.series[column])}
    smooth = max(1, len(times) // _SMOOTHED_SHARE)
    ends = [end for _, _, end in record.stages[:-1]]
    with new_panels(len(shown), 1, (9.6, _PANEL_HEIGHT * len(shown) + 0.7), share_x=True) as (figure, panels):
        for number, (axes, (column, label)) in enumerate(zip(panels, shown.items(), strict=True)):
            target = record.target_K if column == "temperature_K" else None
            plot_series(axes, times, record.series[column], PALETTE[number], target, smooth, ends)
            shade_stages(axes, record.stages, named=number == 0)
            axes.set_ylabel(label)
            axes.set_xlim(times[0], times[-1])
        panels[0].legend(loc="upper right")
        panels[-1].set_xlabel("time (ps)")
        figure.align_ylabels(panels)
        table = {column: record.series[column] for column in ("time_ps", *shown)} | {
            "target_K": record.target_K
        }
        path = save_figure(figure, folder / f"{name}.png", table)
    caption = (
        "The run stage by stage. Thin: every stored sample; strong: running mean; dashed: thermostat target."
    )
    return Section(
        heading="Protocol", figures=[FigureBlock(path, caption, wide=True)], tables=[_table(record)]
    )


def _worth_showing(values: np.ndarray) -> bool:
    return bool(np.isfinite(values).all() and np.ptp(values) > 1e-9 * abs(values).max())


def _table(record: ProtocolRecord) -> TableBlock:
    times = record.series["time_ps"]
    rows = []
    for name, start, end in record.stages:
        inside = (times > start) & (times <= end)
        if not inside.any():
            continue
        averages = {
            column: compute_average(record.series[column][inside])
            for column in _PANELS
            if np.isfinite(record.series[column][inside]).all()
        }
        cells = [
            f"{averages[c].value:.4g}" + ("" if averages[c].error is None else f" ± {averages[c].error:.2g}")
            if c in averages
            else None
            for c in _PANELS
        ]
        rows.append([name.replace("_", " "), f"{end - start:.3g}", *cells])
    header = ["stage", "length (ps)", "T (K)", "P (GPa)", "potential energy (eV/atom)", "density (g/cm³)"]
    return TableBlock(header, rows, "Means over each stage with one standard error (block averages).")
