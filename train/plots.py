"""Figures of training: learning curves and parity plots. They draw; nothing is computed here but ranges."""

import csv
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase.formula import Formula
from matplotlib import colormaps
from matplotlib.axes import Axes

from mlip.report.figures import new_axes, new_panels, save_figure
from train.metrics import UNITS, FrameErrors, whole_frames

LABELS = {"energy": "energy", "forces": "force component", "stress": "stress component"}
# Of the map tab10; more subsets than colours are not told apart.
_MOST_COLOURS = 10


def read_metrics(path: Path) -> dict[str, list[float]]:
    """Columns of `metrics.csv`."""
    with path.open() as stream:
        rows = list(csv.DictReader(stream))
    return {name: [float(row[name]) for row in rows] for name in rows[0]} if rows else {}


def save_learning_curves(metrics: dict[str, list[float]], folder: Path) -> Path:
    """Root-mean-square errors of every epoch, as `learning_curves.png` and `.csv`."""
    quantities = [q for q in UNITS if f"valid/{q}_rmse" in metrics]
    with new_panels(1, len(quantities), (4.2 * len(quantities), 3.4)) as (figure, panels):
        for quantity, axes in zip(quantities, panels, strict=True):
            unit = "eV/atom" if quantity == "stress" else UNITS[quantity]
            for stage, name in (("train", "training"), ("valid", "validation (averaged weights)")):
                if f"{stage}/{quantity}_rmse" in metrics:
                    axes.plot(
                        metrics["epoch"], 1000 * np.array(metrics[f"{stage}/{quantity}_rmse"]), label=name
                    )
            axes.set_yscale("log")
            axes.set_xlabel("epoch")
            quantity_name = "virial per atom" if quantity == "stress" else quantity
            axes.set_ylabel(f"RMSE of {quantity_name} (m{unit})")
        panels[0].legend()
        return save_figure(figure, folder / "learning_curves.png", metrics)


def save_parity(results: Sequence[FrameErrors], folder: Path) -> list[Path]:
    """One parity plot per labelled quantity, a colour a subset: `parity_<quantity>.png` and `.csv`.

    Energies are less the mean label of their composition, in meV/atom: compositions lie tens of eV apart.
    """
    means = _mean_energies(results)
    paths = []
    for quantity, unit in UNITS.items():
        labelled = [r for r in results if getattr(r, quantity) is not None]
        if not labelled:
            continue
        pairs = [getattr(r, quantity) for r in labelled]
        name = LABELS[quantity]
        if quantity == "energy":
            pairs = [
                1000 * (pair - means.get(_composition(r), np.nan))
                for r, pair in zip(labelled, pairs, strict=True)
            ]
            name, unit = "energy - mean", f"m{unit}"
        label, prediction = (np.concatenate([np.ravel(pair[side]) for pair in pairs]) for side in (0, 1))
        subsets = np.repeat([r.subset for r in labelled], [pair[0].size for pair in pairs])
        known = np.isfinite(label)
        label, prediction, subsets = label[known], prediction[known], subsets[known]
        titles = f"label: {name} ({unit})", f"potential: {name} ({unit})"
        with new_axes(*titles, size=(4.4, 4.2)) as (figure, axes):
            draw_parity(axes, label, prediction, subsets)
            numbers = {f"label_{unit}": label.tolist(), f"prediction_{unit}": prediction.tolist()}
            table = {"subset": subsets.tolist()} | numbers
            paths.append(save_figure(figure, folder / f"parity_{quantity}.png", table))
    return paths


def draw_parity(axes: Axes, label: np.ndarray, prediction: np.ndarray, subsets: np.ndarray) -> None:
    """Scatter of predictions against labels with the diagonal; all (n,), both numbers in one unit."""
    low, high = min(label.min(), prediction.min()), max(label.max(), prediction.max())
    margin = 0.04 * max(high - low, 1e-12)
    limits = (low - margin, high + margin)
    axes.plot(limits, limits, color="0.6", linewidth=1.0, zorder=1)
    names = np.unique(subsets)
    told_apart = 1 < len(names) <= _MOST_COLOURS
    for number, name in enumerate(names if told_apart else [None]):
        shown = subsets == name if told_apart else slice(None)
        size = 8 if len(label) < 2000 else 2
        axes.scatter(
            label[shown],
            prediction[shown],
            s=size,
            color=colormaps["tab10"](number),
            alpha=0.5,
            linewidths=0,
            zorder=2,
            label=name,
            rasterized=True,
        )
    if told_apart:
        axes.legend(
            fontsize="x-small", loc="upper left", handletextpad=0.1, borderaxespad=0.2, markerscale=2.0
        )
    axes.set_xlim(limits)
    axes.set_ylim(limits)
    axes.set_aspect("equal")


def _mean_energies(results: Sequence[FrameErrors]) -> dict[str, float]:
    """Mean label of each composition, eV/atom, where there is one."""
    labels: dict[str, list[float]] = defaultdict(list)
    for frame in whole_frames(results):
        labels[_composition(frame)].append(frame.energy[0])
    return {name: float(np.mean(each)) for name, each in labels.items()}


def _composition(frame: FrameErrors) -> str:
    return Formula.from_list(list(frame.symbols)).reduce()[0].format("hill")
