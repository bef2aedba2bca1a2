"""Figures of what a potential expects of its own errors; they draw, nothing is computed here but ranges."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mlip.report.figures import new_axes, new_panels, save_figure
from train.judge import Judgement
from train.reliability import Reliability
from train.thresholds import bin_by_grade

UNITS = {"energy": ("meV/atom", "energy"), "forces": ("meV/A", "force component")}
# Zeros, such as grades of lone atoms and forces that symmetry forbids, are drawn at the edge of their axis.
LOWEST_GRADE = 0.01
LOWEST_ERROR = 1e-5


def save_reliability(found: Mapping[str, Reliability], folder: Path) -> Path:
    """Expected against observed errors in bins, as `reliability.png` and `.csv`."""
    table: dict[str, list[float]] = {}
    with new_panels(1, len(found), (4.2 * len(found), 3.8)) as (figure, panels):
        for (quantity, reliability), axes in zip(found.items(), panels, strict=True):
            unit, name = UNITS[quantity]
            expected, observed = 1000 * np.array(reliability.expected), 1000 * np.array(reliability.observed)
            values = np.maximum(np.concatenate([expected, observed]), 1e-6)
            is_wide = values.max() > 10.0 * values.min()
            limits = (0.7 * values.min() if is_wide else 0.0, (1.4 if is_wide else 1.1) * values.max())
            axes.plot(limits, limits, color="0.6", linewidth=1.0, zorder=1)
            axes.plot(expected, observed, marker="o", zorder=2)
            axes.set(xscale="log" if is_wide else "linear", yscale="log" if is_wide else "linear")
            axes.set(xlim=limits, ylim=limits)
            axes.set_xlabel(f"expected RMS error ({unit})")
            axes.set_ylabel(f"observed RMS error ({unit})")
            axes.set_title(name)
            axes.set_aspect("equal")
            table[f"{quantity}_expected_{unit}"] = expected.tolist()
            table[f"{quantity}_observed_{unit}"] = observed.tolist()
        return save_figure(figure, folder / "reliability.png", table)


def save_grade_errors(judgement: Judgement, select: float, stop: float, folder: Path) -> Path:
    """Grade against force error of every atom with both thresholds, as `grade_forces.png` and `.csv`."""
    is_finite = np.isfinite(judgement.grades)
    grades = np.maximum(judgement.grades[is_finite], LOWEST_GRADE)
    errors = np.maximum(judgement.force_error_lengths[is_finite], LOWEST_ERROR)
    edges, bounds = bin_by_grade(grades, errors)
    with new_axes("extrapolation grade", "error of the force (eV/A)", size=(5.0, 3.8)) as (figure, axes):
        size = 8 if len(grades) < 2000 else 2
        axes.scatter(grades, errors, s=size, alpha=0.4, linewidths=0, rasterized=True)
        axes.plot(edges, bounds, color="C1", drawstyle="steps-post", label="95 % of atoms below")
        for threshold, name, dashes in ((select, "select", "--"), (stop, "stop", ":")):
            axes.axvline(threshold, color="0.3", linestyle=dashes, linewidth=1.0, label=name)
        axes.set(xscale="log", yscale="log")
        axes.legend()
        table = {
            "grade": judgement.grades.tolist(),
            "force_error_eV/A": judgement.force_error_lengths.tolist(),
            "force_uncertainty_eV/A": judgement.force_deviations.tolist(),
        }
        return save_figure(figure, folder / "grade_forces.png", table)
