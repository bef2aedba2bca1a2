"""Is fine-tuning on 50 frames better than training from scratch on the same 50, and what is forgotten?

    python benchmarks/finetune.py                      # everything; some fifteen CPU-minutes
    python benchmarks/finetune.py --report             # only the table and the figure, from what is there

The given potential knows six of the seven kinds of structure of lipon_xtb (GFN1-xTB). It goes on with
the seventh ("new material"), or with the DFT frames of lipon_cp2k ("new level of theory"); see README.md.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import ase.io
import numpy as np
import torch
from accuracy_report import describe_machine
from ase import Atoms
from finetune_report import Record, write_results

from mlip.data.dataset import GraphDataset
from mlip.data.read import read_frames
from mlip.data.splits import split_frames
from mlip.deploy import Potential
from train.evaluate import evaluate_frames
from train.metrics import compute_errors

MATERIAL = "LiPON_var"
# Frames that validate and that test; the others train: 50 of the new material, 28 of the new theory.
HELD_OUT = {"old": (40, 60), "new material": (6, 15), "new level of theory": (4, 9)}
PARTS = ("train", "valid", "test")
NUMBERS = "r_max=4.0 num_layers=2 l_max=1 parity=false num_features=16 radial_mlp_width=32"
MODEL = [f"model.{number}" for number in NUMBERS.split()]
OLD = [*MODEL, "data.batch_size=4", "trainer.max_epochs=25", "trainer.patience=null"]
NEW = ["data.batch_size=1", "trainer.max_epochs=40", "trainer.patience=null"]
WAYS = {
    "from scratch": [*MODEL, "optimizer.lr=0.01"],
    "fine-tuned": ["init={work}/old/potential.mlip", "optimizer.lr=0.005"],
    "with replay": [
        "init={work}/old/potential.mlip",
        "optimizer.lr=0.005",
        "finetune.replay={work}/data/old_train.extxyz",
    ],
    "adapters of rank 4": [
        "init={work}/old/potential.mlip",
        "optimizer.lr=0.01",
        "finetune.lora_rank=4",
    ],
}


def main() -> None:
    arguments = parse_arguments()
    work: Path = arguments.work
    if not arguments.report:
        write_frames(work / "data")
        train(work, "old", work / "old", OLD)
    records = []
    for case in arguments.cases:
        for seed in arguments.seeds:
            for way in arguments.ways:
                folder = work / case.replace(" ", "_") / way.replace(" ", "_") / str(seed)
                if not arguments.report:
                    train(work, case, folder, [*NEW, *WAYS[way], f"seed={seed}"])
                if (folder / "potential.mlip").exists():
                    records.append({"case": case, "way": way, "seed": seed, **errors_of(folder, case, work)})
    given = {case: errors_of(work / "old", case, work) for case in arguments.cases}
    write_results(given, records, describe_machine(), arguments.results)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", nargs="+", choices=list(HELD_OUT)[1:], default=list(HELD_OUT)[1:])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--work", type=Path, default=Path("runs/finetune"), help="trainings are kept here")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--report", action="store_true", help="train nothing")
    return parser.parse_args()


def write_frames(folder: Path) -> None:
    """Frames of each case that train, validate and test, near-duplicates on one side."""
    if folder.exists():
        return
    folder.mkdir(parents=True)
    xtb = read_frames("dataset:lipon_xtb/lipon_gfn1.extxyz.xz")
    sets = {
        "old": [frame for frame in xtb if frame.info["config_type"] != MATERIAL],
        "new material": [frame for frame in xtb if frame.info["config_type"] == MATERIAL],
        "new level of theory": read_frames("dataset:lipon_cp2k/lipon_cp2k.extxyz"),
    }
    for case, frames in sets.items():
        for part, chosen in zip(PARTS, parts_of(frames, *HELD_OUT[case]), strict=True):
            ase.io.write(file_of(folder, case, part), chosen)


def parts_of(frames: Sequence[Atoms], num_valid: int, num_test: int) -> tuple[list[Atoms], ...]:
    split = split_frames(frames, num_valid=num_valid + num_test)
    held_out = np.random.default_rng(0).permutation(split.valid_indices)
    chosen = (split.train_indices, held_out[:num_valid], held_out[num_valid:])
    return tuple([frames[k] for k in indices] for indices in chosen)


def file_of(folder: Path, case: str, part: str) -> Path:
    return folder / f"{case.replace(' ', '_')}_{part}.extxyz"


def train(work: Path, case: str, folder: Path, settings: Sequence[str]) -> None:
    """Train by the command a user would give; a finished run returns at once."""
    files = [f"data.{part}={file_of(work / 'data', case, part)}" for part in PARTS]
    command = [sys.executable, "-m", "mlip.cli", "train", "device=cpu", f"run_dir={folder}", *files]
    subprocess.run([*command, *(each.format(work=work) for each in settings)], check=True)


def errors_of(folder: Path, case: str, work: Path) -> Record:
    """Errors in eV/atom and eV/A on the new test frames and, of forces, on the old ones.

    Energies of old frames are at another level once the shifts have moved, and so are those of new frames
    before.
    """
    new, old = (errors_on(folder, file_of(work / "data", each, "test")) for each in (case, "old"))
    return {
        "new_forces": new["forces"]["mae"],
        "new_energy": new["energy"]["mae"],
        "old_forces": old["forces"]["mae"],
    }


def errors_on(folder: Path, frames: Path) -> Record:
    potential = Potential.load(folder / "potential.mlip")
    cutoffs = potential.normalization.edge_cutoffs
    dataset = GraphDataset(read_frames(str(frames)), potential.config.r_max, potential.species, cutoffs)
    results = evaluate_frames(potential.force_field(), dataset, 5, torch.device("cpu"))
    return compute_errors(results)


if __name__ == "__main__":
    main()
