"""Many frames, one labeler: each structure is paid for once, and what is paid for is in the store at once."""

import logging
import os
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from tqdm import tqdm

from mlip.data.entry import Entry, Provenance
from mlip.data.fingerprint import fingerprint
from mlip.data.store import Store
from mlip.errors import DataError, MlipError, SimulationError
from mlip.labelers.compute import Outcome, compute_outcome
from mlip.labelers.labeler import Labeler, frame_charge
from mlip.labelers.workers import ProcessDeathError

logger = logging.getLogger(__name__)

Submit = Callable[..., "Future[Outcome]"]

# So many failures before any label are a fault of the set-up, not of the frames.
_FAILURES_TO_STOP = 5
_SECONDS_BETWEEN_LINES = 30.0


@dataclass
class Tally:
    """How far a batch is.

    Attributes:
        labelled: Frames that were labelled in this session.
        failed: Frames that failed in this session.
        core_seconds: What both cost.
        lost: Frames whose worker went away, with a job that ended, say.
    """

    labelled: int = 0
    failed: int = 0
    core_seconds: float = 0.0
    lost: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.labelled} labelled, {self.failed} failed, {self.core_seconds:.3g} core-seconds"


def require_computable(labeler: Labeler, frames: Sequence[Atoms]) -> None:
    """Refuse frames that a labeler cannot compute, before anything is paid.

    Raises:
        DataError: There is such a frame.
    """
    for number, frame in enumerate(frames):
        reason = labeler.refusal(frame, frame_charge(frame))
        if reason:
            formula = frame.get_chemical_formula()
            raise DataError(f"frame {number}, {formula}: labeler={labeler.name} cannot compute it: {reason}")


def label_frames(
    frames: Sequence[Atoms],
    labeler: Labeler,
    store: Store,
    submit: Submit,
    folder: Path,
    retry_failed: bool = False,
    generation: int = 0,
) -> tuple[list[Entry], Tally]:
    """Label what a store does not hold yet.

    Args:
        frames: Structures; the total charge of each is its `info["charge"]`.
        labeler: What computes.
        store: Where each outcome goes as soon as it is there.
        submit: Queues a call for a worker.
        folder: Where programs write, a folder a frame; those of failed frames stay.
        retry_failed: Whether frames that failed with these settings are computed again.
        generation: Of active learning, for the provenance.

    Returns:
        Entries of all different structures in the order of `frames`, as they stand in the store, failed ones
        among them; and what this session did.

    Raises:
        MlipError: No frame can be labelled, or frames were lost with their workers.
    """
    settings = labeler.settings()
    origin = Provenance(labeler.name, settings, generation)
    different: dict[str, Atoms] = {}
    for frame in frames:
        different.setdefault(fingerprint(frame), frame)
    known = store.known(origin.settings_hash)
    todo = {
        name: frame
        for name, frame in different.items()
        if name not in known or (retry_failed and not known[name])
    }
    _announce(len(frames), len(different), len(todo))
    _remove_leftovers(folder, todo)
    tally = _compute(todo, labeler, origin, store, submit, folder)
    if tally.lost:
        raise SimulationError(
            f"{len(tally.lost)} frames were lost with their workers ({tally.lost[0]}); give the same command "
            "again for them"
        )
    found = (store.find(name, origin.settings_hash) for name in different)
    return [entry for entry in found if entry is not None], tally


def _announce(given: int, different: int, todo: int) -> None:
    logger.info(
        "%d frames, %d of them duplicates of others; %d are in the store, %d to compute",
        given,
        given - different,
        different - todo,
        todo,
    )


def _remove_leftovers(folder: Path, todo: dict[str, Atoms]) -> None:
    """Remove what a killed session, or one that failed, has left of frames that are computed now."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name.rpartition("-")[0] in todo:
            shutil.rmtree(path, ignore_errors=True)


def _compute(
    todo: dict[str, Atoms],
    labeler: Labeler,
    origin: Provenance,
    store: Store,
    submit: Submit,
    folder: Path,
) -> Tally:
    """Compute frames and store each outcome."""
    tally, line_at = Tally(), time.monotonic()
    # A worker of a killed session may still write into a folder: each session has its own.
    places = {name: (folder / f"{name}-{os.getpid()}").resolve() for name in todo}
    futures = {submit(compute_outcome, labeler, frame, places[name]): name for name, frame in todo.items()}
    with tqdm(total=len(todo), unit="frame", disable=None, dynamic_ncols=True) as bar:
        for future in as_completed(futures):
            name = futures[future]
            outcome = _outcome_of(future, labeler, tally)
            if outcome is not None:
                store.add([_entry(name, todo[name], outcome, origin, places[name].name)])
                _count(outcome, todo[name], tally)
                if outcome.label is not None:
                    shutil.rmtree(places[name], ignore_errors=True)
            bar.set_postfix_str(str(tally), refresh=False)
            bar.update()
            if time.monotonic() - line_at > _SECONDS_BETWEEN_LINES:
                line_at = time.monotonic()
                done = tally.labelled + tally.failed + len(tally.lost)
                logger.info("%d of %d frames: %s", done, len(todo), tally)
    return tally


def _outcome_of(future: "Future[Outcome]", labeler: Labeler, tally: Tally) -> Outcome | None:
    """The outcome of a frame; None if it was lost on the way, for no fault of its own."""
    try:
        return future.result()
    except ProcessDeathError as error:
        return Outcome(label=None, reason=str(error), seconds=0.0, cores=labeler.cores)
    except MlipError:
        raise
    except Exception as error:  # Parsl's: a job ended, a node went away
        tally.lost.append(" ".join(str(error).split())[:200])
        return None


def _entry(name: str, frame: Atoms, outcome: Outcome, origin: Provenance, place: str) -> Entry:
    """What the store gets: the frame, its label or why there is none, who computed it and what it cost."""
    atoms = frame.copy()
    atoms.info["program"] = outcome.program
    if outcome.label is None:
        atoms.info["files"] = place
    else:
        label = outcome.label
        results = {"energy": label.energy, "free_energy": label.energy, "forces": label.forces}
        if label.stress is not None:
            results["stress"] = label.stress
        atoms.calc = SinglePointCalculator(atoms, **results)
    provenance = Provenance(origin.labeler, origin.settings, origin.generation, seconds=outcome.core_seconds)
    return Entry(atoms, provenance, outcome.reason, name)


def _count(outcome: Outcome, frame: Atoms, tally: Tally) -> None:
    """Add an outcome to the tally.

    Raises:
        SimulationError: The first frames failed one and all.
    """
    tally.core_seconds += outcome.core_seconds
    if outcome.label is not None:
        tally.labelled += 1
        return
    tally.failed += 1
    logger.warning("%s failed: %s", frame.get_chemical_formula(), outcome.reason)
    if tally.failed == _FAILURES_TO_STOP and tally.labelled == 0:
        raise SimulationError(
            f"the first {tally.failed} frames failed, the last with: {outcome.reason}; mend it and give "
            "retry_failed=true"
        )
