"""Does our training learn as well as nequip's? Both trainers on the same frames, numbers and budget.

    python benchmarks/accuracy.py                      # everything; forty CPU-minutes, one process at a time
    python benchmarks/accuracy.py --sets lips --rows nequip ours --seeds 0
    python benchmarks/accuracy.py --report             # only the tables and the figure, from what is there

Every finished training is kept in `--work` and not repeated. Both results are evaluated by one function
through ASE calculators; see benchmarks/README.md.
"""

import argparse
import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from accuracy_report import write_results
from accuracy_rows import PLAN, ROWS, TASKS, Row
from accuracy_trainers import Task, statistics_of, train_nequip, train_ours
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.calculators.singlepoint import SinglePointCalculator

from mlip.data.read import read_frames
from mlip.data.splits import split_frames
from mlip.interop.nequip import import_nequip

PARTS = ("train", "valid", "test")


def main() -> None:
    arguments = parse_arguments()
    records = []
    for name, row, seed in chosen(arguments):
        folder = arguments.work / name / row / str(seed)
        record = folder / "accuracy.json"
        if not record.exists() and not arguments.report:
            task = TASKS[name]
            frames = write_frames(task, arguments.work / name / "data")
            run_in_fork(train_and_evaluate, task, ROWS[row], frames, folder, seed)
        if record.exists():
            records.append(json.loads(record.read_text()))
            print(name, row, seed, json.dumps(records[-1]["test"]), flush=True)
    write_results(records, arguments.results)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="+", choices=TASKS, help="instead of the plan's")
    parser.add_argument("--rows", nargs="+", choices=ROWS, help="instead of the plan's")
    parser.add_argument("--seeds", nargs="+", type=int, help="instead of the plan's")
    parser.add_argument("--work", type=Path, default=Path("runs/accuracy"), help="trainings are kept here")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--report", action="store_true", help="train nothing")
    return parser.parse_args()


def chosen(arguments: argparse.Namespace) -> list[tuple[str, str, int]]:
    """Data set, row and seed of every training: the plan, or all combinations of what is asked for."""
    planned = [(name, row, seed) for name, rows, seeds in PLAN for row in rows for seed in seeds]
    if not (arguments.sets or arguments.rows or arguments.seeds):
        return planned
    sets, rows, seeds = arguments.sets or TASKS, arguments.rows or ROWS, arguments.seeds or (0, 1, 2)
    return [(name, row, seed) for name in sets for seed in seeds for row in rows]


def write_frames(task: Task, folder: Path) -> dict[str, list[Atoms]]:
    """Frames that train, validate and test, near-duplicates on one side; energy and forces only."""
    folder = folder.resolve()
    if not folder.exists():
        num_train, num_valid, num_test = task.num_frames
        frames = read_frames(task.file)
        order = np.random.default_rng(0).permutation(len(frames))
        split = split_frames([frames[k] for k in order], num_valid=num_valid + num_test)
        chosen = order[np.concatenate([split.train_indices[:num_train], split.valid_indices])]
        folder.mkdir(parents=True)
        for part, indices in zip(PARTS, np.split(chosen, [num_train, num_train + num_valid]), strict=True):
            ase.io.write(folder / f"{part}.extxyz", [energy_and_forces(frames[k]) for k in indices])
    return {part: read_frames(str(folder / f"{part}.extxyz")) for part in PARTS}


def energy_and_forces(frame: Atoms) -> Atoms:
    """The frame with these two labels and nothing else."""
    bare = Atoms(frame.numbers, frame.positions, cell=frame.cell, pbc=frame.pbc)
    bare.calc = SinglePointCalculator(bare, energy=frame.get_potential_energy(), forces=frame.get_forces())
    return bare


def run_in_fork(function: Callable[..., None], *arguments: Any) -> None:
    """Call in a process of its own that has all imports already; raise if it fails."""
    process = multiprocessing.get_context("fork").Process(target=function, args=arguments)
    process.start()
    process.join()
    if process.exitcode != 0:
        raise SystemExit(f"a training failed: see output.txt in {arguments[3]}")


def train_and_evaluate(task: Task, row: Row, frames: dict[str, list[Atoms]], folder: Path, seed: int) -> None:
    """Train one row and write its errors on validation and test frames to `accuracy.json`."""
    folder = folder.resolve()
    data = folder.parent.parent / "data"
    if row.trainer == "nequip":
        statistics = statistics_of(frames["train"], task)
        checkpoint = train_nequip(task, data, folder, seed, statistics, row.changes)
        import_nequip(checkpoint).save(folder / "potential.mlip")
        calculator = nequip_calculator(checkpoint)
    else:
        calculator = our_calculator(train_ours(task, data, folder, seed, row.changes, row.same_order))
    errors = {part: errors_of(calculator, frames[part]) for part in ("valid", "test")}
    if row.trainer == "nequip":
        require_same(errors["test"], errors_of(our_calculator(folder / "potential.mlip"), frames["test"]))
    seconds = float((folder / "seconds.txt").read_text())
    record = {"set": task.name, "row": folder.parent.name, "seed": seed, "cpu_seconds": seconds, **errors}
    (folder / "accuracy.json").write_text(json.dumps(record, indent=1))


def nequip_calculator(checkpoint: Path) -> Calculator:
    """nequip's own, with the averaged weights of the checkpoint."""
    from nequip.integrations.ase import NequIPCalculator

    return NequIPCalculator._from_saved_model(checkpoint, device="cpu")


def our_calculator(potential: Path) -> Calculator:
    from mlip.deploy import MLIPCalculator

    return MLIPCalculator(potential, device="cpu")


def errors_of(calculator: Calculator, frames: list[Atoms]) -> dict[str, float]:
    """Mean absolute and root-mean-square errors, meV/atom and meV/A; forces count components."""
    energy, forces = [], []
    for frame in frames:
        copy = frame.copy()
        copy.calc = calculator
        energy.append((copy.get_potential_energy() - frame.get_potential_energy()) / len(frame))
        forces.append((copy.get_forces() - frame.get_forces()).ravel())
    return {
        f"{quantity}_{measure}": 1000 * float(value)
        for quantity, errors in (("energy", np.array(energy)), ("forces", np.concatenate(forces)))
        for measure, value in (("mae", np.abs(errors).mean()), ("rmse", np.sqrt(np.square(errors).mean())))
    }


def require_same(theirs: dict[str, float], ours: dict[str, float]) -> None:
    """Both evaluators must find the same errors of the same weights, to float32."""
    for measure, value in theirs.items():
        if abs(ours[measure] / value - 1.0) > 2e-4:
            raise SystemExit(f"{measure}: nequip's calculator says {value}, ours {ours[measure]}")


if __name__ == "__main__":
    main()
