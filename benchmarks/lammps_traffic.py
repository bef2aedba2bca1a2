"""What do LAMMPS ranks send each other with our pair style, and what would 10^6 atoms on many GPUs send?

    python benchmarks/lammps_traffic.py

The bytes of every message are counted between lmp and MPI (`mpi_traffic.c`), per step as the difference of a
long and a short run. They are compared with what ghosts, layers and rows of features say, and that formula,
which must hold, gives the projection. Times of the projection are no measurements. See benchmarks/README.md.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from ase.io import write
from lammps_scaling import INPUT, deploy
from speed_machine import describe_machine
from speed_models import DENSITY, SPECIES, build_cell, config_of

from mlip.native.builder import find_compiler
from mlip.native.lammps_plugin import ensure_plugin
from mlip.native.packages import mpi_include_dir

Row = dict[str, Any]
MODELS = ("2x32", "4x32", "4x64", "allegro 32")
RANKS = 8  # a box of 2 x 2 x 2: every ghost is another rank's atom
SKIN = 2.0  # A, LAMMPS's for units metal
DOUBLE = 8
STEPS = (5, 15)  # without a rebuild of the neighbor list in between
GPUS = (8, 64, 256)
ATOMS = 10**6
BANDWIDTH = 25e9  # bytes/s of a GPU, in and out at once: an assumption, one 200 Gbit/s port
LATENCY = 5e-6  # s of a message: an assumption
COMPUTE = (0.3e-6, 3e-6)  # s per atom and step of one GPU: assumptions


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--atoms", type=int, default=2600)
    parser.add_argument("--work", type=Path, default=Path("runs/lammps_scaling"))
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    ensure_plugin()
    counter = compile_counter(options.work)
    rows = [measure(model, options.atoms, options.work, counter) for model in options.models]
    write_results(rows, options.results)


def compile_counter(folder: Path) -> Path:
    """The library that counts messages."""
    folder.mkdir(parents=True, exist_ok=True)
    library = folder.resolve() / "mpi_traffic.so"
    source = Path(__file__).with_name("mpi_traffic.c")
    command = [str(find_compiler()), "-x", "c++", "-fpermissive", "-w", "-O2", "-shared", "-fPIC"]
    subprocess.run([*command, f"-I{mpi_include_dir()}", str(source), "-o", str(library)], check=True)
    return library


def measure(model: str, atoms: int, work: Path, counter: Path) -> Row:
    """Bytes and messages of a rank and a step, beside what the formula gives for its ghosts."""
    folder = work / f"{model}-exact"
    deploy(model, "exact", folder)
    shorter, longer = (run_lammps(folder, atoms, steps, counter) for steps in STEPS)
    span = STEPS[1] - STEPS[0]
    row = exchanges(folder / "model.nequip.pth") | {"model": model, "atoms": longer["atoms"]}
    row |= {key: (longer[key] - shorter[key]) / span for key in ("bytes", "messages")}
    row |= {"ghosts": longer["ghosts"]}
    row["expected"] = row["ghosts"] * bytes_of_ghost(row)
    print(row, flush=True)
    return row


def exchanges(file: Path) -> Row:
    """How often a deployed model exchanges features each way, and the bytes of the largest row."""
    entries = {"vitreous_layers": "", "vitreous_exchanged_bytes": ""}
    torch.jit.load(str(file), _extra_files=entries)
    row_bytes = int(entries["vitreous_exchanged_bytes"])
    return {"exchanges": int(entries["vitreous_layers"]) - 1 if row_bytes else 0, "row_bytes": row_bytes}


def bytes_of_ghost(row: Row) -> float:
    """Of one step: features there and gradients back, positions there and forces back.

    Rows travel in doubles, so an odd number of floats is rounded up.
    """
    doubles = -(-row["row_bytes"] // DOUBLE)
    return DOUBLE * (2 * row["exchanges"] * doubles + 3 + 3)


def run_lammps(folder: Path, atoms: int, steps: int, counter: Path) -> Row:
    """Totals of a run, means over its ranks."""
    cell = build_cell(atoms)
    write(folder / "cell.data", cell, format="lammps-data", specorder=list(SPECIES), masses=True)
    text = INPUT.format(style="vitreous kernel cpp", species=" ".join(SPECIES), steps=steps)
    (folder / "in.lmp").write_text(text.replace("thermo 100", "thermo 100\nneigh_modify every 1000 check no"))
    programs = Path(sys.executable).parent
    command = [str(programs / "mpiexec"), "-n", str(RANKS), "-genv", "LD_PRELOAD", str(counter)]
    command += [str(programs / "lmp"), "-in", "in.lmp", "-log", "none"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    counts = re.findall(r"MPI TRAFFIC (\d+) bytes (\d+) messages", done.stdout)
    if done.returncode != 0 or len(counts) != RANKS:
        raise SystemExit(done.stdout[-2000:] + done.stderr)
    ghosts = float(re.findall(r"^Nghost: +([\d.e+]+) ave", done.stdout, re.M)[-1])
    total = {"atoms": len(cell), "ghosts": ghosts}
    return total | {
        key: sum(int(each[column]) for each in counts) / RANKS
        for column, key in enumerate(("bytes", "messages"))
    }


def project(row: Row, gpus: int) -> Row:
    """A rank's share of 10^6 atoms: a cube and the ghosts around it, and what it sends in a step."""
    local = ATOMS / gpus
    length = (local / DENSITY) ** (1 / 3)
    reach = config_of(row["model"]).r_max + SKIN
    ghosts = DENSITY * ((length + 2 * reach) ** 3 - length**3)
    volume = ghosts * bytes_of_ghost(row)
    return {
        "local": local,
        "ghosts": ghosts,
        "bytes": volume,
        "seconds": volume / BANDWIDTH + row["messages"] * LATENCY,
    }


