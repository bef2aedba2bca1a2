"""Figures of training: learning curves and parity plots. They draw; nothing is computed here but ranges."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from mlip.report.figures import new_axes, new_panels, save_figure
from train.metrics import UNITS, FrameErrors

LABELS = {"energy": "energy", "forces": "force component", "stress": "stress component"}


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
    """One parity plot per labelled quantity: `parity_<quantity>.png` and `.csv`."""
    paths = []
    for quantity, unit in UNITS.items():
        pairs = [getattr(r, quantity) for r in results if getattr(r, quantity) is not None]
        if not pairs:
            continue
        label, prediction = (np.concatenate([np.ravel(pair[side]) for pair in pairs]) for side in (0, 1))
        known = np.isfinite(label)
        label, prediction = label[known], prediction[known]
        name = LABELS[quantity]
        if quantity == "energy":
            mean = label.mean()
            label, prediction = 1000 * (label - mean), 1000 * (prediction - mean)
            name, unit = "energy - mean", f"m{unit}"
        with new_axes(f"DFT {name} ({unit})", f"potential's {name} ({unit})", size=(4.2, 4.0)) as (
            figure,
            axes,
        ):
            draw_parity(axes, label, prediction)
            table = {f"label_{unit}": label.tolist(), f"prediction_{unit}": prediction.tolist()}
            paths.append(save_figure(figure, folder / f"parity_{quantity}.png", table))
    return paths


def draw_parity(axes: Axes, label: np.ndarray, prediction: np.ndarray) -> None:
    """Scatter of predictions against labels with the diagonal; both (n,) in one unit."""
    low, high = min(label.min(), prediction.min()), max(label.max(), prediction.max())
    margin = 0.04 * max(high - low, 1e-12)
    limits = (low - margin, high + margin)
    axes.plot(limits, limits, color="0.6", linewidth=1.0, zorder=1)
    axes.scatter(
        label, prediction, s=8 if len(label) < 2000 else 2, alpha=0.5, linewidths=0, zorder=2, rasterized=True
    )
    axes.set_xlim(limits)
    axes.set_ylim(limits)
    axes.set_aspect("equal")
