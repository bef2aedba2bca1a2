"""Thresholds of the grade, from held-out atoms: above which to label, above which not to go on.

Thresholds of linear potentials do not transfer to learned descriptors, so they are found anew after each
training. Errors are bounded by split conformal prediction: of n exchangeable held-out errors the
ceil(0.95 (n + 1))-th smallest bounds the next one with a probability of 95 %.

Source: Angelopoulos & Bates 2023 (arXiv 2107.07511), section 1, for the conformal quantile.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlip.models.uncertainty import START_SELECT, START_STOP

SELECT_QUANTILE = 0.999
COVERAGE = 0.95
ERROR_FACTOR = 3.0
# Atoms of similar grade whose errors are bounded together: so many or more, in so many groups or fewer.
ATOMS_PER_BIN = 100
MOST_BINS = 50


@dataclass(frozen=True)
class Thresholds:
    """Where the grade tells a potential's user to act.

    Attributes:
        select: A structure of a higher grade is worth labelling.
        stop: Dynamics should not go on above this grade.
        how: How both were found, in words and numbers ready for JSON.
    """

    select: float
    stop: float
    how: dict[str, Any]


def find_thresholds(
    valid_grades: np.ndarray, valid_errors: np.ndarray, far_grades: np.ndarray, far_errors: np.ndarray
) -> Thresholds:
    """Calibrate both thresholds.

    Args:
        valid_grades: Of the atoms of the validation frames, which resemble the training data.
        valid_errors: Length of the force error of each, eV/A.
        far_grades: Of other held-out atoms, perhaps far from the training data; may be none.
        far_errors: Length of the force error of each, eV/A.
    """
    quantile = float(np.quantile(valid_grades, SELECT_QUANTILE))
    select = max(START_SELECT, quantile)
    usual = conformal_quantile(valid_errors)
    grades, errors = np.concatenate([valid_grades, far_grades]), np.concatenate([valid_errors, far_errors])
    crossing = find_crossing(grades, errors, ERROR_FACTOR * usual)
    stop = max(START_STOP, 2.0 * select) if crossing is None else max(crossing, select)
    how = {
        "valid_grade_quantile_99.9": quantile,
        "valid_force_error_95": usual if math.isfinite(usual) else None,
        "highest_held_out_grade": float(grades.max()),
        "num_valid_atoms": len(valid_grades),
        "num_other_held_out_atoms": len(far_grades),
        "stop_is_calibrated": crossing is not None,
        "grade_where_errors_pass": crossing,
    }
    return Thresholds(select, stop, how)


def describe_thresholds(thresholds: Thresholds) -> str:
    """Both thresholds and where they come from, in a line for people."""
    how = thresholds.how
    quantile = how["valid_grade_quantile_99.9"]
    select = f"select above {thresholds.select:.2f} (99.9 % of validation atoms lie below {quantile:.2f})"
    if how["valid_force_error_95"] is None:
        return f"{select}, stop above {thresholds.stop:.2f} (not calibrated: too few validation atoms)"
    limit = f"3 x {how['valid_force_error_95']:.3f} eV/A"
    if how["stop_is_calibrated"]:
        passed = f"95 % force error passes {limit} at {how['grade_where_errors_pass']:.2f}"
        return f"{select}, stop above {thresholds.stop:.2f} ({passed})"
    return (
        f"{select}, stop above {thresholds.stop:.2f} (not calibrated: up to the highest held-out grade, "
        f"{how['highest_held_out_grade']:.2f}, the 95 % force error keeps below {limit})"
    )


def conformal_quantile(errors: np.ndarray) -> float:
    """Bound that the next of exchangeable errors keeps with a probability of `COVERAGE`; infinite for few."""
    rank = math.ceil(COVERAGE * (len(errors) + 1))
    return float(np.sort(errors)[rank - 1]) if rank <= len(errors) else math.inf


def bin_by_grade(grades: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest grade and conformal error of each group of atoms of similar grade."""
    order = np.argsort(grades, kind="stable")
    groups = np.array_split(order, int(np.clip(len(order) // ATOMS_PER_BIN, 1, MOST_BINS)))
    edges = np.array([grades[group[0]] for group in groups])
    return edges, np.array([conformal_quantile(errors[group]) for group in groups])


def find_crossing(grades: np.ndarray, errors: np.ndarray, limit: float) -> float | None:
    """The grade that best parts groups of atoms with conformal errors within a limit from those beyond.

    Errors do not grow with the grade without exception; the fewest groups end up on the wrong side. None if
    all are best called within.
    """
    edges, bounds = bin_by_grade(grades, errors)
    is_beyond = (bounds > limit).astype(int)
    beyond_below = np.concatenate([[0], np.cumsum(is_beyond)])
    within_above = np.concatenate([np.cumsum((1 - is_beyond)[::-1])[::-1], [0]])
    first_above = int(np.argmin(beyond_below + within_above))
    return float(edges[first_above]) if first_above < len(edges) else None
