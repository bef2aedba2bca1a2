"""`report.html` of a loop: its growth, what it did not know, how wrong it was, and what it cost."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mlip.report.figures import new_axes, save_figure
from mlip.report.html import FigureBlock, Section, TableBlock, write_report
from mlip.workflows.learning.legs import read_legs
from mlip.workflows.learning.pictures import picture_selected
from mlip.workflows.learning.records import Generation, Record, generations
from mlip.workflows.learning.story import tell
from mlip.workflows.learning.verdicts import calibration_section, gates_section

INTRO = """Explorers ran dynamics until an atom was farther from the training data than the threshold stop; of
their frames those that enlarge the active set were labelled, and the potential was trained on."""


def write_loop_report(run_dir: Path) -> Path:
    """Write the report of all generations so far, in the place of an earlier one.

    Args:
        run_dir: Of the loop.

    Returns:
        The HTML file.
    """
    begun = generations(run_dir)
    folder = run_dir / "figures"
    figures = [_size_figure(begun, folder), _error_figure(begun, folder)]
    explored = [each for each in begun if each.read("explore")]
    if explored:
        figures += [_reach_figure(explored, folder), _grade_figure(explored, folder)]
    columns = ("generation", "explorer", "step", "atom", "element", "grade", "why")
    sections = [
        Section("Generations", figures=figures, tables=[_table(begun)]),
        calibration_section(begun, folder),
        Section(
            "What was selected, and why",
            figures=picture_selected(begun, folder),
            tables=[TableBlock(columns, _chosen(begun))],
        ),
        gates_section(run_dir / "potential.mlip"),
        Section("The reason for each step", "\n\n".join(tell(run_dir))),
    ]
    written = [section for section in sections if section is not None]
    return write_report(run_dir / "report.html", "Learning on the fly", INTRO, written)


@contextmanager
def _over_generations(ylabel: str) -> Iterator[tuple[Figure, Axes]]:
    with new_axes("generation", ylabel) as (figure, axes):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        yield figure, axes


def _record(generation: Generation, phase: str) -> Record:
    return generation.read(phase) or {}


def _size_figure(begun: list[Generation], folder: Path) -> FigureBlock:
    numbers = [each.number for each in begun]
    new = [_record(each, "label").get("labelled", 0) for each in begun]
    sizes = [sum(new[: k + 1]) for k in range(len(new))]
    with _over_generations("labelled frames") as (figure, axes):
        axes.step(numbers, sizes, where="mid", marker="o")
        axes.set_ylim(bottom=0)
        path = save_figure(figure, folder / "set_size.png", {"generation": numbers, "frames": sizes})
    return FigureBlock(path, "Labelled frames after each generation, held-out ones among them.")


def _error_figure(begun: list[Generation], folder: Path) -> FigureBlock:
    numbers = [each.number for each in begun]
    before = [_record(each, "label").get("before", {}).get("force_rmse") for each in begun]
    after = [_record(each, "train").get("errors", {}).get("forces", {}).get("rmse") for each in begun]
    with _over_generations("force RMSE (meV/A)") as (figure, axes):
        for values, name in ((before, "new frames, before training on them"), (after, "validation, after")):
            known = [(n, 1000 * value) for n, value in zip(numbers, values, strict=True) if value is not None]
            if known:
                axes.plot(*zip(*known, strict=True), marker="o", label=name)
        axes.set_yscale("log")
        axes.legend()
        table = {"generation": numbers, "new_frames_eV_A": before, "validation_eV_A": after}
        path = save_figure(figure, folder / "errors.png", table)
    return FigureBlock(
        path,
        "Errors on frames that were new, and on those held out, whose number grows.",
    )


def _reach_figure(explored: list[Generation], folder: Path) -> FigureBlock:
    rows = [
        (each.number, name, leg.from_ps, leg.known_ps)
        for each in explored
        for name, leg in read_legs(_record(each, "explore")).items()
    ]
    with _over_generations("time of the protocol (ps)") as (figure, axes):
        for name in dict.fromkeys(row[1] for row in rows):
            own = [row for row in rows if row[1] == name]
            axes.plot([row[0] for row in own], [row[3] for row in own], marker="o", label=name)
        axes.set_ylim(bottom=0)
        axes.legend()
        names = ("generation", "explorer", "from_ps", "known_ps")
        columns = {key: [row[k] for row in rows] for k, key in enumerate(names)}
        path = save_figure(figure, folder / "time_to_extrapolation.png", columns)
    return FigureBlock(path, "How far each explorer came before it met what the potential did not know.")


def _grade_figure(explored: list[Generation], folder: Path) -> FigureBlock:
    pairs = [
        (each.number, grade)
        for each in explored
        for grade in _record(each, "select").get("candidate_grades", ())
    ]
    with _over_generations("extrapolation grade of candidates") as (figure, axes):
        axes.scatter([pair[0] for pair in pairs], [pair[1] for pair in pairs], s=10, alpha=0.5)
        if pairs:
            axes.set_yscale("log")
        table = {"generation": [pair[0] for pair in pairs], "grade": [pair[1] for pair in pairs]}
        path = save_figure(figure, folder / "candidate_grades.png", table)
    return FigureBlock(path, "Highest grade in each frame above the threshold select, by the potential then.")


def _table(begun: list[Generation]) -> TableBlock:
    rows = []
    for each in begun:
        label, train, fitted = (_record(each, phase) for phase in ("label", "train", "deploy"))
        rows.append(
            (
                each.number,
                label.get("labelled"),
                label.get("failed"),
                label.get("core_seconds"),
                label.get("before", {}).get("calibration", {}).get("rank_of_grade"),
                train.get("start"),
                train.get("seconds"),
                fitted.get("select"),
                fitted.get("stop"),
            )
        )
    header = ("generation", "labelled", "failed", "labels (core-s)", "grade against error", "training from")
    return TableBlock(
        (*header, "training (s)", "select", "stop"),
        rows,
        "Grade against error: rank correlation over atoms of new frames, before training on them.",
    )


def _chosen(begun: list[Generation]) -> list[tuple[Any, ...]]:
    keys = ("explorer", "step", "atom", "element", "max_grade", "why")
    return [
        (each.number, *(said.get(key) for key in keys))
        for each in begun
        for said in _record(each, "select").get("chosen", ())
    ]
