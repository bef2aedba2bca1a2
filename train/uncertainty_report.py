"""What is said of grade and expected errors: `uncertainty.json`, a line in the log, a chapter of reports."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlip.models.uncertainty import Uncertainty
from mlip.report.html import FigureBlock, Section, TableBlock
from train.grade_calibration import calibrate_grade, calibrate_judgement, save_grade_calibration
from train.judge import Judgement
from train.reliability import Reliability, compare, correlate
from train.uncertainty import FittedUncertainty
from train.uncertainty_plots import save_grade_errors, save_reliability

logger = logging.getLogger(__name__)

HEADER = (
    "quantity",
    "within 1 deviation (normal: 0.68)",
    "within 2 (0.95)",
    "NLL",
    "NLL of one deviation",
    "n",
)
BY_HALVES = (
    "Expected against observed error on validation frames, each half judged by a calibration with the other."
)


def write_uncertainty(
    judgement: Judgement,
    uncertainty: Uncertainty,
    folder: Path,
    committee: NDArray[np.float64] | None = None,
) -> dict[str, Any]:
    """Say how grade and expected errors did on labelled frames: `uncertainty.json`, figures, log.

    Args:
        judgement: Of the frames.
        uncertainty: That judged them.
        folder: The run directory.
        committee: Deviations of a committee, (N,), eV/A; None without one.

    Returns:
        Rank correlations with the force error, reliabilities and calibrations of the grade.
    """
    found = compare(judgement)
    select = float(uncertainty.select)
    calibrations = {"last layer": calibrate_judgement(judgement, select)}
    if committee is not None:
        errors = judgement.force_error_lengths
        calibrations["committee"] = calibrate_grade(judgement.grades, committee, errors, select)
    said = {
        "rank_correlation_with_force_error": correlate(judgement),
        "reliability": {name: reliability.to_dict() for name, reliability in found.items()},
        "calibration": {name: calibration.to_dict() for name, calibration in calibrations.items()},
        "highest_grade": float(judgement.grades.max()),
        "atoms_above_select": int((judgement.grades > uncertainty.select).sum()),
        "atoms_above_stop": int((judgement.grades > uncertainty.stop).sum()),
        "num_atoms": len(judgement.grades),
    }
    (folder / "uncertainty.json").write_text(json.dumps(said, indent=2))
    save_grade_errors(judgement, uncertainty.select, uncertainty.stop, folder)
    save_grade_calibration(calibrations, folder)
    if found:
        save_reliability(found, folder)
    if calibrations["last layer"].warning:
        logger.warning("%s", calibrations["last layer"].warning)
    logger.info(
        "grades up to %.2f; %d of %d atoms above %.2f, %d above %.2f; rank correlation with force errors: %s",
        said["highest_grade"],
        said["atoms_above_select"],
        said["num_atoms"],
        uncertainty.select,
        said["atoms_above_stop"],
        uncertainty.stop,
        ", ".join(f"{k} {v:.2f}" for k, v in correlate(judgement).items() if v is not None),
    )
    return said


def uncertainty_section(fitted: FittedUncertainty, judgement: Judgement, folder: Path) -> Section:
    """The chapter of the training report.

    Args:
        fitted: The fit, with what it foretold of validation frames.
        judgement: Of the held-out frames that the report's errors are of.
        folder: Where figures go.
    """
    uncertainty = fitted.uncertainty
    scatter = save_grade_errors(judgement, uncertainty.select, uncertainty.stop, folder)
    figures = [FigureBlock(scatter, "Error of the force against extrapolation grade, held-out atoms.")]
    tables = []
    found = {} if fitted.validation is None else compare(fitted.validation)
    if found:
        figures.append(FigureBlock(save_reliability(found, folder), BY_HALVES, wide=True))
        tables.append(TableBlock(HEADER, reliability_rows(found), BY_HALVES))
    ranks = [(name, value) for name, value in correlate(judgement).items()]
    tables.append(
        TableBlock(("foretold by", "rank correlation"), ranks, "With the length of the force error.")
    )
    text = (
        f"Extrapolation grade: {fitted.thresholds}. Expected errors are last-layer Laplace deviations, "
        "that of the forces a proxy calibrated by species; docs/grade.md says what each is."
    )
    return Section("What the potential knows of its limits", text, figures, tables)


def reliability_rows(found: Mapping[str, Reliability]) -> list[tuple[Any, ...]]:
    """Rows below `HEADER`."""
    return [
        (
            name,
            r.within_one,
            r.within_two,
            r.negative_log_likelihood,
            r.negative_log_likelihood_uniform,
            r.num_errors,
        )
        for name, r in found.items()
    ]