def write_results(rows: list[Row], folder: Path) -> None:
    """Write `lammps_traffic.json` and `.md`."""
    machine = describe_machine("cpu")
    (folder / "lammps_traffic.json").write_text(
        json.dumps({"provenance": machine, "rows": rows}, indent=1) + "\n"
    )
    lines = ["# What LAMMPS ranks send", "", *(f"- {key}: {value}" for key, value in machine.items()), ""]
    lines += [f"Measured: {RANKS} ranks, {rows[0]['atoms']} atoms, a rank and a step.", ""]
    lines += ["| model | exchanges each way | row, bytes | ghosts | MB sent | MB by the formula | messages |"]
    lines += ["|" + 7 * "---|"]
    for row in rows:
        cells = [row["model"], row["exchanges"], row["row_bytes"], f"{row['ghosts']:.0f}"]
        cells += [f"{row['bytes'] / 1e6:.3f}", f"{row['expected'] / 1e6:.3f}", f"{row['messages']:.0f}"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    lines += ["", *projection(rows)]
    (folder / "lammps_traffic.md").write_text("\n".join(lines) + "\n")


def projection(rows: list[Row]) -> list[str]:
    """The table of 10^6 atoms, as Markdown."""
    speeds = [f"{1e6 * seconds:g} us/atom" for seconds in COMPUTE]
    lines = [
        f"Projection to {ATOMS:.0e} atoms ({DENSITY} atoms/A^3), not measured: {BANDWIDTH / 1e9:g} GB/s a "
        f"GPU, {LATENCY * 1e6:g} us a message, nothing overlapped; the last columns are the share of "
        f"communication in a step if a GPU computes in {' or '.join(speeds)}.",
        "",
        f"| model | GPUs | atoms a GPU | ghosts | MB a step | ms a step | {' | '.join(speeds)} |",
        "|" + 8 * "---|",
    ]
    for row in rows:
        for gpus in GPUS:
            found = project(row, gpus)
            shares = [
                f"{found['seconds'] / (found['seconds'] + each * found['local']):.0%}" for each in COMPUTE
            ]
            cells = [row["model"], gpus, f"{found['local']:.0f}", f"{found['ghosts']:.0f}"]
            cells += [f"{found['bytes'] / 1e6:.1f}", f"{1e3 * found['seconds']:.2f}", *shares]
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


if __name__ == "__main__":
    main()
