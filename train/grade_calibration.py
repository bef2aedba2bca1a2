"""Was the grade right? Grades and expected deviations of labelled frames beside the errors that they had.

The loop of active learning labels what is graded high; afterwards the errors of the potential that graded are
known. Where high errors come with low grades, the grade missed them, and selection by it did, too.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from numpy.typing import NDArray

from mlip.report.figures import new_panels, save_figure
from train.judge import Judgement
from train.reliability import rank_correlation
from train.thresholds import conformal_quantile

MOST_GROUPS = 8
ATOMS_PER_GROUP = 20
# The worst errors, and how many of them may come unannounced.
_WORST = 0.05
_MOST_MISSED = 0.5
_FEWEST_WORST = 5
# Zeros, such as deviations of a committee that agrees, are drawn at the edge of their axis.
_LOWEST = 1e-5


@dataclass(frozen=True)
class GradeGroup:
    """Atoms of similar grade.

    Attributes:
        grades: The lowest and the highest.
        num_atoms: How many.
        rms_error: Of the length of the force error, eV/A.
        error_95: 95 % of such errors are below it (conformal), eV/A; infinite for too few atoms.
        rms_expected: Of the deviation that was foretold for the length of the error, eV/A.
    """

    grades: tuple[float, float]
    num_atoms: int
    rms_error: float
    error_95: float
    rms_expected: float


@dataclass(frozen=True)
class GradeCalibration:
    """How grades and expected deviations did on labelled atoms.

    Attributes:
        groups: In the order of the grade.
        rank_of_grade: Spearman's rank correlation of grade and error; None where there is none.
        rank_of_deviation: The same of the expected deviation.
        missed: Share of the atoms with the worst errors (5 %) that were graded below `select`.
        select: The threshold that frames were chosen by.
        warning: What is wrong with the grade; empty if nothing is.
    """

    groups: tuple[GradeGroup, ...]
    rank_of_grade: float | None
    rank_of_deviation: float | None
    missed: float
    select: float
    warning: str

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON: what is infinite is None."""
        content = asdict(self)
        for group in content["groups"]:
            group |= {
                "grades": [grade if np.isfinite(grade) else None for grade in group["grades"]],
                "error_95": group["error_95"] if np.isfinite(group["error_95"]) else None,
            }
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "GradeCalibration":
        """What `to_dict` made."""
        groups = []
        for group in content["groups"]:
            lowest, highest, error = (
                np.inf if value is None else value for value in (*group["grades"], group["error_95"])
            )
            groups.append(GradeGroup(**{**group, "grades": (lowest, highest), "error_95": error}))
        return cls(**{**content, "groups": tuple(groups)})


def calibrate_grade(
    grades: NDArray[np.float64], deviations: NDArray[np.float64], errors: NDArray[np.float64], select: float
) -> GradeCalibration:
    """Compare what was foretold of atoms with the errors that came.

    Args:
        grades: Extrapolation grade of each atom, (N,), by the potential before these frames trained it.
        deviations: Its expected deviation of a force component, (N,), eV/A; a committee's will do.
        errors: Lengths of its force errors, (N,), eV/A.
        select: The grade above which frames were chosen.
    """
    order = np.argsort(grades, kind="stable")
    count = int(np.clip(len(order) // ATOMS_PER_GROUP, 1, MOST_GROUPS))
    groups = tuple(
        _group(grades[members], deviations[members], errors[members])
        for members in np.array_split(order, count)
    )
    worst = np.argsort(errors)[len(errors) - max(1, round(_WORST * len(errors))) :]
    missed = float(np.mean(grades[worst] <= select))
    rank = rank_correlation(grades, errors)
    return GradeCalibration(
        groups,
        rank,
        rank_correlation(deviations, errors),
        missed,
        select,
        _warning(rank, missed, len(worst), errors[worst], errors, select),
    )


def calibrate_judgement(judgement: Judgement, select: float) -> GradeCalibration:
    """The same of frames that `train.judge` judged."""
    deviations, errors = judgement.force_deviations, judgement.force_error_lengths
    return calibrate_grade(judgement.grades, deviations, errors, select)


def save_grade_calibration(found: Mapping[str, GradeCalibration], folder: Path) -> Path:
    """Error against grade and against expectation, a line a generation: `grade_calibration.png`, `.csv`."""
    table: dict[str, list[float]] = {}
    with new_panels(1, 2, (9.6, 3.8)) as (figure, (by_grade, by_deviation)):
        for name, calibration in found.items():
            columns = {
                "grade": [max(float(np.mean(group.grades)), _LOWEST) for group in calibration.groups],
                "error_eV/A": [max(group.rms_error, _LOWEST) for group in calibration.groups],
                "expected_eV/A": [max(group.rms_expected, _LOWEST) for group in calibration.groups],
            }
            table |= {f"{name}: {column}": values for column, values in columns.items()}
            by_grade.plot(columns["grade"], columns["error_eV/A"], marker="o", label=name)
            by_deviation.plot(columns["expected_eV/A"], columns["error_eV/A"], marker="o", label=name)
        for threshold in {calibration.select for calibration in found.values()}:
            by_grade.axvline(threshold, color="0.4", linestyle="--", linewidth=1.0)
        ends = [group.rms_error for calibration in found.values() for group in calibration.groups]
        diagonal = (max(min(ends), _LOWEST), max(*ends, _LOWEST))
        by_deviation.plot(diagonal, diagonal, color="0.6", linewidth=1.0, zorder=1)
        by_grade.set_xlabel("extrapolation grade (dashed: select)")
        by_deviation.set_xlabel("expected RMS force error (eV/A)")
        for axes in (by_grade, by_deviation):
            axes.set_ylabel("RMS force error (eV/A)")
            axes.set(xscale="log", yscale="log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
        by_grade.legend()
        return save_figure(figure, folder / "grade_calibration.png", table)


def _group(
    grades: NDArray[np.float64], deviations: NDArray[np.float64], errors: NDArray[np.float64]
) -> GradeGroup:
    return GradeGroup(
        grades=(float(grades.min()), float(grades.max())),
        num_atoms=len(grades),
        rms_error=float(np.sqrt(np.mean(errors**2))),
        error_95=conformal_quantile(errors),
        rms_expected=float(np.sqrt(3.0 * np.mean(deviations**2))),
    )


def _warning(
    rank: float | None,
    missed: float,
    num_worst: int,
    worst: NDArray[np.float64],
    errors: NDArray[np.float64],
    select: float,
) -> str:
    """High errors at low grades, or grades that fall as errors rise."""
    if num_worst < _FEWEST_WORST:
        return ""
    rms = float(np.sqrt(np.mean(errors**2)))
    if missed > _MOST_MISSED and worst.min() > 2.0 * rms:
        return (
            f"high errors come with low grades: {100 * missed:.0f} % of the {num_worst} worst force errors, "
            f"above {worst.min():.3g} eV/A, were graded below select={select:.3g}; lower select, or choose "
            "by the expected deviation or a committee"
        )
    if rank is not None and rank < 0.0:
        return (
            f"errors fall as the grade rises (rank correlation {rank:.2f}): choose by the expected "
            "deviation or a committee"
        )
    return ""
