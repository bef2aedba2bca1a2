"""Chapters on whether the loop was right: its grade by the errors that came, its potential by the gates."""

from pathlib import Path

from mlip.deploy.gates import GATES, read_record
from mlip.report.html import FigureBlock, Section, TableBlock
from mlip.workflows.learning.records import Generation
from train.grade_calibration import GradeCalibration, save_grade_calibration

_MOST_GENERATIONS = 7
# Below this the grade says too little of errors to be the only watch.
_WEAK_RANK_CORRELATION = 0.2
_CALIBRATION = (
    "New frames were judged by the potential that chose them, before they trained it: groups of atoms of "
    "similar grade, and the errors of their forces. Errors should rise with the grade, and be as expected."
)


def calibration_section(begun: list[Generation], folder: Path) -> Section | None:
    """Was the grade right, generation by generation; None before any label.

    Args:
        begun: Generations.
        folder: Where the figure goes.
    """
    found = calibrations(begun)
    if not found:
        return None
    shown = {f"generation {number}": found[number] for number in list(found)[-_MOST_GENERATIONS:]}
    figure = FigureBlock(
        save_grade_calibration(shown, folder),
        "Left: error against grade. Right: against what the last layer expected; grey: as large as expected.",
        wide=True,
    )
    rows = [
        (
            number,
            sum(group.num_atoms for group in each.groups),
            each.rank_of_grade,
            each.rank_of_deviation,
            each.missed,
            each.select,
        )
        for number, each in found.items()
    ]
    header = ("generation", "atoms", "errors with grade", "errors with expected error", "missed", "select")
    table = TableBlock(
        header,
        rows,
        "Rank correlations, over atoms; missed: share of the 5 % worst errors that were graded below select.",
    )
    return Section("Was the grade right?", _CALIBRATION, [figure], [table], warnings=_warnings(found))


def calibrations(begun: list[Generation]) -> dict[int, GradeCalibration]:
    """Of each generation that labelled frames, by its number."""
    records = {each.number: (each.read("label") or {}).get("before", {}) for each in begun}
    return {
        number: GradeCalibration.from_dict(record["calibration"])
        for number, record in records.items()
        if "calibration" in record
    }


def _warnings(found: dict[int, GradeCalibration]) -> list[str]:
    warnings = [f"In generation {number} {each.warning}." for number, each in found.items() if each.warning]
    weak = [
        str(number)
        for number, each in found.items()
        if each.rank_of_grade is not None and each.rank_of_grade < _WEAK_RANK_CORRELATION
    ]
    if weak:
        warnings.append(
            f"In generations {', '.join(weak)} the grade hardly foretold the errors of new frames (a rank "
            f"correlation below {_WEAK_RANK_CORRELATION:g}): have a second opinion, such as a committee."
        )
    return warnings


def gates_section(potential: Path) -> Section | None:
    """What the record beside the newest potential says; None where it was never tried."""
    record = read_record(potential)
    if not record:
        return None
    rows = [
        (name, "passed" if record[name]["passed"] else "FAILED", "; ".join(record[name]["advice"]))
        for name in GATES
        if name in record
    ]
    missing = [name for name in GATES if name not in record]
    said = f"Not tried: {', '.join(missing)}." if missing else ""
    return Section(
        "Gates of the newest potential", said, tables=[TableBlock(("gate", "", "what helps"), rows)]
    )
