"""Tables and figure of `accuracy.py`: mean and spread over seeds, and where they were measured."""

import json
import math
import os
import platform
import statistics
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from accuracy_rows import REFERENCE, ROWS, TASKS
from matplotlib.axes import Axes

import train
from mlip.report.figures import new_panels, save_figure

VERSIONS = ("vitreous", "torch", "nequip", "e3nn", "lightning", "schedulefree")
MEASURES = ("energy_mae", "energy_rmse", "forces_mae", "forces_rmse")
COLUMNS = (
    "training",
    "seeds",
    "test energy MAE",
    "RMSE",
    "test force MAE",
    "RMSE",
    "energy ratio",
    "force ratio",
    "validation energy MAE",
    "force MAE",
    "CPU s",
)

Record = dict[str, Any]


def write_results(records: list[Record], folder: Path) -> None:
    """Write `accuracy.json`, `accuracy.md` and `accuracy.png` with its CSV."""
    folder.mkdir(parents=True, exist_ok=True)
    provenance = describe_machine()
    content = {"provenance": provenance, "records": records}
    (folder / "accuracy.json").write_text(json.dumps(content, indent=1) + "\n")
    lines = ["# Accuracy of the two trainers", "", *(f"- {k}: {v}" for k, v in provenance.items()), ""]
    for name in TASKS:
        lines += table_of(name, [record for record in records if record["set"] == name])
    (folder / "accuracy.md").write_text("\n".join(lines))
    save_dots(records, folder / "accuracy.png")


def describe_machine() -> dict[str, str]:
    """Date, commit, versions and hardware."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(train.__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    )
    found = {d.metadata["Name"]: d.version for d in metadata.distributions()}
    return {
        "date": time.strftime("%Y-%m-%d"),
        "commit": commit.stdout.strip(),
        "versions": ", ".join(f"{name} {found[name]}" for name in VERSIONS if name in found),
        "hardware": f"{processor()}, {os.cpu_count()} cores shared with other work, one thread per training",
        "python": platform.python_version(),
    }


def processor() -> str:
    """The model of the processor."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def table_of(name: str, records: list[Record]) -> list[str]:
    """Markdown of one data set: test and validation errors of every row that was run."""
    if not records:
        return []
    task = TASKS[name]
    num_train, num_valid, num_test = task.num_frames
    lines = [
        f"## {name}: {num_train} training, {num_valid} validation, {num_test} test frames",
        "",
        f"{task.epochs} epochs of {num_train // task.batch_size} steps, r_max {task.r_max} A. Mean +- "
        "standard deviation over the seeds, energies in meV/atom, forces in meV/A; ratios are geometric "
        f"means over the seeds of test MAE relative to '{ROWS[REFERENCE].label}' of the same seed.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "|" + len(COLUMNS) * "---|",
    ]
    reference = [record for record in records if record["row"] == REFERENCE]
    for row, content in ROWS.items():
        chosen = [record for record in records if record["row"] == row]
        if chosen:
            cells = [content.label, str(len(chosen)), *(spread(chosen, "test", m) for m in MEASURES)]
            cells += [ratio(chosen, reference, m) for m in ("energy_mae", "forces_mae")]
            cells += [spread(chosen, "valid", m) for m in ("energy_mae", "forces_mae")]
            cells.append(f"{statistics.mean(record['cpu_seconds'] for record in chosen):.0f}")
            lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def spread(records: list[Record], part: str, measure: str) -> str:
    """Mean +- standard deviation over seeds."""
    values = [record[part][measure] for record in records]
    mean = f"{statistics.mean(values):.{1 if measure.startswith('forces') else 2}f}"
    if len(values) == 1:
        return mean
    return f"{mean} +- {statistics.stdev(values):.{1 if measure.startswith('forces') else 2}f}"


def ratio(records: list[Record], reference: list[Record], measure: str) -> str:
    """Geometric mean over seeds of test errors over those of the reference; its error from 3 seeds on."""
    of_seed = {record["seed"]: record["test"][measure] for record in reference}
    logs = [
        math.log(record["test"][measure] / of_seed[record["seed"]])
        for record in records
        if record["seed"] in of_seed
    ]
    if not logs:
        return ""
    mean = math.exp(statistics.mean(logs))
    if len(logs) < 3:
        return f"{mean:.2f}"
    return f"{mean:.2f} +- {mean * statistics.stdev(logs) / len(logs) ** 0.5:.2f}"


def save_dots(records: list[Record], path: Path) -> None:
    """A dot per seed: test errors of every row on the data sets that nequip was trained on, too."""
    sets = [name for name in TASKS if any(r["set"] == name and r["row"] == "nequip" for r in records)]
    with new_panels(len(sets), 2, (9.6, 4.2 * len(sets))) as (figure, panels):
        for index, axes in enumerate(panels):
            draw_errors(axes, [r for r in records if r["set"] == sets[index // 2]], energy=index % 2 == 1)
            axes.set_title(sets[index // 2])
        table = {column: [record[column] for record in records] for column in ("set", "row", "seed")}
        table |= {f"test_{m}": [record["test"][m] for record in records] for m in MEASURES}
        save_figure(figure, path, table)


def draw_errors(axes: Axes, records: list[Record], energy: bool) -> None:
    """Test errors of one data set, energy or forces; nequip in a colour of its own."""
    rows = [row for row in ROWS if any(record["row"] == row for record in records)]
    for record in records:
        color = "C0" if ROWS[record["row"]].trainer == "ours" else "C1"
        error = record["test"]["energy_mae" if energy else "forces_mae"]
        axes.plot(error, rows.index(record["row"]), "o", color=color, markersize=4)
    axes.set_yticks(range(len(rows)), ["" if energy else ROWS[row].label for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(f"test MAE of {'energy (meV/atom)' if energy else 'forces (meV/A)'}")
