"""Table and figure of `finetune.py`: mean and spread over seeds, and the factors between the ways."""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlip.report.figures import new_panels, save_figure

Record = dict[str, Any]
MEASURES = {
    "new_forces_mae": "force MAE, new (meV/A)",
    "new_energy_mae": "energy MAE, new (meV/atom)",
    "old_forces_mae": "force MAE, old (meV/A)",
}
SCRATCH = "from scratch"


def write_results(
    given: Record, records: Sequence[Record], provenance: Mapping[str, str], folder: Path
) -> None:
    """Write `finetune.json`, `finetune.md` and `finetune.png` with its CSV."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"provenance": dict(provenance), "given": given, "records": list(records)}
    (folder / "finetune.json").write_text(json.dumps(content, indent=1) + "\n")
    lines = ["# Fine-tuning against training from scratch", ""]
    lines += [*(f"- {name}: {value}" for name, value in provenance.items()), ""]
    lines += [*table_of(given, records), "", *factors_of(records), ""]
    (folder / "finetune.md").write_text("\n".join(lines))
    save_dots(given, records, folder / "finetune.png")


def table_of(given: Record, records: Sequence[Record]) -> list[str]:
    """Rows of Markdown: mean +- standard deviation over seeds."""
    lines = [f"| | {' | '.join(MEASURES.values())} |", "|---|---|---|---|"]
    untouched = f"{1000 * given['new_forces_mae']:.1f} | another zero | {1000 * given['old_forces_mae']:.1f}"
    lines.append(f"| the given potential | {untouched} |")
    for way, rows in by_way(records).items():
        cells = [" +- ".join(f"{value:.1f}" for value in spread(rows, measure)) for measure in MEASURES]
        lines.append(f"| {way} | {' | '.join(cells)} |")
    return lines


def factors_of(records: Sequence[Record]) -> list[str]:
    """How many times less the errors of each way are than from scratch, seed by seed."""
    scratch = {record["seed"]: record for record in records if record["way"] == SCRATCH}
    lines = []
    for way, rows in by_way(records).items():
        if way != SCRATCH:
            for measure in ("new_forces_mae", "new_energy_mae"):
                factors = [scratch[row["seed"]][measure] / row[measure] for row in rows]
                said = f"{statistics.geometric_mean(factors):.2f} ({min(factors):.2f} to {max(factors):.2f})"
                lines.append(f"- {way}, {MEASURES[measure]}: {said} times less than from scratch")
    return lines


def by_way(records: Sequence[Record]) -> dict[str, list[Record]]:
    ways = dict.fromkeys(record["way"] for record in records)
    return {way: [record for record in records if record["way"] == way] for way in ways}


def spread(rows: Sequence[Record], measure: str) -> tuple[float, float]:
    """Mean and standard deviation in milli-units."""
    values = [1000 * row[measure] for row in rows]
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def save_dots(given: Record, records: Sequence[Record], path: Path) -> None:
    """A dot per training, a panel per measure; the given potential as a line where it can be compared."""
    ways = by_way(records)
    with new_panels(1, len(MEASURES), (4.0 * len(MEASURES), 3.4)) as (figure, panels):
        for (measure, label), axes in zip(MEASURES.items(), panels, strict=True):
            for place, rows in enumerate(ways.values()):
                axes.plot([place] * len(rows), [1000 * row[measure] for row in rows], "o")
            if measure != "new_energy_mae":
                axes.axhline(1000 * given[measure], color="0.5", linestyle="--", label="given potential")
                axes.legend()
            axes.set_xticks(range(len(ways)), [way.replace(" with", "\nwith") for way in ways])
            axes.set_ylabel(label)
            axes.set_ylim(bottom=0.0)
        table = {key: [record[key] for record in records] for key in records[0]}
        save_figure(figure, path, table)
