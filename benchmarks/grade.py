"""Does the extrapolation grade rise with the distance from the training data, and does it foretell errors?

    python benchmarks/grade.py li_metal                 # shipped data; a few CPU-minutes
    python benchmarks/grade.py lipon_xtb                # shipped data
    python benchmarks/grade.py lips20 --data FOLDER     # medium_train.extxyz.xz of EGraFFBench lies there

Trains a small potential on a narrow part of a data set through `mlip train`, then judges held-out frames near
to it and far from it. Writes `results/grade_TASK.json`, `.csv` and `.png`; see docs/grade.md.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import ase.io
import torch
from ase import Atoms
from grade_report import Task, write_results

from mlip.data.dataset import GraphDataset
from mlip.data.read import read_frames
from mlip.deploy import Potential
from train.evaluate import evaluate_frames
from train.judge import judge

FRAMES_PER_SET = 14
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
    # Run once, after every choice in the code had been made with the other two.
    "lipon_xtb": Task(
        lambda atoms: str(atoms.info["config_type"]), ("Li3PO4", "Li2PO2N"), (0.6, 0.2), None, 25
    ),
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
    if arguments.task == "lipon_xtb":
        return read_frames("dataset:lipon_xtb/lipon_gfn1.extxyz.xz")
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


if __name__ == "__main__":
    main()
