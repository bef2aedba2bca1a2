"""Does active choice beat random and even choice, at equal numbers of labels?

    python benchmarks/active.py                       # an hour on a free core
    python benchmarks/active.py --pools mixed --seeds 0

`mlip learn` with GFN1-xTB (tblite) on beta-Li3PO4, from rattled frames; then as many frames as it labelled
are drawn from the trajectories of its explorers at random, and evenly in time. All three sets train anew with
the same settings, and are judged on dynamics by the labeler itself, at the temperatures of the explorers. Two
pools: `one` has one explorer at 1000 K; `mixed` has three, a cold crystal, a hot one and a melt. Everything
is kept in `--work`; the same command goes on. Writes `results/active.json`, `.md`, `.csv` and `.png`.
"""

import argparse
import csv
import json
import subprocess
from contextlib import suppress
from pathlib import Path

import ase.io
import numpy as np
from active_frames import STRUCTURE, explored_frames, label, label_first, make_test, quoted, run_mlip
from active_report import write_results

# Explorers of a pool: their temperatures in K.
POOLS = {"one": (1000,), "mixed": (300, 1000, 2500)}
EXPLORE_PS = 2.0
NUM_TEST = 16
MODEL = [
    "model.num_layers=2",
    "model.num_features=16",
    "model.l_max=2",
    "model.parity=false",
    "model.radial_mlp_width=32",
    "model.r_max=4.5",
    "model.pair_potential=zbl",
    "optimizer.lr=0.01",
    "trainer.max_epochs=100",
    "data.batch_size=2",
    "device=cpu",
]
FINETUNE = ["optimizer.lr=0.003", "trainer.max_epochs=40"]
LOOP = [
    "grade.select=1.5",
    "grade.stop=[5,4,3]",
    "budget.labels=24",
    "budget.per_generation=8",
    "budget.generations=6",
]


def main() -> None:
    arguments = parse_arguments()
    work = arguments.work.resolve()
    rows = []
    for pool in arguments.pools:
        tests = [make_test(work / "test" / str(kelvin), kelvin, NUM_TEST) for kelvin in POOLS[pool]]
        for seed in arguments.seeds:
            rows += compare(work / f"{pool}_{seed}", pool, seed, tests)
    write_results(rows)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("runs/active"), help="where everything is kept")
    parser.add_argument("--pools", nargs="+", choices=POOLS, default=list(POOLS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    return parser.parse_args()


def compare(folder: Path, pool: str, seed: int, tests: list[Path]) -> list[dict]:
    """One loop, and the two sets that are its rivals."""
    first = label_first(folder, seed)
    explorers = ",".join(f"at_{kelvin}:{{temperature_K:{kelvin}}}" for kelvin in POOLS[pool])
    run_mlip(
        folder / "learn",
        *("learn", f"data={first}", f"structure={STRUCTURE}", f"explorers={{{explorers}}}"),
        *(f"explorer.duration_ps={EXPLORE_PS}", "explorer.every_ps=0.01", f"seed={seed}", *LOOP),
        *(
            f"train.overrides={quoted(MODEL)}",
            f"train.finetune={quoted(FINETUNE)}",
            "device=cpu",
            "workers=1",
        ),
    )
    story = json.loads((folder / "learn" / "end.json").read_text())["reason"]
    chosen = sorted((folder / "learn").glob("generation_00[1-9]*/labelled.extxyz"))
    active = [atoms for file in chosen for atoms in ase.io.read(file, ":")]
    explored = explored_frames(folder / "learn")
    rng = np.random.default_rng(seed)
    picks = {
        "random": np.sort(rng.choice(len(explored), len(active), replace=False)),
        "even": np.linspace(0, len(explored) - 1, len(active)).round().astype(int),
    }
    sets = {"active": folder / "active.extxyz"}
    ase.io.write(sets["active"], active)
    for name, indices in picks.items():
        ase.io.write(folder / f"{name}.extxyz", [explored[index] for index in indices])
        sets[name] = label(folder / f"{name}_labels", folder / f"{name}.extxyz")
    said = {"pool": pool, "seed": seed, "explored": len(explored), "labels": len(active), "ended": story}
    return [
        said
        | {"choice": name, "largest_label_eV_A": largest_force(file)}
        | judge(folder / name, [first, file], tests, seed, max(POOLS[pool]))
        for name, file in sets.items()
    ]


def largest_force(file: Path) -> float:
    """Of all labels of a set, eV/A."""
    return max(float(np.linalg.norm(atoms.get_forces(), axis=1).max()) for atoms in ase.io.read(file, ":"))


def judge(folder: Path, data: list[Path], tests: list[Path], seed: int, hottest_K: float) -> dict:
    """Errors of a potential trained on some files, on the labeler's own dynamics; how long its own last."""
    run_mlip(folder / "train", "train", f"data.train={quoted(map(str, data))}", f"seed={seed}", *MODEL)
    potential = folder / "train" / "potential.mlip"
    files = quoted(map(str, tests))
    run_mlip(folder / "eval", "eval", f"potential={potential}", f"data={files}", "device=cpu")
    errors = json.loads((folder / "eval" / "errors.json").read_text())
    by_subset = {name: each["forces"]["rmse"] for name, each in errors["by_subset"].items()}
    lengths = force_error_lengths(folder / "eval" / "predictions.extxyz", tests)
    return {
        "force_rmse": errors["forces"]["rmse"],
        "force_rmse_by_temperature": by_subset,
        "force_error_99": float(np.quantile(lengths, 0.99)),
        "force_error_max": float(lengths.max()),
        "energy_rmse": errors["energy"]["rmse"],
        "stable_ps": stable_ps(folder / "md", potential, seed, hottest_K),
    }


def force_error_lengths(predictions: Path, tests: list[Path]) -> np.ndarray:
    """Of all atoms of the test, eV/A."""
    labels = [atoms for file in tests for atoms in ase.io.read(file, ":")]
    pairs = zip(labels, ase.io.read(predictions, ":"), strict=True)
    return np.concatenate([np.linalg.norm(a.get_forces() - b.get_forces(), axis=1) for a, b in pairs])


def stable_ps(run_dir: Path, potential: Path, seed: int, kelvin: float) -> float:
    """How long dynamics stay physical, whatever the grade says, ps; at most `EXPLORE_PS`."""
    words = [f"potential={potential}", f"structure={STRUCTURE}", "protocol=nvt", f"seed={1000 + seed}"]
    words += [f"protocol.nvt.temperature_K={kelvin}", f"protocol.nvt.duration_ps={EXPLORE_PS}"]
    words += ["protocol.nvt.every_ps=0.01", "grade.stop=null", "device=cpu"]
    with suppress(subprocess.CalledProcessError):  # dynamics that leave the physical regime end so
        run_mlip(run_dir, "md", *words)
    with (run_dir / "thermo.csv").open() as stream:
        return float(list(csv.DictReader(stream))[-1]["time_ps"])


if __name__ == "__main__":
    main()
