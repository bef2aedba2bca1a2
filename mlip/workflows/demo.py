"""The verb `mlip demo`: the whole path on shipped DFT data, every stage by the command a user would give."""

import csv
import json
import logging
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hydra import compose
from omegaconf import DictConfig

from md.analyze import Analysis, analyze
from mlip.app import application
from mlip.errors import ConfigError
from mlip.report.html import FigureBlock, Highlight, Section, TableBlock, write_report
from mlip.runs import Run
from mlip.workflows.stage import run_verb
from train.report import error_rows

logger = logging.getLogger(__name__)

INTRO = """A demonstration of Vitreous, made by one command in minutes on two cores: a small NequIP
potential was trained on a few DFT frames of Li6.75P3S11, deployed, taken through a melt-quench by the ASE
calculator and through a ladder of temperatures by LAMMPS, and analysed.

It shows the path, not physics to publish: the training set is small and at 520 K, the cell has 83 atoms, and
the runs last picoseconds. Pressures are extrapolations, because the data carry no stress."""


def run_demo(config: DictConfig, run: Run) -> None:
    """Run the stages of a size in `conf/demo.yaml` and join their results in one report.

    Raises:
        ConfigError: There is no such size.
        MlipError: A stage failed.
    """
    if config.size not in config.stages:
        raise ConfigError(f"found size={config.size}; expected one of {', '.join(config.stages)}")
    started = time.monotonic()
    # 83 atoms keep one core busy; a second thread gains little and loses much where the machine is shared.
    threads = {"OMP_NUM_THREADS": "1"} | os.environ
    for name, command in config.stages[config.size].items():
        run_verb(command, run.path / name, threads)
    figures = run.path / "figures"
    reference = f"reference={config.reference}"
    quench = _analyze(run, "melt_quench", ["analysis=[protocol,structure]"], figures / "melt_quench")
    ladder = _analyze(run, "ladder", ["analysis=[structure,diffusion]", reference], figures / "ladder")
    results = run.path / "results.json"
    results.write_text(json.dumps({"melt_quench": quench.entries, "ladder": ladder.entries}, indent=2))
    report = _write_report(run.path, quench, ladder)
    logger.info("demo done in %.0f s: open %s", time.monotonic() - started, report)


def _analyze(run: Run, stage: str, overrides: Sequence[str], folder: Path) -> Analysis:
    trajectory = run.path / stage / "trajectory.h5"
    logger.info("\n$ mlip analyze trajectory=%s %s", trajectory, " ".join(overrides))
    return analyze([trajectory], compose("analyze", [f"trajectory={trajectory}", *overrides]), folder)


def _write_report(folder: Path, quench: Analysis, ladder: Analysis) -> Path:
    errors = json.loads((folder / "train" / "errors.json").read_text())
    sections = [
        _training_section(folder / "train", errors),
        _deployment_section(folder),
        *_titled("Melt-quench by the ASE calculator", quench.sections),
        *_titled("Ladder of temperatures in LAMMPS", ladder.sections),
    ]
    accuracy = Highlight(
        "force MAE", f"{1000 * errors['forces']['mae']:.0f}", "meV/A", "on held-out DFT frames"
    )
    return write_report(
        folder / "report.html", "Vitreous demonstration", INTRO, sections, [accuracy, *ladder.highlights]
    )


def _titled(prefix: str, sections: Sequence[Section]) -> list[Section]:
    return [replace(section, heading=f"{prefix}: {section.heading.lower()}") for section in sections]


def _training_section(folder: Path, errors: dict) -> Section:
    parity = [
        FigureBlock(folder / f"parity_{quantity}.png", f"Predicted against DFT {quantity}, held-out frames.")
        for quantity in ("energy", "forces")
    ]
    curves = FigureBlock(folder / "learning_curves.png", "Errors of every epoch of training.", wide=True)
    table = TableBlock(
        ("", "unit", "MAE", "RMSE", "max"), error_rows(errors), "Errors on held-out DFT frames."
    )
    return Section("Training", "NequIP on DFT energies and forces.", [curves, *parity], [table])


def _deployment_section(folder: Path) -> Section:
    """Differences of the deployed file from the potential, and of LAMMPS from ASE on one structure."""
    manifest = json.loads((folder / "deploy" / "manifest.json").read_text())
    by_ase = _thermo(folder / "melt_quench")[-1]
    by_lammps = _thermo(folder / "ladder")[0]
    rows = [
        (f"{what} against the potential, {name}", f"{value:.1e}")
        for key, what in (("differences", "plain torch"), ("differences_cpp", "compiled kernels"))
        for name, value in manifest.get(key, {}).items()
    ]
    rows.append(("potential energy of the quenched cell by ASE (eV)", by_ase["potential_eV"]))
    rows.append(("the same structure, the same file, by LAMMPS (eV)", by_lammps["potential_eV"]))
    text = "One deployed file serves ASE and LAMMPS; it exists only because it gives the potential's numbers."
    return Section("Deployment", text, tables=[TableBlock(("", ""), rows)])


def _thermo(folder: Path) -> list[dict[str, str]]:
    with (folder / "thermo.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


main = application("demo", run_demo)
