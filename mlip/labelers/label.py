"""`mlip label`: structures become labelled frames in a store."""

import logging
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import ase.io
from omegaconf import DictConfig, OmegaConf

from mlip.app import application
from mlip.data.entry import Entry
from mlip.data.read import read_structures
from mlip.data.store import Store
from mlip.errors import ConfigError
from mlip.inputs import as_names
from mlip.labelers.batch import label_frames, require_computable
from mlip.labelers.labeler import Labeler
from mlip.labelers.workers import ProcessWorkers
from mlip.runs import Run
from mlip.settings import build_group
from mlip.whole_files import whole_file

logger = logging.getLogger(__name__)


def run_label(config: DictConfig, run: Run) -> None:
    """Label structures, or go on where an earlier session was.

    Args:
        config: `conf/label.yaml`, resolved.
        run: The run directory.

    Raises:
        ConfigError: Settings that make no sense, or a program that is not there.
        DataError: The structures cannot be read, or the labeler cannot compute one of them.
        SimulationError: The first frames failed one and all, or frames were lost.
    """
    labeler: Labeler = build_group(config, "labeler")
    count = count_workers(config.workers, labeler.cores)
    frames = read_structures(as_names(config.structures), config.index)
    require_computable(labeler, frames)
    store = Store(str(config.store or run.path / "labels.db"), create=True)
    with open_workers(config, count, labeler.cores, run.path) as workers:
        entries, tally = label_frames(
            frames, labeler, store, workers.submit, run.path / "work", config.retry_failed
        )
    with suppress(OSError):  # not empty: it has the files of failed frames
        (run.path / "work").rmdir()
    failed = [entry for entry in entries if entry.failure is not None]
    labelled = [entry for entry in entries if entry.failure is None]
    write_entries(run.path / "labelled.extxyz", labelled)
    write_entries(run.path / "failed.extxyz", failed)
    logger.info("this session: %s", tally)
    logger.info(
        "%d labelled frames, %d failed ones, %.3g core-seconds in all; labelled.extxyz is in %s",
        len(labelled),
        len(failed),
        sum(entry.provenance.seconds or 0.0 for entry in entries),
        run.path,
    )


def count_workers(wanted: Any, cores: int) -> int:
    """How many frames are computed at once.

    Args:
        wanted: `workers` of the config.
        cores: That a frame takes.

    Raises:
        ConfigError: It is neither `auto` nor a number.
    """
    usable = len(os.sched_getaffinity(0))
    if wanted == "auto":
        return max(1, usable // cores)
    if not isinstance(wanted, int) or isinstance(wanted, bool) or wanted < 1:
        raise ConfigError(f"found workers={wanted}; expected auto, or a whole number from 1")
    return wanted


def open_workers(
    config: DictConfig, count: int, cores: int, folder: Path
) -> AbstractContextManager[Any, None]:
    """Open processes of this machine, or of a cluster, by the key `cluster` of a config.

    Args:
        config: Of a verb that labels.
        count: Processes on this machine.
        cores: That a frame takes.
        folder: Run directory.
    """
    if OmegaConf.select(config, "cluster") is None:
        logger.info("frames at once: %d", count)
        return ProcessWorkers(count)
    return build_group(config, "cluster").open(cores, (folder / "parsl").resolve())


def write_entries(file: Path, entries: Sequence[Entry]) -> None:
    """Write frames as extxyz, each with where its labels are from; no file of no frames."""
    file.unlink(missing_ok=True)
    frames = []
    for entry in entries:
        atoms = entry.atoms
        atoms.info |= {"labeler": entry.provenance.labeler, "settings": entry.provenance.settings_hash}
        atoms.info |= {"core_seconds": entry.provenance.seconds}
        if entry.failure is not None:
            atoms.info["failure"] = entry.failure
        frames.append(atoms)
    if frames:
        with whole_file(file) as temporary:
            ase.io.write(temporary, frames, format="extxyz")


main = application(
    "label",
    run_label,
    inputs=("structures",),
    mutable=("workers", "cluster", "retry_failed", "labeler.cores", "labeler.command"),
)

if __name__ == "__main__":
    main()
