"""Does active choice beat random and even choice, at equal numbers of labels? And does the loop end?

    python benchmarks/active.py                       # hours on two cores
    python benchmarks/active.py --seeds 0 --test-ps 0.2 --explore-ps 1

`mlip learn` with GFN1-xTB (tblite) on beta-Li3PO4 at 1000 K, from rattled frames; then as many frames as it
labelled are drawn from the trajectories of its explorers at random, and evenly in time. All three sets train
anew with the same settings, and are judged on frames of dynamics by the labeler itself. Writes
`results/active.json` and `.png`.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import ase.io
import ase.units
import numpy as np
from active_report import write_results
from ase import Atoms
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution

from md.trajectory import Trajectory
from mlip.labelers.xtb import XtbLabeler

STRUCTURE = "dataset:crystals/Li3PO4_beta.extxyz"
TEMPERATURE_K = 1000.0
NUM_RATTLED = 24
MODEL = [
    "model.num_layers=2",
    "model.num_features=16",
    "model.l_max=2",
    "model.parity=false",
    "model.radial_mlp_width=32",
    "model.r_max=4.5",
    "model.pair_potential=zbl",
    "optimizer.lr=0.01",
    "trainer.max_epochs=150",
    "data.batch_size=2",
    "device=cpu",
]
FINETUNE = ["optimizer.lr=0.003", "trainer.max_epochs=60"]


def main() -> None:
    arguments = parse_arguments()
    work = arguments.work.resolve()
    test = make_test(work / "test", arguments.test_ps)
    rows = [row for seed in arguments.seeds for row in compare(work / f"seed_{seed}", seed, arguments, test)]
    write_results(rows, arguments.explore_ps)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("runs/active"), help="where everything is kept")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--explore-ps", type=float, default=5.0, help="to run without extrapolation")
    parser.add_argument("--test-ps", type=float, default=2.0, help="length of the labeler's own dynamics")
    return parser.parse_args()


def compare(folder: Path, seed: int, arguments: argparse.Namespace, test: Path) -> list[dict]:
    """One loop, and the two sets that are its rivals."""
    first = label_first(folder, seed)
    quoted = ",".join(json.dumps(word) for word in MODEL)
    again = ",".join(json.dumps(word) for word in FINETUNE)
    run_mlip(
        folder / "learn",
        *("learn", f"data={first}", f"structure={STRUCTURE}", f"explorer.temperature_K={TEMPERATURE_K}"),
        *(f"explorer.duration_ps={arguments.explore_ps}", "explorer.every_ps=0.01", f"seed={seed}"),
        *(f"train.overrides=[{quoted}]", f"train.finetune=[{again}]", "device=cpu", "workers=1"),
    )
    story = json.loads((folder / "learn" / "end.json").read_text())["reason"]
    chosen = sorted((folder / "learn").glob("generation_00[1-9]*/labelled.extxyz"))
    active = [atoms for file in chosen for atoms in ase.io.read(file, ":")]
    pool = explored_frames(folder / "learn")
    rng = np.random.default_rng(seed)
    picks = {
        "random": np.sort(rng.choice(len(pool), len(active), replace=False)),
        "even": np.linspace(0, len(pool) - 1, len(active)).round().astype(int),
    }
    sets = {"active": folder / "active.extxyz"}
    ase.io.write(sets["active"], active)
    for name, indices in picks.items():
        ase.io.write(folder / f"{name}.extxyz", [pool[index] for index in indices])
        sets[name] = label(folder / f"{name}_labels", folder / f"{name}.extxyz")
    return [
        {"seed": seed, "choice": name, "labels": len(active), "ended": story}
        | judge(folder / name, [first, file], test, seed)
        for name, file in sets.items()
    ]


def label_first(folder: Path, seed: int) -> Path:
    """Rattled crystals, labelled."""
    words = ["build", "builder=rattled", f"structure={STRUCTURE}", f"builder.count={NUM_RATTLED}"]
    run_mlip(folder / "rattled", *words, f"seed={seed}")
    return label(folder / "first", folder / "rattled" / "structures.extxyz")


def label(run_dir: Path, structures: Path) -> Path:
    """Labels of GFN1-xTB."""
    run_mlip(run_dir, "label", f"structures={structures}", "workers=1")
    return run_dir / "labelled.extxyz"


def explored_frames(loop: Path) -> list[Atoms]:
    """All stored frames of all explorers, in the order of the loop."""
    frames = []
    for file in sorted(loop.glob("generation_*/explorers/*/trajectory.h5")):
        with Trajectory(file) as trajectory:
            for number in range(len(trajectory)):
                atoms = trajectory.atoms(number)
                frames.append(Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc))
    return frames


def judge(run_dir: Path, data: list[Path], test: Path, seed: int) -> dict[str, float]:
    """Errors of a potential trained on some files, on the labeler's own dynamics."""
    files = ",".join(json.dumps(str(file)) for file in data)
    run_mlip(run_dir / "train", "train", f"data.train=[{files}]", f"seed={seed}", *MODEL)
    potential = run_dir / "train" / "potential.mlip"
    run_mlip(run_dir / "eval", "eval", f"potential={potential}", f"data={test}", "device=cpu")
    errors = json.loads((run_dir / "eval" / "errors.json").read_text())
    return {"force_rmse": errors["forces"]["rmse"], "energy_rmse": errors["energy"]["rmse"]}


def make_test(folder: Path, length_ps: float) -> Path:
    """Dynamics by the labeler, a frame every 20 fs after the first 0.1 ps."""
    file = folder / "labelled.extxyz"
    if file.exists():
        return file
    folder.mkdir(parents=True, exist_ok=True)
    atoms = ase.io.read(Path(__file__).parents[1] / "datasets" / STRUCTURE.removeprefix("dataset:"))
    labeler = XtbLabeler()
    atoms.calc = labeler.calculator(atoms, 0.0, folder)
    rng = np.random.default_rng(99)
    MaxwellBoltzmannDistribution(atoms, temperature_K=TEMPERATURE_K, rng=rng)
    dynamics = Langevin(
        atoms, ase.units.fs, temperature_K=TEMPERATURE_K, friction=0.01 / ase.units.fs, rng=rng
    )
    dynamics.run(100)
    frames = []
    for _ in range(round(length_ps * 50)):
        dynamics.run(20)
        frames.append(Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True))
    ase.io.write(folder / "frames.extxyz", frames)
    return label(folder, folder / "frames.extxyz")


def run_mlip(run_dir: Path, *words: str) -> None:
    """A command as a user gives it; finished ones return at once, killed ones go on."""
    command = [str(Path(sys.executable).with_name("mlip")), *words, f"run_dir={run_dir}"]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
