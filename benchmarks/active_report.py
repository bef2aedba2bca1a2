"""Tables and figure of `active.py`."""

import json
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from speed_machine import describe_machine

from mlip.report.figures import new_panels, save_figure
from mlip.report.style import WIDE

RESULTS = Path(__file__).parent / "results"
CHOICES = ("active", "random", "even")
MEASURES = ("force_rmse", "force_error_99", "force_error_max", "energy_rmse", "stable_ps")
NAMES = ("force RMSE, eV/A", "99 %, eV/A", "largest, eV/A", "energy RMSE, eV/atom", "stable, ps")


def write_results(rows: list[dict]) -> None:
    """Write `results/active.json`, `.md`, `.csv` and `.png`.

    Args:
        rows: Of each pool, seed and choice: labels, why the loop ended, errors on the labeler's own dynamics.
    """
    machine = describe_machine("cpu")
    (RESULTS / "active.json").write_text(json.dumps({"provenance": machine, "rows": rows}, indent=1) + "\n")
    lines = ["# Active, random and even choice", "", *(f"- {key}: {value}" for key, value in machine.items())]
    for pool in dict.fromkeys(row["pool"] for row in rows):
        own = [row for row in rows if row["pool"] == pool]
        lines += ["", f"## Pool `{pool}`", "", "Mean over seeds, and standard deviation.", ""]
        lines += [*table_of_choices(own), "", *table_of_seeds(own)]
    (RESULTS / "active.md").write_text("\n".join(lines) + "\n")
    pools = list(dict.fromkeys(row["pool"] for row in rows))
    with new_panels(1, len(pools) + 1, WIDE) as (figure, panels):
        for axes, pool in zip(panels, pools, strict=False):
            draw_subsets(axes, [row for row in rows if row["pool"] == pool])
            axes.set_title(f"pool: {pool}")
        draw_tails(panels[-1], rows)
        columns = {key: [row[key] for row in rows] for key in ("pool", "seed", "choice", "labels", *MEASURES)}
        save_figure(figure, RESULTS / "active.png", columns)
    (RESULTS / "active.svg").unlink()


def table_of_choices(rows: list[dict]) -> list[str]:
    """Means, and the ratio to the active choice of the same seed."""
    lines = [f"| choice | {' | '.join(NAMES)} | RMSE to that of active |", "|" + "---|" * (len(NAMES) + 2)]
    active = {row["seed"]: row["force_rmse"] for row in rows if row["choice"] == "active"}
    for choice in CHOICES:
        own = [row for row in rows if row["choice"] == choice]
        cells = [spread([row[key] for row in own]) for key in MEASURES]
        ratios = [row["force_rmse"] / active[row["seed"]] for row in own]
        lines.append(f"| {choice} | {' | '.join(cells)} | {spread(ratios)} |")
    return lines


def table_of_seeds(rows: list[dict]) -> list[str]:
    """Each seed, by the temperature of the test."""
    subsets = temperatures(rows)
    lines = [f"| seed | choice | labels | of frames | largest label, eV/A | {' | '.join(subsets)} |"]
    lines.append("|" + "---|" * (5 + len(subsets)))
    for row in rows:
        errors = " | ".join(f"{row['force_rmse_by_temperature'][name]:.3f}" for name in subsets)
        said = f"{row['seed']} | {row['choice']} | {row['labels']} | {row['explored']}"
        lines.append(f"| {said} | {row['largest_label_eV_A']:.1f} | {errors} |")
    return lines


def temperatures(rows: list[dict]) -> list[str]:
    """Parts of the test, the coldest first."""
    return sorted(rows[0]["force_rmse_by_temperature"], key=lambda name: float(name.split()[0]))


def spread(values: list[float]) -> str:
    """Mean and standard deviation."""
    deviation = np.std(values, ddof=1) if len(values) > 1 else np.nan
    return f"{np.mean(values):.3f} +- {deviation:.3f}"


def draw_subsets(axes: Axes, rows: list[dict]) -> None:
    """Errors on each part of the test; a dot a seed, a bar their mean."""
    subsets = temperatures(rows)
    for number, choice in enumerate(CHOICES):
        own = [row["force_rmse_by_temperature"] for row in rows if row["choice"] == choice]
        for place, name in enumerate(subsets):
            errors, at = [each[name] for each in own], place + 0.25 * (number - 1)
            axes.scatter([at] * len(errors), errors, s=18, color=f"C{number}")
            label = choice if place == 0 else None
            axes.plot([at - 0.1, at + 0.1], [np.mean(errors)] * 2, color=f"C{number}", label=label)
    axes.set_xticks(range(len(subsets)), subsets)
    axes.set_xlabel("dynamics of the labeler at")
    axes.set_ylabel("force RMSE, eV/A")
    axes.set_ylim(bottom=0)
    axes.legend()


def draw_tails(axes: Axes, rows: list[dict]) -> None:
    """The worst atoms of all of the test."""
    for number, choice in enumerate(CHOICES):
        own = [row for row in rows if row["choice"] == choice]
        tails = [row["force_error_99"] for row in own]
        axes.scatter([number] * len(own), tails, s=18, color=f"C{number}")
        axes.plot([number - 0.2, number + 0.2], [np.mean(tails)] * 2, color=f"C{number}")
    axes.set_xticks(range(len(CHOICES)), CHOICES)
    axes.set_xlabel("choice of frames")
    axes.set_ylabel("99 % quantile of force errors, eV/A")
    axes.set_ylim(bottom=0)
