"""Figure of `speed.py`: times of all engines, how cost grows, and the roofline."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from speed_models import MODELS

from mlip.report.figures import new_panels, save_figure
from mlip.report.style import PALETTE

Row = dict[str, Any]

COLORS = {
    "nequip": PALETTE[6],
    "nequip compiled": PALETTE[1],
    "nequip accelerated": PALETTE[3],
    "reference": PALETTE[5],
    "compiled": PALETTE[4],
    "cpp": PALETTE[0],
    "cpp table": PALETTE[2],
    "triton": PALETTE[0],
    "triton table": PALETTE[2],
}
MARKERS = {"inference": "o", "training": "s"}


def save_figure_of(rows: Sequence[Row], path: Path, device: str) -> None:
    """Save `speed.png`, and every timing behind it as CSV."""
    table = flat(rows)
    if not table:
        return
    with new_panels(2, 3, (13.5, 7.6)) as (figure, axes):
        for task, panel in zip(("inference", "training"), axes[:2], strict=True):
            draw_bars(panel, table, task)
        draw_roofline(axes[2], table, rows)
        of_one = [line for line in table if line["threads"] == 1]
        draw_growth(axes[3], [line for line in of_one if line["model"] == "4x32"], "num_atoms", "atoms")
        growth = [line for line in of_one if line["job"] == "growth" and line["num_atoms"] == 128]
        cutoffs = [line for line in growth if differs_in(line["model"], "r_max")]
        draw_growth(axes[4], cutoffs, "neighbors", "neighbors per atom")
        draw_shapes(axes[5], growth)
        save_figure(figure, path, {name: [line[name] for line in table] for name in table[0]})


def flat(rows: Sequence[Row]) -> list[Row]:
    """A line per timing, one of each engine at each size: later ones count."""
    lines = {}
    for row in (row for row in rows if row["job"] in ("time", "growth")):
        for engine, timing in row["timings"].items():
            clock = "cpu" if row["threads"] == 1 and row["device"] == "cpu" else "wall"
            names = ("job", "model", "task", "threads", "num_atoms")
            line = {name: row[name] for name in names} | {"engine": engine}
            line["neighbors"] = row["num_edges"] / row["num_atoms"]
            line["us_per_atom"] = 1e6 * timing[clock] / row["num_atoms"]
            line["gflop_per_s"] = timing["flops"] / timing[clock] / 1e9
            line["gb_per_s"] = timing["bytes"] / timing[clock] / 1e9
            line["force_difference"] = timing["force_difference"]
            lines[(*line.values(),)[:6]] = line
    return list(lines.values())


def draw_bars(axes: Axes, table: Sequence[Row], task: str) -> None:
    """Times of each engine at the largest size that all engines of the model did; one thread, then more."""
    lines = [line for line in table if line["job"] == "time" and line["task"] == task]
    groups = list(dict.fromkeys((line["model"], line["threads"]) for line in lines))
    engines = [e for e in COLORS if any(line["engine"] == e for line in lines)]
    width = 0.8 / max(1, len(engines))
    for place, (model, threads) in enumerate(groups):
        group = [line for line in lines if (line["model"], line["threads"]) == (model, threads)]
        size = largest_shared(group)
        for line in (line for line in group if line["num_atoms"] == size):
            index = engines.index(line["engine"])
            at = place + (index - 0.5 * (len(engines) - 1)) * width
            label = line["engine"] if place == 0 else None
            axes.bar(at, line["us_per_atom"], width, color=COLORS[line["engine"]], label=label)
    axes.set_yscale("log")
    labels = [model if t == 1 else f"{model}, {t} threads" for model, t in groups]
    axes.set_xticks(range(len(groups)), labels, rotation=30, ha="right", fontsize=7)
    axes.set_ylabel("time (us/atom)")
    axes.set_title(f"{task}")
    if lines:
        low, high = axes.get_ylim()
        axes.set_ylim(low, 4.0 * high)  # room for the legend
        axes.legend(fontsize=7, ncols=2, loc="upper left")


def largest_shared(group: Sequence[Row]) -> int:
    """The largest number of atoms at which the most engines were measured."""
    counts: dict[int, int] = {}
    for line in group:
        counts[line["num_atoms"]] = counts.get(line["num_atoms"], 0) + 1
    return max(counts, key=lambda size: (counts[size], size))


def differs_in(model: str, number: str) -> bool:
    """Whether a model is 4x32 but for one number."""
    return {**MODELS[model], number: None} == {**MODELS["4x32"], number: None}


def draw_growth(axes: Axes, lines: Sequence[Row], by: str, label: str) -> None:
    """Time per atom of one thread against a number, log-log; a line per engine and task."""
    for (engine, task), points in grouped(lines).items():
        times = {line[by]: line["us_per_atom"] for line in points}
        draw_line(axes, engine, task, *zip(*sorted(times.items()), strict=True))
    axes.set_xscale("log")
    axes.set_yscale("log")
    places = spread({line[by] for line in lines})
    axes.set_xticks(places, [f"{place:.0f}" for place in places], minor=False)
    axes.minorticks_off()
    axes.set_xlabel(label)
    axes.set_ylabel("time (us/atom)")
    axes.set_title("4x32; circles inference, squares training")


def spread(places: Iterable[float]) -> list[float]:
    """Of places nearer to each other than their labels are wide on a logarithmic axis, the first."""
    kept: list[float] = []
    for place in sorted(places):
        if not kept or place > 1.2 * kept[-1]:
            kept.append(place)
    return kept


def grouped(lines: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    """Lines of each engine and task."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for line in lines:
        groups.setdefault((line["engine"], line["task"]), []).append(line)
    return groups


