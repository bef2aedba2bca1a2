"""How does LAMMPS with our pair style scale over MPI ranks, and what does it add to the bare model?

    python benchmarks/lammps_scaling.py
    python benchmarks/lammps_scaling.py --models 4x32 --atoms 1000 10000 --ranks 1 2

Each run is a process of its own, runs of different numbers of ranks in turn; medians of LAMMPS's own times of
loop, pair style and communication. Strong scaling: all ranks share the atoms; weak: each has as many. See
benchmarks/README.md.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from ase.io import write
from speed_machine import describe_machine
from speed_models import SPECIES, build_cell, random_potential

from mlip.data.graph import build_graph
from mlip.deploy import deploy_potential
from mlip.native.lammps_plugin import ensure_plugin

Row = dict[str, Any]

COLUMNS = (
    "model",
    "radial",
    "scaling",
    "ranks",
    "atoms",
    "us/atom/step",
    "pair, us/atom",
    "comm, us/atom",
    "to 1 rank",
    "pair to the bare model",
)
INPUT = """units metal
atom_modify map yes
read_data cell.data
pair_style {style}
pair_coeff * * model.nequip.pth {species}
velocity all create 300 7 loop geom
fix 1 all nve
timestep 0.001
thermo 100
run 2
run {steps}
"""


def main() -> None:
    options = parse_options()
    ensure_plugin()
    rows = []
    for model in options.models:
        for radial in options.radial:
            if radial == "table" and "allegro" in model:
                continue  # its radial functions see more than lengths
            folder = options.work / f"{model}-{radial}"
            deploy(model, radial, folder)
            for atoms in options.atoms:
                rows += measure(model, radial, folder, atoms, options)
                write_results(rows, options.results)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=["2x32"])
    parser.add_argument("--radial", nargs="+", choices=("exact", "table"), default=["exact", "table"])
    parser.add_argument("--atoms", nargs="+", type=int, default=[1000, 10000])
    parser.add_argument("--ranks", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path("runs/lammps_scaling"))
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    return parser.parse_args()


def deploy(model: str, radial: str, folder: Path) -> None:
    """A deployed model with random weights, unless it is there."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "model.nequip.pth").exists():
        return
    random_potential(model).save(folder / "model.mlip")
    deploy_potential(folder / "model.mlip", folder, device="cpu", radial=radial)


def measure(model: str, radial: str, folder: Path, atoms: int, options: argparse.Namespace) -> list[Row]:
    """Runs of all numbers of ranks in turn; strong scaling, then weak."""
    sizes = {("strong", ranks): atoms for ranks in options.ranks}
    sizes |= {("weak", ranks): atoms * ranks for ranks in options.ranks if ranks > 1}
    found: dict[tuple[str, int], list[Row]] = {key: [] for key in sizes}
    for _ in range(options.repeats):
        for (kind, ranks), size in sizes.items():
            found[kind, ranks].append(run_lammps(folder, size, ranks))
            print(model, radial, kind, ranks, found[kind, ranks][-1], flush=True)
    bare = bare_seconds(folder, atoms)
    rows = []
    for (kind, ranks), timings in found.items():
        row: Row = {"model": model, "radial": radial, "scaling": kind, "ranks": ranks}
        row |= {name: statistics.median(each[name] for each in timings) for name in timings[0]}
        rows.append(row | {"bare": bare if (kind, ranks) == ("strong", 1) else None})
    return rows


def run_lammps(folder: Path, atoms: int, ranks: int) -> Row:
    """Seconds a step of one run: all, in the pair style, and in LAMMPS's own communication."""
    cell = build_cell(atoms)
    write(folder / "cell.data", cell, format="lammps-data", specorder=list(SPECIES), masses=True)
    steps = max(3, round(20000 / len(cell)))
    style = "vitreous kernel cpp"
    (folder / "in.lmp").write_text(INPUT.format(style=style, species=" ".join(SPECIES), steps=steps))
    programs = Path(sys.executable).parent
    command = [
        str(programs / "mpiexec"),
        "-n",
        str(ranks),
        str(programs / "lmp"),
        "-in",
        "in.lmp",
        "-log",
        "none",
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stdout[-2000:] + done.stderr)
    last = done.stdout.rpartition("Loop time of ")[2]
    parts = {
        name: float(value) for name, value in re.findall(r"^(Pair|Comm) +\|[^|]+\| ([\d.e+-]+)", last, re.M)
    }
    whole = float(last.split()[0])
    return {
        "atoms": len(cell),
        "step": whole / steps,
        "pair": parts["Pair"] / steps,
        "comm": parts["Comm"] / steps,
    }


def bare_seconds(folder: Path, atoms: int) -> float:
    """Seconds of the deployed model alone, on one thread, its graph given."""
    from mlip.deploy.calculator import MLIPCalculator

    torch.set_num_threads(1)
    calculator = MLIPCalculator(folder / "model.nequip.pth", "cpu", kernel="cpp")
    graph = build_graph(build_cell(atoms), calculator.r_max, SPECIES)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        calculator.evaluate(graph)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def write_results(rows: list[Row], folder: Path) -> None:
    """Write `lammps_scaling.json` and `.md`."""
    machine = describe_machine("cpu")
    (folder / "lammps_scaling.json").write_text(
        json.dumps({"provenance": machine, "rows": rows}, indent=1) + "\n"
    )
    lines = ["# LAMMPS over MPI ranks", "", *(f"- {key}: {value}" for key, value in machine.items()), ""]
    lines += [f"| {' | '.join(COLUMNS)} |"]
    lines += ["|" + 10 * "---|"]
    for row in rows:
        one = next(
            r
            for r in rows
            if r["ranks"] == 1
            and all(r[k] == row[k] for k in ("model", "radial"))
            and r["atoms"] == (row["atoms"] if row["scaling"] == "strong" else r["atoms"])
            and (row["scaling"] == "strong" or abs(r["atoms"] * row["ranks"] / row["atoms"] - 1) < 0.2)
        )
        gain = one["step"] / row["step"] * (1 if row["scaling"] == "strong" else row["ranks"])
        overhead = f"{row['pair'] / row['bare']:.2f}" if row["bare"] else ""
        per_atom = [f"{1e6 * row[name] / row['atoms']:.1f}" for name in ("step", "pair", "comm")]
        cells = [row["model"], row["radial"], row["scaling"], str(row["ranks"]), str(row["atoms"]), *per_atom]
        lines.append(f"| {' | '.join([*cells, f'{gain:.2f}', overhead])} |")
    (folder / "lammps_scaling.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
