"""What training says of its result: lines in the log, the card in the potential, the report."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlip.report.html import FigureBlock, Highlight, Section, TableBlock, write_report

logger = logging.getLogger(__name__)

Row = tuple[str, str, float, float, float]


def error_rows(errors: Mapping[str, Any]) -> list[Row]:
    """Rows (what, unit, MAE, RMSE, max) of `errors.json`: overall, then by subset, then by species.

    Energies and forces in meV.
    """
    rows = _rows("", errors)
    if len(errors["by_subset"]) > 1:
        for name, subset in errors["by_subset"].items():
            rows += _rows(f", {name}", subset)
    for name, species in errors["by_species"].items():
        rows += _rows(f", {name}", species)
    return rows


def error_tables(errors: Mapping[str, Any]) -> list[TableBlock]:
    """Tables of `errors.json` for a report: all frames and species, then subsets where there are several."""
    whole = {**errors, "by_subset": {}}
    tables = [TableBlock(("quantity", "unit", "MAE", "RMSE", "max"), error_rows(whole))]
    if len(errors["by_subset"]) > 1:
        units = {"energy": "meV/atom", "forces": "meV/A", "stress": "meV/A^3"}
        shown = [(name, kind) for name in units if name in errors for kind in ("mae", "rmse")]
        header = ["subset", "frames", *(f"{name} {kind.upper()}" for name, kind in shown)]
        said = ", ".join(f"{name} in {unit}" for name, unit in units.items() if name in errors)
        rows = [
            [name, subset["num_frames"], *(_milli(subset, each, kind) for each, kind in shown)]
            for name, subset in errors["by_subset"].items()
        ]
        tables.append(TableBlock(header, rows, f"Errors by subset, the config_type of the frames: {said}."))
    return tables


def _milli(errors: Mapping[str, Any], quantity: str, kind: str) -> float | None:
    """An error in milli-units; None where nothing is labelled."""
    return 1000 * errors[quantity][kind] if quantity in errors else None


def _rows(suffix: str, errors: Mapping[str, Any]) -> list[Row]:
    rows = []
    for quantity in ("energy", "forces", "stress"):
        if quantity in errors:
            e = errors[quantity]
            values = (1000 * e["mae"], 1000 * e["rmse"], 1000 * e["max"])
            rows.append((f"{quantity}{suffix}", f"m{e['unit']}", *values))
    return rows


def log_errors(errors: Mapping[str, Any]) -> None:
    """Print the table of errors."""
    rows = error_rows(errors)
    width = max(len(row[0]) for row in rows)
    lines = [f"{'':<{width}}  {'MAE':>9} {'RMSE':>9} {'max':>9}"]
    lines += [
        f"{name:<{width}}  {mae:9.2f} {rmse:9.2f} {top:9.2f}  {unit}" for name, unit, mae, rmse, top in rows
    ]
    logger.info("errors on %d frames\n%s", errors["num_frames"], "\n".join(lines))


def pair_cutoff_rows(
    pair_cutoffs: Sequence[Sequence[float]], statistics: Mapping[str, Any]
) -> list[tuple[str, str, str]]:
    """Rows (pair, where its pair potential ends, shortest distance in the training data), in A."""
    species, seen = statistics["species"], statistics["shortest_distances"]
    rows = []
    for a in range(len(species)):
        for b in range(a, len(species)):
            pair = f"{species[a]}-{species[b]}"
            end = max(pair_cutoffs[a][b], pair_cutoffs[b][a])
            rows.append((pair, f"{end:.3f}", f"{seen[pair]:.3f}" if pair in seen else "none"))
    return rows


def log_pair_cutoffs(pair_cutoffs: Sequence[Sequence[float]], statistics: Mapping[str, Any]) -> None:
    """Print where the pair potential ends."""
    lines = [f"{'':<7} {'ends (A)':>9} {'data (A)':>9}"]
    lines += [f"{row[0]:<7} {row[1]:>9} {row[2]:>9}" for row in pair_cutoff_rows(pair_cutoffs, statistics)]
    logger.info("repulsion of pairs, and their shortest distances in the data\n%s", "\n".join(lines))


def write_card(
    settings: Mapping[str, Any],
    statistics: Mapping[str, Any],
    errors: Mapping[str, Any],
    trained_on_stress: bool,
    pair_cutoffs: Sequence[Sequence[float]] | None,
) -> str:
    """The card in the potential: what it is, what it learnt from, how good it is, where it must not be used.

    Args:
        settings: Name -> value of data, architecture and training.
        statistics: Of the training data.
        errors: As in `errors.json`.
        trained_on_stress: Whether stresses were in the loss.
        pair_cutoffs: (T, T) where the pair potential ends, A; None without one.

    Returns:
        Markdown.
    """
    lines = ["# Potential card", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in settings.items()]
    lines += [
        "",
        "## Errors on held-out frames",
        "",
        "| | unit | MAE | RMSE | max |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {n} | {u} | {mae:.2f} | {rmse:.2f} | {top:.2f} |" for n, u, mae, rmse, top in error_rows(errors)
    ]
    lines += ["", "## Statistics of the training data", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in statistics.items()]
    if pair_cutoffs is not None:
        lines += ["", "## Repulsion", ""]
        lines += ["| pair | repulsion ends at (A) | shortest distance in the data (A) |", "|---|---|---|"]
        lines += [
            f"| {pair} | {end} | {seen} |" for pair, end, seen in pair_cutoff_rows(pair_cutoffs, statistics)
        ]
    lines += ["", "## Limits", ""]
    lines.append("Valid near the structures, compositions and temperatures of the training data only.")
    if not trained_on_stress:
        lines.append(
            "No stress was in the training data: pressures and constant-pressure runs are extrapolations."
        )
    return "\n".join(lines) + "\n"


def gain_rows(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Row]:
    """Rows (what, unit, MAE before, MAE after, how many times less) of fine-tuning, in milli-units."""
    rows = []
    for (name, unit, old, *_), (_, _, new, *_) in zip(_rows("", before), _rows("", after), strict=True):
        rows.append((name, unit, old, new, old / max(new, 1e-12)))
    return rows


def describe_gain(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """What fine-tuning won, in one line."""
    return ", ".join(
        f"{name} MAE {old:.4g} -> {new:.4g} {unit} (factor {factor:.2f})"
        for name, unit, old, new, factor in gain_rows(before, after)
    )


def write_training_report(
    path: Path,
    settings: Mapping[str, Any],
    errors: Mapping[str, Any],
    curves: Path,
    parity: Sequence[Path],
    errors_before: Mapping[str, Any],
    uncertainty: Section,
) -> None:
    """Write `report.html` of a training run.

    Args:
        path: Of the file.
        settings: Name -> value of data, architecture and training.
        errors: As in `errors.json`.
        curves: Figure of the learning curves.
        parity: Figures of labels and predictions.
        errors_before: The errors before fine-tuning; empty for a training from scratch.
        uncertainty: The chapter on grade and expected errors.
    """
    e, f = errors["energy"], errors["forces"]
    highlights = [
        Highlight("force MAE", f"{1000 * f['mae']:.1f}", "meV/A", "held-out frames"),
        Highlight("energy MAE", f"{1000 * e['mae']:.2f}", "meV/atom", "held-out frames"),
    ]
    sections = [
        Section(
            "Accuracy on held-out frames",
            "Energies in the figure are less the mean label of their composition.",
            figures=[FigureBlock(p, f"Parity of {p.stem.removeprefix('parity_')}.") for p in parity],
            tables=error_tables(errors),
        ),
        Section(
            "Learning curves",
            figures=[FigureBlock(curves, "Root-mean-square errors of every epoch.", wide=True)],
        ),
        uncertainty,
        Section("Settings", tables=[TableBlock(("", ""), list(settings.items()))]),
    ]
    if errors_before:
        sections.insert(0, _gain_section(errors_before, errors))
    write_report(
        path, "Training report", "What was trained, on what, and how good it is.", sections, highlights
    )


def _gain_section(before: Mapping[str, Any], after: Mapping[str, Any]) -> Section:
    return Section(
        "What fine-tuning won",
        "Errors on the same held-out frames: of the given potential, its energy shifts refitted, and after.",
        tables=[
            TableBlock(("quantity", "unit", "MAE before", "MAE after", "factor"), gain_rows(before, after))
        ],
    )
