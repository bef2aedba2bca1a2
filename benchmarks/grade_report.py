"""What `grade.py` found: numbers and figure."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from accuracy_report import describe_machine
from ase import Atoms
from scipy.stats import pearsonr, spearmanr

from mlip.deploy import Potential
from mlip.report.figures import new_panels, save_figure
from train.judge import Judgement, judge
from train.metrics import FrameErrors
from train.reliability import compare
from train.thresholds import bin_by_grade

RESULTS = Path(__file__).parent / "results"
BOXES = {
    "widths": 0.6,
    "patch_artist": True,
    "flierprops": {"markersize": 1.5},
    "medianprops": {"color": "0.1"},
}
POINTS = {"s": 2, "alpha": 0.35, "linewidths": 0, "rasterized": True}


@dataclass(frozen=True)
class Task:
    """What trains, and which sets are judged.

    Attributes:
        kind: The set to which a frame belongs; None leaves it out.
        trained: Sets that train; the others are only judged.
        parts: Of each trained set: how many frames train, how many after a gap validate; the last are judged.
        order: The sets from near to far, for the figure.
        epochs: Of the training.
    """

    kind: Callable[[Atoms], str | None]
    trained: Sequence[str]
    parts: tuple[float, float]
    order: Sequence[str] | None
    epochs: int


def write_results(
    name: str,
    task: Task,
    potential: Potential,
    sets: list[str],
    results: list[FrameErrors],
    judgement: Judgement,
) -> None:
    of_atom = np.repeat(sets, judgement.num_atoms)
    errors = judgement.force_error_lengths
    rows = {}
    for kind in task.order or dict.fromkeys(sets):
        chosen = of_atom == kind
        grades = judgement.grades[chosen]
        rows[kind] = {
            "trained": kind in task.trained,
            "atoms": int(chosen.sum()),
            "grade_median": float(np.median(grades)),
            "grade_99": float(np.quantile(grades, 0.99)),
            "grade_max": float(grades.max()),
            "force_uncertainty_median": float(np.median(judgement.force_deviations[chosen])),
            "force_rmse": float(np.sqrt(np.mean(errors[chosen] ** 2) / 3.0)),
            "energy_rmse": float(np.sqrt(np.mean(judgement.energy_errors[np.array(sets) == kind] ** 2))),
        }
    means = {column: [row[column] for row in rows.values()] for column in ("grade_median", "force_rmse")}
    known = potential.uncertainty
    summary = {
        "provenance": describe_machine(),
        "task": name,
        "trained_on": list(task.trained),
        "num_train": potential.data["num_train"],
        "select": known.select,
        "stop": known.stop,
        "thresholds": known.calibration["thresholds"],
        "by_atom": {
            "grade": correlations(judgement.grades, errors),
            "force_uncertainty": correlations(judgement.force_deviations, errors),
        },
        "by_set": correlations(np.array(means["grade_median"]), np.array(means["force_rmse"])),
        "by_frame": {
            "largest_grade_and_force_error": correlations(*largest_by_frame(judgement)),
            "energy_uncertainty": correlations(judgement.energy_deviations, np.abs(judgement.energy_errors)),
        },
        "reliability": reliabilities(task, potential, sets, results),
        "sets": rows,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"grade_{name}.json").write_text(json.dumps(summary, indent=1) + "\n")
    draw(name, rows, of_atom, judgement, known.select, known.stop)
    print(json.dumps({k: v for k, v in summary.items() if k != "reliability"}, indent=1))


def reliabilities(
    task: Task, potential: Potential, sets: list[str], results: list[FrameErrors]
) -> dict[str, dict[str, dict]]:
    """Of held-out frames of the sets trained on, and of all whose energy the training compositions determine.

    Zero of energy is a convention for compositions outside of the span of those trained on.
    """
    counts = np.array([[result.symbols.count(symbol) for symbol in potential.species] for result in results])
    is_near = np.isin(sets, list(task.trained))
    _, values, directions = np.linalg.svd(counts[is_near].astype(float), full_matrices=False)
    spanned = directions[values > 1e-6 * values[0]]
    is_spanned = np.linalg.norm(counts - counts @ spanned.T @ spanned, axis=1) < 1e-6 * counts.sum(axis=1)
    found = {}
    for name, chosen in (("sets trained on", is_near), ("compositions in their span", is_spanned)):
        part = [result for result, is_chosen in zip(results, chosen, strict=True) if is_chosen]
        judgement = judge(part, potential.uncertainty, potential.species)
        found[name] = {quantity: each.to_dict() for quantity, each in compare(judgement).items()}
        found[name]["sets"] = sorted(
            {kind for kind, is_chosen in zip(sets, chosen, strict=True) if is_chosen}
        )
    return found


def correlations(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Spearman's, and Pearson's of the logarithms."""
    logs = (np.log(np.maximum(array, 1e-6)) for array in (x, y))
    return {"spearman": float(spearmanr(x, y).statistic), "pearson_of_logs": float(pearsonr(*logs).statistic)}


def largest_by_frame(judgement: Judgement) -> tuple[np.ndarray, np.ndarray]:
    starts = np.concatenate([[0], np.cumsum(judgement.num_atoms)[:-1]])
    return tuple(
        np.maximum.reduceat(array, starts) for array in (judgement.grades, judgement.force_error_lengths)
    )


def draw(
    name: str, rows: dict[str, dict], of_atom: np.ndarray, judgement: Judgement, select: float, stop: float
) -> None:
    """Grades of each set; force error against grade, and against what the Laplace deviation expects."""
    order = list(rows) if name == "li_metal" else sorted(rows, key=lambda kind: rows[kind]["grade_median"])
    errors, grades = judgement.force_error_lengths, judgement.grades
    is_near = np.isin(of_atom, [kind for kind in rows if rows[kind]["trained"]])
    with new_panels(1, 3, (13.5, 4.6)) as (figure, (left, middle, right)):
        for place, kind in enumerate(order):
            values = grades[of_atom == kind]
            box = left.boxplot(values, positions=[place], orientation="horizontal", whis=(1, 99), **BOXES)
            box["boxes"][0].set_facecolor("C1" if rows[kind]["trained"] else "0.85")
        left.set_yticks(range(len(order)), order)
        left.set(xscale="log", xlabel="extrapolation grade (orange: trained on)")
        for axes, foretold in ((middle, grades), (right, 1000 * judgement.force_deviations)):
            for chosen, colour, label in ((~is_near, "C0", "other sets"), (is_near, "C1", "sets trained on")):
                axes.scatter(foretold[chosen], errors[chosen], color=colour, label=label, **POINTS)
            edges, bounds = bin_by_grade(foretold, errors)
            axes.plot(edges, bounds, color="0.1", drawstyle="steps-post", label="95 % of atoms below")
            rank = spearmanr(foretold, errors).statistic
            axes.set(xscale="log", yscale="log", title=f"Spearman {rank:.2f}")
        middle.set(xlabel="extrapolation grade", ylabel="error of the force (eV/A)")
        right.set(xlabel="expected error of a force component (meV/A)")
        for threshold, style, label in ((select, "--", "select"), (stop, ":", "stop")):
            for axes in (left, middle):
                axes.axvline(threshold, color="0.3", linestyle=style, linewidth=1.0, label=label)
        middle.legend(markerscale=4, fontsize="small")
        columns = {key: [row[key] for row in rows.values()] for key in next(iter(rows.values()))}
        save_figure(figure, RESULTS / f"grade_{name}.png", {"set": list(rows), **columns})
