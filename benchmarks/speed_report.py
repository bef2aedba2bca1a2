"""Tables of `speed.py`: times, ratios, memory, agreement, and how near the machine's limits they are."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from speed_figure import save_figure_of

Row = dict[str, Any]
BASELINE = "nequip compiled"
COLUMNS = (
    "model",
    "atoms",
    "engine",
    "us/atom",
    "times nequip compiled",
    "times nequip",
    "difference of forces",
    "kB/atom",
    "GFLOP/s",
    "of matmul",
    "GB/s",
    "of copy",
)


def write_results(rows: Sequence[Row], machine: Mapping[str, str], folder: Path, device: str) -> None:
    """Write `speed.json`, `speed.md` and `speed.png` with its CSV; for a GPU `speed_cuda`."""
    folder.mkdir(parents=True, exist_ok=True)
    name = "speed" if device == "cpu" else f"speed_{device}"
    kept = [{key: value for key, value in row.items() if key not in ("records", "limits")} for row in rows]
    content = json.dumps({"provenance": dict(machine), "rows": kept}, indent=1)
    (folder / f"{name}.json").write_text(content + "\n")
    lines = ["# Speed", "", *(f"- {key}: {value}" for key, value in machine.items())]
    lines += [*limits_of_machine(rows), *failures_of(rows), ""]
    for task in ("inference", "training"):
        for threads in sorted({row["threads"] for row in chosen(rows, "time")}):
            lines += table_of(rows, task, threads, device)
    lines += [*batches_of(rows), *largest_of(rows)]
    (folder / f"{name}.md").write_text("\n".join(lines).rstrip() + "\n")
    save_figure_of(rows, folder / f"{name}.png", device)


def chosen(rows: Sequence[Row], job: str, **wanted: Any) -> list[Row]:
    """Rows of a job whose entries are as wanted."""
    wanted["job"] = job
    return [row for row in rows if all(row.get(name) == value for name, value in wanted.items())]


def seconds_of(row: Row, engine: str) -> float:
    """Seconds of a step: the process's on one thread of a CPU, the wall's or the GPU's else."""
    clock = "cpu" if row["threads"] == 1 and row["device"] == "cpu" else "wall"
    return float(row["timings"][engine][clock])


def limits_of_machine(rows: Sequence[Row]) -> list[str]:
    return [
        f"- {threads_of(row['threads'])}: matmul {row['flops_per_second'] / 1e9:.0f} GFLOP/s (float32), "
        f"copy {row['bytes_per_second'] / 1e9:.1f} GB/s (read and written)"
        for row in chosen(rows, "machine")
    ]


def threads_of(count: int) -> str:
    return f"{count} thread{'s' * (count > 1)}"


def failures_of(rows: Sequence[Row]) -> list[str]:
    """What could not be measured, and why."""
    said = [
        f"- not measured: {row['model']}, {row['task']}, {row['atoms']} atoms, {engine}: {why}"
        for row in rows
        for engine, why in row.get("skipped", {}).items()
    ]
    return list(dict.fromkeys(said))


def table_of(rows: Sequence[Row], task: str, threads: int, device: str) -> list[str]:
    """Markdown: a line per model, number of atoms and engine."""
    measured = chosen(rows, "time", task=task, threads=threads)
    if not measured:
        return []
    clock = "process time" if device == "cpu" and threads == 1 else "wall time"
    lines = [f"## {task.capitalize()}, {threads_of(threads)} ({clock})", ""]
    lines += [f"| {' | '.join(COLUMNS)} |", "|" + len(COLUMNS) * "---|"]
    for row in measured:
        limits = next(iter(chosen(rows, "machine", threads=threads)), None)
        lines += [f"| {' | '.join(cells_of(rows, row, engine, limits))} |" for engine in row["timings"]]
    return [*lines, ""]


def cells_of(rows: Sequence[Row], row: Row, engine: str, limits: Row | None) -> list[str]:
    """One line of a table, as `COLUMNS` says."""
    timing, seconds = row["timings"][engine], seconds_of(row, engine)
    memory = chosen(rows, "memory", model=row["model"], task=row["task"], engines=[engine])
    per_atom = [f"{found['bytes_per_atom'] / 1e3:.0f}" for found in memory if "bytes_per_atom" in found]
    speeds = timing["flops"] / seconds, timing["bytes"] / seconds
    shares = ["", ""]
    if limits:
        known = limits["flops_per_second"], limits["bytes_per_second"]
        shares = [f"{100 * speed / limit:.0f} %" for speed, limit in zip(speeds, known, strict=True)]
    return [
        row["model"],
        str(row["num_atoms"]),
        engine,
        f"{1e6 * seconds / row['num_atoms']:.4g}",
        *(ratio_of(row, engine, baseline) for baseline in (BASELINE, "nequip")),
        f"{timing['force_difference']:.0e}" if timing["compared_with"] != engine else "0",
        "".join(per_atom[-1:]),
        f"{speeds[0] / 1e9:.1f}",
        shares[0],
        f"{speeds[1] / 1e9:.1f}",
        shares[1],
    ]


def ratio_of(row: Row, engine: str, baseline: str) -> str:
    """How many times as fast as a baseline."""
    if baseline not in row["timings"]:
        return ""
    return f"{seconds_of(row, baseline) / seconds_of(row, engine):.2f}"


def batches_of(rows: Sequence[Row]) -> list[str]:
    """64 structures of 64 atoms in one step, against one after the other."""
    lines = []
    for row in chosen(rows, "batch"):
        for engine in row["engines"]:
            if f"{engine}, together" in row["timings"]:
                apart = seconds_of(row, f"{engine}, one after the other")
                together = seconds_of(row, f"{engine}, together")
                lines.append(
                    f"- {row['model']}, {engine}: {1e3 * together:.1f} ms together, {1e3 * apart:.1f} ms one "
                    f"after the other: {apart / together:.2f} times as fast"
                )
    return ["## 64 structures of 64 atoms, inference", "", *lines, ""] if lines else []


def largest_of(rows: Sequence[Row]) -> list[str]:
    """The largest structure that fits, by powers of two."""
    found = chosen(rows, "largest")
    lines = [f"- {row['model']}, {row['engines'][0]}: {row['largest']} atoms" for row in found]
    return ["## Largest structure that fits, inference", "", *lines, ""] if lines else []
