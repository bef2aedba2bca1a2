"""How fast is the analysis of trajectories, beside other libraries?

    pip install kinisi tidynamics freud-analysis ovito
    python benchmarks/analysis.py

See benchmarks/README.md.
"""

import argparse
import json
import os
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from analysis_msd import measure_msd
from analysis_rdf import measure_rdf
from analysis_turns import Row
from speed_machine import commit, describe_machine

LIBRARIES = ("numpy", "scipy", "kinisi", "freud-analysis", "MDAnalysis", "tidynamics", "ovito")
COLUMNS = ("task", "engine", "atoms", "frames", "wall (s)", "CPU (s)", "largest difference to ours")


def main() -> None:
    options = parse_options()
    measures = {
        "MSD": lambda: measure_msd(pairs(options.msd), pairs(options.msd_compared), options.turns),
        "g(r)": lambda: measure_rdf(pairs(options.rdf), pairs(options.rdf_compared), options.turns),
    }
    for task in options.tasks:
        write_results(task, measures[task](), options.results)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--msd", nargs="+", default=["10000x10000"], help="ions x frames, ours alone")
    parser.add_argument("--msd-compared", nargs="+", default=["200x1000"], help="ions x frames, all in turn")
    parser.add_argument("--rdf", nargs="+", default=["100000x100"], help="atoms x frames, ours alone")
    parser.add_argument("--rdf-compared", nargs="+", default=["20000x5"], help="atoms x frames, all in turn")
    parser.add_argument("--tasks", nargs="+", choices=("MSD", "g(r)"), default=["MSD", "g(r)"])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    return parser.parse_args()


def pairs(sizes: Sequence[str]) -> list[tuple[int, int]]:
    """Ions and frames of "ions x frames"."""
    return [(int(ions), int(frames)) for ions, frames in (size.split("x") for size in sizes)]


def write_results(task: str, rows: Sequence[Row], folder: Path) -> None:
    """Put the rows of a task in the place of its earlier ones; those of others stay."""
    file = folder / "analysis.json"
    found = json.loads(file.read_text()) if file.exists() else {"provenance": {}, "rows": []}
    found["provenance"][task] = describe_machine("cpu") | {
        "commit": commit(("md", "benchmarks/analysis*.py")),
        "versions": ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES),
        "threads": str(len(os.sched_getaffinity(0))),
    }
    found["rows"] = [row for row in found["rows"] if row["task"] != task] + list(rows)
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(found, indent=1) + "\n")
    (folder / "analysis.md").write_text(table(found) + "\n")


def table(found: dict) -> str:
    """What was found, as a page."""
    lines = ["# analysis.py", ""]
    for task, provenance in found["provenance"].items():
        lines += [f"{task}: {', '.join(f'{key}: {value}' for key, value in provenance.items())}", ""]
    lines += [f"| {' | '.join(COLUMNS)} |", "|" + len(COLUMNS) * "---|"]
    for row in found["rows"]:
        cells = [row["task"], row["engine"], row["atoms"], row["frames"]]
        cells += [f"{row['wall_s']:.2f}", f"{row['cpu_s']:.2f}", f"{row['difference']:.1e}"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
