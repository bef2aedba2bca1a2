"""Table and figure of `finetune.py`: mean and spread over seeds, and the factors between the ways."""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlip.report.figures import new_panels, save_figure

Record = dict[str, Any]
MEASURES = {
    "new_forces": "force MAE, new frames (meV/A)",
    "new_energy": "energy MAE, new frames (meV/atom)",
    "old_forces": "force MAE, old frames (meV/A)",
}
SCRATCH = "from scratch"


def write_results(
    given: Mapping[str, Record], records: Sequence[Record], provenance: Mapping[str, str], folder: Path
) -> None:
    """Write `finetune.json`, `finetune.md` and `finetune.png` with its CSV."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"provenance": dict(provenance), "given": dict(given), "records": list(records)}
    (folder / "finetune.json").write_text(json.dumps(content, indent=1) + "\n")
    lines = ["# Fine-tuning against training from scratch", ""]
    lines += [*(f"- {name}: {value}" for name, value in provenance.items()), ""]
    for case in given:
        lines += table_of(case, given[case], [record for record in records if record["case"] == case])
    (folder / "finetune.md").write_text("\n".join(lines))
    save_dots(given, records, folder / "finetune.png")


def table_of(case: str, given: Record, records: Sequence[Record]) -> list[str]:
    """Markdown of one case: mean +- standard deviation over seeds, then the factors."""
    lines = [f"## {case.capitalize()}", "", f"| | {' | '.join(MEASURES.values())} |", "|---|---|---|---|"]
    lines.append(f"| as given | {1000 * given['new_forces']:.1f} | | {1000 * given['old_forces']:.1f} |")
    for way, rows in by_way(records).items():
        cells = [" +- ".join(f"{value:.1f}" for value in spread(rows, measure)) for measure in MEASURES]
        lines.append(f"| {way} | {' | '.join(cells)} |")
    return [*lines, "", *factors_of(records), ""]


def factors_of(records: Sequence[Record]) -> list[str]:
    """How many times less the errors of each way are than from scratch: geometric mean, smallest, largest."""
    scratch = {record["seed"]: record for record in records if record["way"] == SCRATCH}
    lines = []
    for way, rows in by_way(records).items():
        if way != SCRATCH:
            for measure in ("new_forces", "new_energy"):
                factors = [scratch[row["seed"]][measure] / row[measure] for row in rows]
                said = f"{statistics.geometric_mean(factors):.2f} ({min(factors):.2f} to {max(factors):.2f})"
                lines.append(
                    f"- {way}: {MEASURES[measure].split(',')[0]} {said} times less than from scratch"
                )
    return lines


def by_way(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Records of each way of training."""
    ways = dict.fromkeys(record["way"] for record in records)
    return {way: [record for record in records if record["way"] == way] for way in ways}


def spread(rows: Sequence[Record], measure: str) -> tuple[float, float]:
    """Mean and standard deviation in milli-units."""
    values = [1000 * row[measure] for row in rows]
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def save_dots(given: Mapping[str, Record], records: Sequence[Record], path: Path) -> None:
    """A dot per training; a row of panels per case, a column per measure."""
    size = (4.0 * len(MEASURES), 3.4 * len(given))
    with new_panels(len(given), len(MEASURES), size) as (figure, panels):
        places = [(case, measure) for case in given for measure in MEASURES]
        for (case, measure), axes in zip(places, panels, strict=True):
            ways = by_way([record for record in records if record["case"] == case])
            for place, rows in enumerate(ways.values()):
                axes.plot([place] * len(rows), [1000 * row[measure] for row in rows], "o")
            if measure != "new_energy":  # the zero of energy is another
                axes.axhline(1000 * given[case][measure], color="0.5", linestyle="--", label="as given")
                axes.legend()
            axes.set_xticks(range(len(ways)), [way.replace(" ", "\n", 1) for way in ways])
            axes.set_ylabel(MEASURES[measure])
            axes.set_title(case)
            axes.set_ylim(bottom=0.0)
        save_figure(figure, path, {key: [record[key] for record in records] for key in records[0]})
