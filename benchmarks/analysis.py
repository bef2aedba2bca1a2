"""How fast is the analysis of trajectories, beside other libraries?

    pip install kinisi tidynamics
    python benchmarks/analysis.py

See benchmarks/README.md.
"""

import argparse
import json
import os
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from analysis_msd import measure_msd
from speed_machine import commit, describe_machine

LIBRARIES = ("numpy", "scipy", "kinisi", "MDAnalysis", "tidynamics")
COLUMNS = ("task", "engine", "ions", "frames", "wall (s)", "CPU (s)", "largest difference to ours")

Row = dict[str, Any]


def main() -> None:
    options = parse_options()
    rows = measure_msd(pairs(options.msd), pairs(options.msd_compared), options.turns)
    write_results(rows, options.results)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--msd", nargs="+", default=["10000x10000"], help="ions x frames, ours alone")
    parser.add_argument("--msd-compared", nargs="+", default=["200x1000"], help="ions x frames, all in turn")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    return parser.parse_args()


def pairs(sizes: Sequence[str]) -> list[tuple[int, int]]:
    """Ions and frames of "ions x frames"."""
    return [(int(ions), int(frames)) for ions, frames in (size.split("x") for size in sizes)]


def write_results(rows: Sequence[Row], folder: Path) -> None:
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES)
    provenance = describe_machine("cpu") | {
        "commit": commit(("md", "benchmarks/analysis*.py")),
        "versions": versions,
        "threads": str(len(os.sched_getaffinity(0))),
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "analysis.json").write_text(
        json.dumps({"provenance": provenance, "rows": rows}, indent=1) + "\n"
    )
    lines = ["# analysis.py", "", ", ".join(f"{key}: {value}" for key, value in provenance.items()), ""]
    lines += [f"| {' | '.join(COLUMNS)} |", "|" + len(COLUMNS) * "---|"]
    for row in rows:
        cells = [row["task"], row["engine"], row["ions"], row["frames"]]
        cells += [f"{row['wall_s']:.2f}", f"{row['cpu_s']:.2f}", f"{row['difference']:.1e}"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    (folder / "analysis.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
