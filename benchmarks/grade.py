"""Does the extrapolation grade rise with the distance from the training data, and does it foretell errors?

    python benchmarks/grade.py li_metal                 # shipped data; about two CPU-minutes
    python benchmarks/grade.py lips20 --data FOLDER     # medium_train.extxyz.xz of EGraFFBench lies there

Trains a small potential on a narrow part of a data set through `mlip train`, then judges held-out frames near
to it and far from it. Writes `results/grade_TASK.json`, `.csv` and `.png`; see docs/grade.md.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np
import torch
from ase import Atoms
from scipy.stats import pearsonr, spearmanr

from mlip.data.dataset import GraphDataset
from mlip.data.read import read_frames
from mlip.deploy import Potential
from mlip.report.figures import new_panels, save_figure
from train.evaluate import evaluate_frames
from train.judge import Judgement, judge
from train.metrics import FrameErrors
from train.reliability import compare
from train.thresholds import bin_by_grade

RESULTS = Path(__file__).parent / "results"
FRAMES_PER_SET = 14
BOXES = {
    "widths": 0.6,
    "patch_artist": True,
    "flierprops": {"markersize": 1.5},
    "medianprops": {"color": "0.1"},
}
POINTS = {"s": 2, "alpha": 0.35, "linewidths": 0, "rasterized": True}
MODEL = [
    "model.num_layers=2",
    "model.num_features=16",
    "model.l_max=2",
    "model.parity=false",
    "model.radial_mlp_width=32",
    "optimizer.lr=0.02",
    "optimizer.warmup_epochs=0.2",
    "data.batch_size=1",
    "device=cpu",
]


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


def kind_of_lithium(atoms: Atoms) -> str | None:
    """Temperature and density of a frame of lithium metal."""
    group = atoms.info["config_type"]
    if group in ("Elastic", "Surface"):
        return {"Elastic": None, "Surface": "surface"}[group]
    kelvin = re.search(r"at (\d+) K", atoms.info["description"]).group(1)
    shape = re.search("normal|expanded|shrunken|Vacancy", atoms.info["description"]).group()
    return f"{shape.lower()} {kelvin} K"


LITHIUM = [
    *("normal 300 K", "normal 408 K", "normal 680 K", "normal 907 K"),
    *("vacancy 300 K", "vacancy 907 K"),
    *("expanded 300 K", "expanded 408 K", "expanded 680 K", "expanded 907 K"),
    *("shrunken 300 K", "shrunken 408 K", "shrunken 680 K", "shrunken 907 K"),
    "surface",
]
TASKS = {
    "li_metal": Task(kind_of_lithium, ("normal 300 K", "normal 408 K"), (0.6, 0.2), LITHIUM, 60),
    "lips20": Task(
        lambda atoms: str(atoms.info["config_type"]),
        ("Li7P3S11", "gamma-Li3PS4", "Li2S"),
        (0.66, 0.14),
        None,
        12,
    ),
}


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(1)
    task = TASKS[arguments.task]
    folder = arguments.work / arguments.task
    write_parts(task, read_task(arguments), folder)
    if not (folder / "run" / "potential.mlip").exists():
        train(task, folder)
    potential = Potential.load(folder / "run" / "potential.mlip")
    cutoffs = potential.normalization.edge_cutoffs
    frames = read_frames(folder / "test.extxyz")
    dataset = GraphDataset(frames, potential.config.r_max, potential.species, cutoffs)
    results = evaluate_frames(potential.force_field(), dataset, 5, torch.device("cpu"))
    sets = [task.kind(atoms) for atoms in frames]
    judgement = judge(results, potential.uncertainty, potential.species)
    write_results(arguments.task, task, potential, sets, results, judgement)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--data", type=Path, help="folder of the data of lips20")
    parser.add_argument("--work", type=Path, default=Path("runs/grade"), help="where trainings are kept")
    return parser.parse_args()


def read_task(arguments: argparse.Namespace) -> list[Atoms]:
    if arguments.task == "li_metal":
        names = ["dataset:li_metal/train.extxyz.xz", "dataset:li_metal/test.extxyz.xz"]
        return [atoms for name in names for atoms in read_frames(name)]
    if arguments.data is None:
        sys.exit(
            "found no --data; expected the folder with medium_train.extxyz.xz, see datasets/lips20/card.md"
        )
    return read_frames(arguments.data / "medium_train.extxyz.xz")


def write_parts(task: Task, frames: Sequence[Atoms], folder: Path) -> None:
    """Trained sets fall into blocks in time: train, validate, judge; of each other set the end is judged."""
    parts: dict[str, list[Atoms]] = {"train": [], "valid": [], "test": []}
    sets: dict[str, list[Atoms]] = {}
    for atoms in frames:
        if task.kind(atoms) is not None:
            sets.setdefault(task.kind(atoms), []).append(atoms)
    for kind, members in sets.items():
        first, second = (round(sum(task.parts[:k]) * len(members)) for k in (1, 2))
        if kind in task.trained:
            parts["train"] += members[:first]
            parts["valid"] += members[first:second]
            members = members[second + 1 :]
        parts["test"] += members[-FRAMES_PER_SET:]
    folder.mkdir(parents=True, exist_ok=True)
    for name, chosen in parts.items():
        ase.io.write(folder / f"{name}.extxyz", chosen)


def train(task: Task, folder: Path) -> None:
    files = [f"data.{name}={folder / name}.extxyz" for name in ("train", "valid", "test")]
    command = [Path(sys.executable).with_name("mlip"), "train", *files, *MODEL]
    command += [f"trainer.max_epochs={task.epochs}", f"run_dir={folder / 'run'}"]
    subprocess.run(command, check=True)


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


if __name__ == "__main__":
    main()
