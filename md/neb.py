"""`mlip neb`: a potential and two minima become the path between them and its barrier."""

import json
import logging
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from omegaconf import DictConfig

from md.start import read_structures
from md.state import State
from mlip.app import application
from mlip.errors import DataError
from mlip.inputs import resolve_input
from mlip.report.html import write_report
from mlip.runs import Run
from mlip.settings import build_settings

if TYPE_CHECKING:
    from md.energetics.barrier import Barrier
    from md.energetics.neb import EnergyPath

logger = logging.getLogger(__name__)


def run_neb(config: DictConfig, run: Run) -> None:
    """Search a minimum-energy path, or go on from the last checkpoint in the run directory.

    Args:
        config: `conf/neb.yaml`, resolved.
        run: The run directory.

    Raises:
        ConfigError: Settings that make no sense.
        DataError: The ends cannot be read, or do not belong together.
        PotentialError: The potential cannot be read, or lacks a species.
    """
    from md.energetics.barrier import compute_barrier  # torch: not for `mlip neb --help`
    from md.energetics.images import BatchedImages
    from md.energetics.neb import NebSettings, PathSearch
    from mlip.deploy import MLIPCalculator

    settings = build_settings(NebSettings, {f.name: config[f.name] for f in fields(NebSettings)}, "")
    initial, final = _read_end(config.initial), _read_end(config.final)
    calculator = MLIPCalculator(config.potential, config.device, config.dtype, config.kernel, config.radial)
    restart = run.path / "restart.npz"
    search = PathSearch(
        initial, final, settings, lambda count: BatchedImages(calculator, initial, count), restart
    )
    path = search.run(State.load(restart) if run.resumed and restart.exists() else None)
    barrier = compute_barrier(path)
    _write_path(run.path / "path.extxyz", path, barrier)
    _write_results(run.path, path, barrier, settings.force_tolerance_eV_A, config)
    for warning in barrier.warnings:
        logger.warning(warning)
    logger.info(
        "barrier %.3f eV forward, %.3f eV reverse; path.extxyz, results.json and report.html are in %s",
        barrier.forward_eV,
        barrier.reverse_eV,
        run.path,
    )


def _read_end(name: str) -> Atoms:
    path = resolve_input(name)
    frames = read_structures(path, None, True)
    if len(frames) != 1:
        raise DataError(
            f"{path} holds {len(frames)} frames; expected one structure: write it to its own file"
        )
    return frames[0]


def _write_path(file: Path, path: "EnergyPath", barrier: "Barrier") -> None:
    """All images, ends included, with energies and forces."""
    images = []
    for k, positions in enumerate(path.positions):
        image = path.atoms.copy()
        image.set_constraint()
        image.set_velocities(np.zeros_like(positions))
        image.positions = positions
        image.info = {"image": k, "path_A": float(barrier.coordinates_A[k])}
        image.calc = SinglePointCalculator(image, energy=float(path.energies[k]), forces=path.forces[k])
        images.append(image)
    ase.io.write(file, images, format="extxyz")


def _write_results(
    folder: Path, path: "EnergyPath", barrier: "Barrier", tolerance_eV_A: float, config: DictConfig
) -> None:
    from md.report.barrier import barrier_entries, barrier_highlights, barrier_section

    entries = barrier_entries(barrier, path, tolerance_eV_A)
    (folder / "results.json").write_text(json.dumps(entries, indent=2, allow_nan=False))
    write_report(
        folder / "report.html",
        "Barrier between two minima",
        f"From {Path(config.initial).name} to {Path(config.final).name} by a nudged elastic band.",
        [barrier_section(barrier, folder)],
        barrier_highlights(barrier),
        {key: str(config[key]) for key in ("potential", "initial", "final")},
    )


main = application("neb", run_neb, inputs=("potential", "initial", "final"), mutable=("device", "kernel"))

if __name__ == "__main__":
    main()
