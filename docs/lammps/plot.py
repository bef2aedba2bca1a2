"""Draws the figure of an example from what LAMMPS left in its folder: there, `python ../plot.py NAME`."""

import sys
from pathlib import Path

import ase.io
import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from md.analysis import Frames, compute_average, compute_rdf, load_frames
from mlip.report.style import INK, MUTED, PALETTE, SHADE, WIDE, style

TIMESTEP_PS = 0.001


def read_log(path: str = "log.lammps") -> dict[str, np.ndarray]:
    """Columns of the log's tables of dynamics, one after the other, by name; minimizations are left out."""
    tables: list[tuple[list[str], list[list[float]]]] = []
    rows: list[list[float]] | None = None
    for line in Path(path).read_text().splitlines():
        words = line.split()
        if words[:1] == ["Step"]:
            rows = []
            tables.append((words, rows))
        elif words[:1] == ["Loop"]:
            rows = None
        elif rows is not None and len(words) == len(tables[-1][0]) and words[0].isdigit():
            rows.append([float(word) for word in words])
    names = tables[-1][0]
    joined = np.array([row for table_names, table in tables if table_names == names for row in table])
    return dict(zip(names, joined.T, strict=True))


def read_profile(path: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Blocks of a profile of fix ave/chunk.

    Returns:
        Steps, shape (B,); z, shape (K,), A; values, shape (B, K).
    """
    lines = [line.split() for line in Path(path).read_text().splitlines() if not line.startswith("#")]
    steps = [int(words[0]) for words in lines if len(words) == 3]
    table = np.array([[float(words[1]), float(words[-1])] for words in lines if len(words) == 4])
    blocks = table.reshape(len(steps), -1, 2)
    return np.array(steps), blocks[0, :, 0], blocks[:, :, 1]


def draw_grade_and_temperature(axes: Axes, log: dict[str, np.ndarray]) -> Axes:
    """Temperature and the largest grade against time; returns the axes of the grade."""
    time = log["Step"] * TIMESTEP_PS
    axes.plot(time, log["Temp"], color=MUTED, linewidth=0.8)
    axes.set(xlabel="time (ps)", ylabel="temperature (K)")
    grades = axes.twinx()
    grades.plot(time, log["c_largest"], color=PALETTE[1], linewidth=0.8)
    grades.set_ylabel("largest grade", color=PALETTE[1])
    grades.set_ylim(bottom=0)
    return grades


def draw_rdf(axes: Axes, frames: Frames, pairs: list[tuple[str, str]]) -> None:
    """g(r) of pairs, one above the other."""
    for row, (pair, result) in enumerate(compute_rdf(frames, pairs).items()):
        scale = 1.0 / result.g.max()
        axes.fill_between(result.r, 1.1 * row, 1.1 * row + scale * result.g, color=PALETTE[row], alpha=0.3)
        axes.plot(result.r, 1.1 * row + scale * result.g, color=PALETTE[row])
        axes.text(0.2, 1.1 * row + 0.3, "-".join(pair), color=PALETTE[row])
    axes.set(xlabel="r (A)", ylabel="g(r), each to its highest peak", yticks=[])


def melt_quench(figure: Figure) -> None:
    """Temperature and grade against time; g(r) of the glass."""
    left, right = figure.subplots(1, 2)
    draw_grade_and_temperature(left, read_log())
    draw_rdf(right, load_frames("glass.lammpstrj")[0], [("P", "S"), ("S", "S"), ("Li", "S"), ("Li", "Li")])


def interface(figure: Figure) -> None:
    """Profiles of the three kinds of atoms, first block and last; the grade along z."""
    left, right = figure.subplots(1, 2)
    kinds = {"metal": "Li of the metal", "compound": "Li of Li2S", "sulfur": "S"}
    for color, (name, label) in zip(PALETTE, kinds.items(), strict=False):
        _, z, values = read_profile(f"{name}.profile")
        left.fill_between(z, values[0], color=color, alpha=0.2, linewidth=0)
        left.plot(z, values[-1], color=color, label=label)
    left.set(xlabel="z (A)", ylabel="atoms per A$^3$")
    left.legend()
    steps, z, grades = read_profile("grade.profile")
    _, _, sulfur = read_profile("sulfur.profile")
    right.fill_between(
        z, 0, grades[-1].max() * 1.1 * (sulfur[-1] > 0), color=SHADE, step="mid", label="with S"
    )
    right.plot(z, grades[-1], color=INK)
    right.axhline(1.0, color=MUTED, linestyle=":", linewidth=0.8)
    right.set(xlabel="z (A)", ylabel=f"mean grade, {steps[-1] * TIMESTEP_PS:g} ps", ylim=(0, None))
    right.legend()


def npt_glass(figure: Figure) -> None:
    """Density against time with its mean and error; g(r), and where a crystal has neighbors."""
    left, right = figure.subplots(1, 2)
    table = np.loadtxt("density.dat")
    mean = compute_average(table[:, 1])
    error = mean.error or 0.0
    log = read_log()
    left.plot(
        log["Step"] * TIMESTEP_PS, log["Density"], color=MUTED, linewidth=0.8, label="melt, quench, let off"
    )
    left.plot(table[:, 0] * TIMESTEP_PS, table[:, 1], color=PALETTE[0], linewidth=0.8, label="averaged")
    left.axhspan(mean.value - error, mean.value + error, color=PALETTE[1], alpha=0.4, linewidth=0)
    left.set(xlabel="time (ps)", ylabel="density (g/cm$^3$)")
    left.set_title(f"{mean.value:.4f} $\\pm$ {error:.4f} g/cm$^3$")
    left.legend()
    frames = load_frames("npt.lammpstrj")[0]
    draw_rdf(right, frames, [("Li", "Li")])
    lattice_A = (2 * frames.volumes.mean() / len(frames.numbers)) ** (1 / 3)
    for square in (3 / 4, 1, 2, 11 / 4, 3, 4):
        right.axvline(lattice_A * square**0.5, color=MUTED, linestyle=":", linewidth=0.8)
    right.set_title("dotted: neighbors in a body-centred cubic crystal")


def halt(figure: Figure) -> None:
    """Temperature and grade up to the halt; the grades of the atoms in the last frame, by species."""
    left, right = figure.subplots(1, 2)
    grades = draw_grade_and_temperature(left, read_log())
    printed = [line.split() for line in Path("log.lammps").read_text().splitlines()]
    (thresholds,) = ([float(word) for word in words[1:]] for words in printed if words[:1] == ["THRESHOLDS"])
    for threshold in thresholds:
        for axes in (grades, right):
            axes.axhline(threshold, color=PALETTE[1], linestyle=":", linewidth=0.8)
    frame = ase.io.read("halted.lammpstrj", format="lammps-dump-text")
    for color, symbol in zip(PALETTE[::2], sorted(set(frame.symbols)), strict=False):
        chosen = np.flatnonzero(frame.symbols == symbol)
        right.plot(
            chosen, frame.arrays["c_grade"].reshape(-1)[chosen], "o", color=color, markersize=3, label=symbol
        )
    right.set(xlabel="atom", ylabel="grade in the frame of the halt", ylim=(0, None))
    right.legend()


FIGURES = {function.__name__: function for function in (melt_quench, interface, npt_glass, halt)}


def main(name: str) -> None:
    """Draw one example's figure."""
    with style():
        figure = plt.figure(figsize=WIDE, layout="constrained")
        FIGURES[name](figure)
        figure.savefig(f"{name}.png", dpi=110)


if __name__ == "__main__":
    if sys.argv[1:] not in [[name] for name in FIGURES]:
        raise SystemExit(f"found {sys.argv[1:]}; expected one of {', '.join(FIGURES)}")
    main(sys.argv[1])
