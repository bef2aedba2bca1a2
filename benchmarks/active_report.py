"""Table and figure of `active.py`."""

import json
from pathlib import Path

import numpy as np

from mlip.report.figures import new_axes, save_figure

RESULTS = Path(__file__).parent / "results"
CHOICES = ("active", "random", "even")


def write_results(rows: list[dict], explore_ps: float) -> None:
    """Write `results/active.json` and `.png`.

    Args:
        rows: Of each seed and choice: labels, why the loop ended, errors on the labeler's own dynamics.
        explore_ps: What the loop had to run, ps.
    """
    (RESULTS / "active.json").write_text(json.dumps({"explore_ps": explore_ps, "rows": rows}, indent=2))
    with new_axes("choice of frames", "force RMSE on the labeler's dynamics (meV/A)") as (figure, axes):
        for place, choice in enumerate(CHOICES):
            errors = [1000 * row["force_rmse"] for row in rows if row["choice"] == choice]
            axes.scatter([place] * len(errors), errors, s=30)
            axes.plot([place - 0.2, place + 0.2], [np.mean(errors)] * 2, color="0.3")
        axes.set_xticks(range(len(CHOICES)), CHOICES)
        axes.set_ylim(bottom=0)
        table = {key: [row[key] for row in rows] for key in ("seed", "choice", "labels", "force_rmse")}
        save_figure(figure, RESULTS / "active.png", table)