def draw_line(axes: Axes, engine: str, task: str, x: Sequence[float], y: Sequence[float]) -> None:
    style = "-" if task == "inference" else "--"
    axes.plot(x, y, style, marker=MARKERS[task], markersize=4, color=COLORS[engine])


def draw_shapes(axes: Axes, growth: Sequence[Row]) -> None:
    """Time per atom against l_max, and against channels, of models that are 4x32 else; side by side."""
    places = {"4x32 l1": 0, "4x32": 1, "4x32 l3": 2}, {"4x16": 3.5, "4x32": 4.5, "4x64": 5.5}
    for models in places:
        for (engine, task), lines in grouped([line for line in growth if line["model"] in models]).items():
            points = sorted({(models[line["model"]], line["us_per_atom"]) for line in lines})
            draw_line(axes, engine, task, *zip(*points, strict=True))
    axes.set_yscale("log")
    labels = ("1", "2\nl_max", "3", "16", "32\nchannels", "64")
    axes.set_xticks([0, 1, 2, 3.5, 4.5, 5.5], labels)
    axes.set_ylabel("time (us/atom)")
    axes.set_title("4 layers; circles inference, squares training")


def draw_roofline(axes: Axes, table: Sequence[Row], rows: Sequence[Row]) -> None:
    """Achieved GFLOP/s against operations per byte, below what matmul and copy reach on one thread."""
    machine = next((row for row in rows if row["job"] == "machine" and row["threads"] == 1), None)
    lines = [
        line for line in table if line["job"] == "time" and line["threads"] == 1 and line["gb_per_s"] > 0
    ]
    for line in lines:
        intensity = line["gflop_per_s"] / line["gb_per_s"]
        axes.plot(
            intensity, line["gflop_per_s"], MARKERS[line["task"]], markersize=4, color=COLORS[line["engine"]]
        )
    if machine and lines:
        reach = np.geomspace(1.0, 100.0, 50)
        roof = np.minimum(machine["flops_per_second"], reach * machine["bytes_per_second"]) / 1e9
        axes.plot(reach, roof, color="0.3", linewidth=1.0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("operations per byte, counted (FLOP/B)")
    axes.set_ylabel("achieved (GFLOP/s)")
    axes.set_title("roofline: matmul and copy, one thread")
