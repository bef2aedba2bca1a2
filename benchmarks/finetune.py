"""Is fine-tuning on 50 frames better than training from scratch on the same 50, and what is forgotten?

    python benchmarks/finetune.py --old medium_train.extxyz --old-valid valid.extxyz
    python benchmarks/finetune.py --report             # only the table and the figure, from what is there

The given potential is trained on lips20 (datasets/lips20/card.md says where to get it: CP2K, 16 kinds of
Li-P-S, hot). The new data are 50 frames of the shipped lips (VASP, one glassy crystal at 520 K): another code
and another temperature. Same frames, architecture, batches and epochs for all; see benchmarks/README.md.
"""

import argparse
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import ase.io
import torch
from accuracy_report import describe_machine
from ase import Atoms
from finetune_report import write_results

from mlip.data.dataset import GraphDataset
from mlip.data.read import read_frames
from mlip.data.splits import split_frames
from mlip.deploy import Potential
from train.evaluate import evaluate_frames
from train.metrics import compute_errors

NUM_NEW, NUM_VALID, NUM_TEST = 50, 10, 60
ARCHITECTURE = [
    "r_max=4.5",
    "num_layers=2",
    "l_max=1",
    "parity=false",
    "num_features=16",
    "radial_mlp_width=32",
]
MODEL = [f"model.{each}" for each in ARCHITECTURE]
OLD = ["trainer.max_epochs=12", "data.batch_size=4", *MODEL]
NEW = ["trainer.max_epochs=20", "data.batch_size=1", f"data.num_train={NUM_NEW}", "trainer.patience=null"]
WAYS = {
    "from scratch": [*MODEL, "optimizer.lr=0.02"],
    "fine-tuned": ["init={old}", "optimizer.lr=0.005"],
    "fine-tuned with replay": ["init={old}", "optimizer.lr=0.005", "finetune.replay={data}/old_train.extxyz"],
}


def main() -> None:
    arguments = parse_arguments()
    data = arguments.work / "data"
    if not arguments.report:
        write_frames(arguments.old, arguments.old_valid, data)
        old_files = [f"data.{part}={data}/old_{part}.extxyz" for part in ("train", "valid", "test")]
        train(arguments.work / "old", [*OLD, *old_files])
        for seed in arguments.seeds:
            for way, settings in WAYS.items():
                filled = [
                    each.format(old=arguments.work / "old/potential.mlip", data=data) for each in settings
                ]
                files = [f"data.{part}={data}/new_{part}.extxyz" for part in ("train", "valid", "test")]
                train(folder_of(arguments.work, way, seed), [*NEW, *filled, *files, f"seed={seed}"])
    records = [
        record_of(way, seed, folder_of(arguments.work, way, seed), data)
        for way in WAYS
        for seed in arguments.seeds
    ]
    given = record_of("given", 0, arguments.work / "old", data)
    write_results(given, records, describe_machine(), arguments.results)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--old", type=Path, help="training frames of lips20")
    parser.add_argument("--old-valid", type=Path, help="validation frames of lips20")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--work", type=Path, default=Path("runs/finetune"), help="trainings are kept here")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--report", action="store_true", help="train nothing")
    return parser.parse_args()


def write_frames(old: Path, old_valid: Path, folder: Path) -> None:
    """Old frames: a part of each kind of structure; new ones: near-duplicates on one side."""
    if folder.exists():
        return
    new = read_frames("dataset:lips/train_700.extxyz.xz")
    split = split_frames(new, num_valid=NUM_VALID + NUM_TEST)
    held_out = [new[k] for k in split.valid_indices]
    parts = {
        "old_train": every(read_frames(str(old)), 5, start=0),
        "old_valid": every(read_frames(str(old_valid)), 8, start=0),
        "old_test": every(read_frames(str(old_valid)), 5, start=2),
        "new_train": [new[k] for k in split.train_indices],
        "new_valid": held_out[:NUM_VALID],
        "new_test": held_out[NUM_VALID:],
    }
    folder.mkdir(parents=True)
    for name, frames in parts.items():
        ase.io.write(folder / f"{name}.extxyz", frames)


def every(frames: list[Atoms], step: int, start: int) -> list[Atoms]:
    """Every so many frames of each kind of structure."""
    kinds: dict[str, list[Atoms]] = defaultdict(list)
    for frame in frames:
        kinds[frame.info["config_type"]].append(frame)
    return [frame for kind in sorted(kinds) for frame in kinds[kind][start::step]]


def folder_of(work: Path, way: str, seed: int) -> Path:
    return work / way.replace(" ", "_") / str(seed)


def train(folder: Path, settings: list[str]) -> None:
    """Train by the command a user would give; a finished run returns at once."""
    command = [sys.executable, "-m", "mlip.cli", "train", "device=cpu", f"run_dir={folder}", *settings]
    subprocess.run(command, check=True)


def record_of(way: str, seed: int, folder: Path, data: Path) -> dict[str, object]:
    """Errors on the new and on the old test frames; energies of old frames are at another level."""
    new, old = (
        errors_on(folder / "potential.mlip", data / f"{which}_test.extxyz") for which in ("new", "old")
    )
    return {
        "way": way,
        "seed": seed,
        "new_forces_mae": new["forces"]["mae"],
        "new_energy_mae": new["energy"]["mae"],
        "old_forces_mae": old["forces"]["mae"],
    }


def errors_on(potential_file: Path, frames: Path) -> dict[str, dict[str, float]]:
    potential = Potential.load(potential_file)
    cutoffs = potential.normalization.edge_cutoffs
    dataset = GraphDataset(read_frames(str(frames)), potential.config.r_max, potential.species, cutoffs)
    results = evaluate_frames(potential.force_field(), dataset, 5, torch.device("cpu"))
    return compute_errors(results)


if __name__ == "__main__":
    main()
