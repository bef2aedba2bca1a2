"""Table and figure of `subcells.py`."""

import json
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from speed_machine import describe_machine

from mlip.report.figures import new_panels, save_figure
from mlip.report.style import WIDE

RESULTS = Path(__file__).parent / "results"
HEADER = ("pieces", "vacuum, A", "buffer, A", "cut", "atoms", "RMS", "95 %", "largest", "to the forces")
DEPTHS_A = np.arange(0.0, 6.1, 1.0)


def write_results(rows: list[dict], whole_rms: float) -> None:
    """Write `results/subcells.json`, `.md`, `.csv` and `.png`.

    Args:
        rows: Of each piece: how it was cut, and of its atoms whether they are in the box, the length of the
            error of the force (eV/A) and the depth below the surface (A).
        whole_rms: Root mean square length of the forces in the whole glass, eV/A.
    """
    machine = describe_machine("cpu")
    content = {"provenance": machine, "whole_force_rms": whole_rms, "rows": rows}
    (RESULTS / "subcells.json").write_text(json.dumps(content) + "\n")
    table = [summary(rows, *kind, whole_rms) for kind in kinds(rows)]
    lines = [
        "# Forces in pieces of a glass",
        "",
        *(f"- {key}: {value}" for key, value in machine.items()),
        "",
    ]
    lines += [f"Lengths of force errors, eV/A, on the atoms of the box; forces have {whole_rms:.2f} RMS.", ""]
    lines += ["| " + " | ".join(HEADER) + " |", "|" + "---|" * len(HEADER)]
    lines += ["| " + " | ".join(str(cell) for cell in row.values()) + " |" for row in table]
    (RESULTS / "subcells.md").write_text("\n".join(lines) + "\n")
    with new_panels(1, 2, WIDE) as (figure, (margins, depths)):
        draw_margins(margins, table)
        draw_depths(depths, rows)
        columns = {key: [row[key] for row in table] for key in table[0]}
        save_figure(figure, RESULTS / "subcells.png", columns)
    (RESULTS / "subcells.svg").unlink()


def kinds(rows: list[dict]) -> list[tuple[str, float, float]]:
    """Ways, pads and buffers that there are, in order."""
    return list(dict.fromkeys((row["way"], row["pad_A"], row["buffer_A"]) for row in rows))


def summary(rows: list[dict], way: str, pad_A: float, buffer_A: float, whole_rms: float) -> dict:
    """A row of the table."""
    own = [row for row in rows if (row["way"], row["pad_A"], row["buffer_A"]) == (way, pad_A, buffer_A)]
    errors = np.concatenate([np.array(row["errors"])[row["core"]] for row in own])
    known = errors[np.isfinite(errors)]
    rms = float(np.sqrt(np.mean(known**2))) if len(known) else np.nan
    return {
        "pieces": f"{sum(np.isfinite(row['errors']).all() for row in own)} of {len(own)}",
        "pad_A": pad_A,
        "buffer_A": buffer_A,
        "way": way,
        "atoms": round(np.mean([row["atoms"] for row in own])),
        "rms_eV_A": round(rms, 3),
        "quantile_95": round(float(np.quantile(known, 0.95)), 3) if len(known) else np.nan,
        "largest": round(float(known.max()), 3) if len(known) else np.nan,
        "to_forces": round(rms / whole_rms, 2),
    }


def draw_margins(axes: Axes, table: list[dict]) -> None:
    """Errors against the buffer, and against vacuum alone."""
    for number, way in enumerate(dict.fromkeys(row["way"] for row in table)):
        own = [row for row in table if row["way"] == way]
        buffers = [row for row in own if row["pad_A"] == min(each["pad_A"] for each in own)]
        pads = [row for row in own if row["buffer_A"] == 0.0]
        for rows, key, line in ((buffers, "buffer_A", "o-"), (pads, "pad_A", "s:")):
            points = [row[key] for row in rows], [row["rms_eV_A"] for row in rows]
            axes.plot(*points, line, color=f"C{number}", label=way if key == "buffer_A" else None)
    axes.set_xlabel("buffer (circles) or vacuum alone (squares), A")
    axes.set_ylabel("RMS error of forces in the box, eV/A")
    axes.set_yscale("log")
    axes.legend()


def draw_depths(axes: Axes, rows: list[dict]) -> None:
    """Errors of all atoms of the pieces with a buffer, by their depth."""
    for number, way in enumerate(dict.fromkeys(row["way"] for row in rows)):
        own = [row for row in rows if row["way"] == way and row["buffer_A"] > 0]
        errors = np.concatenate([row["errors"] for row in own])
        places = np.digitize(np.concatenate([row["depths_A"] for row in own]), DEPTHS_A) - 1
        middles, found = [], []
        for place in range(len(DEPTHS_A) - 1):
            here = errors[(places == place) & np.isfinite(errors)]
            if len(here) >= 5:
                middles.append(DEPTHS_A[place : place + 2].mean())
                found.append(np.sqrt(np.mean(here**2)))
        axes.plot(middles, found, "o-", color=f"C{number}", label=way)
    axes.set_xlabel("depth below the surface of the piece, A")
    axes.set_ylabel("RMS error of forces, eV/A")
    axes.set_yscale("log")
