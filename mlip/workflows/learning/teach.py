"""Labels and training: what a generation adds to the data, and the potential that comes of it."""

import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from omegaconf import DictConfig

from mlip.data.dataset import GraphDataset
from mlip.data.read import read_frames
from mlip.data.splits import split_frames
from mlip.data.store import Store
from mlip.deploy.calculator import select_device
from mlip.deploy.potential import Potential
from mlip.errors import ConfigError, PotentialError
from mlip.inputs import as_names, resolve_input
from mlip.labelers.batch import label_frames, require_computable
from mlip.labelers.label import count_workers, open_workers, write_entries
from mlip.labelers.labeler import Labeler
from mlip.workflows.learning.choose import chosen_file
from mlip.workflows.learning.plan import Plan, Training
from mlip.workflows.learning.records import (
    Generation,
    Record,
    copy_file,
    generations,
    potential_before,
    read_frames_of,
    write_frames,
)
from mlip.workflows.stage import run_verb
from train.evaluate import evaluate_frames
from train.judge import judge
from train.metrics import compute_errors, whole_frames
from train.reliability import rank_correlation

logger = logging.getLogger(__name__)

TRAIN, VALID = "train.extxyz", "valid.extxyz"
_BATCH_SIZE = 5


def begin(config: DictConfig, plan: Plan, generation: Generation) -> None:
    """Fill generation 0: labelled frames that are given, and the potential, given or trained on them.

    Raises:
        ConfigError: Neither is given.
        MlipError: Training failed.
    """
    if config.data is None and config.potential is None:
        raise ConfigError(
            "found neither data nor potential; expected labelled frames to begin with, data=FILE: mlip build "
            "builder=rattled and mlip label make some"
        )
    generation.once("label", lambda: _given_data(config, plan, generation))
    if config.potential is None:
        generation.once("train", lambda: train(config, plan, generation))
        generation.once("deploy", lambda: deploy(generation))
    else:
        generation.once("train", lambda: {"start": "", "reason": f"the potential is {config.potential}"})
        generation.once("deploy", lambda: deploy(generation, resolve_input(config.potential)))


def _given_data(config: DictConfig, plan: Plan, generation: Generation) -> Record:
    frames = read_frames(as_names(config.data)) if config.data is not None else []
    held_out = read_frames(as_names(config.valid)) if config.valid is not None else []
    if frames and not held_out:
        split = split_frames(frames, fraction=plan.training.valid_fraction, seed=plan.seed)
        held_out, frames = [frames[k] for k in split.valid_indices], [frames[k] for k in split.train_indices]
    write_frames(generation.path / TRAIN, frames)
    write_frames(generation.path / VALID, held_out)
    return {
        "labelled": len(frames) + len(held_out),
        "computed": 0,
        "reason": f"{len(frames)} given frames to train on, {len(held_out)} held out",
    }


def _add_data(generation: Generation, frames: Sequence[Atoms], fraction: float, seed: int) -> None:
    """Divide new frames: those held out never train in later generations, so that errors stay honest."""
    count = round(fraction * len(frames))
    held_out = set(np.random.default_rng(seed).permutation(len(frames))[:count].tolist())
    for name, belongs in ((TRAIN, False), (VALID, True)):
        part = [frame for number, frame in enumerate(frames) if (number in held_out) is belongs]
        write_frames(generation.path / name, part)


def label(config: DictConfig, plan: Plan, generation: Generation, labeler: Labeler) -> Record:
    """Label what was selected; the store pays for each structure once.

    Raises:
        MlipError: No frame can be labelled, or frames were lost with their workers.
    """
    frames = read_frames_of(chosen_file(generation))
    if not frames:
        return {"labelled": 0, "failed": 0, "computed": 0, "reason": "nothing was selected"}
    require_computable(labeler, frames)
    store = Store(str(config.store or generation.run_dir / "labels.db"), create=True)
    work, count = generation.path / "work", count_workers(config.workers, labeler.cores)
    with open_workers(config, count, labeler.cores, generation.path) as workers:
        entries, _ = label_frames(frames, labeler, store, workers.submit, work, generation=generation.number)
    with suppress(OSError):  # not empty: it has the files of failed frames
        work.rmdir()
    labelled = [entry for entry in entries if entry.failure is None]
    failed = [entry for entry in entries if entry.failure is not None]
    write_entries(generation.path / "failed.extxyz", failed)
    write_entries(generation.path / "labelled.extxyz", labelled)
    known = read_frames_of(generation.path / "labelled.extxyz")
    _add_data(generation, known, plan.training.valid_fraction, plan.seed + generation.number)
    seconds = sum(entry.provenance.seconds or 0.0 for entry in entries)
    own = sum(entry.provenance.generation == generation.number for entry in entries)
    before = _errors_of(potential_before(generation)[0], known, config.device) if known else {}
    said = f", errors before training {before['force_rmse']:.3g} eV/A" if before else ""
    return {
        "labelled": len(labelled),
        "failed": len(failed),
        "computed": own,
        "core_seconds": seconds,
        "before": before,
        "reason": f"{len(labelled)} labelled, {len(failed)} failed, {seconds:.3g} core-seconds{said}",
    }


def train(config: DictConfig, plan: Plan, generation: Generation) -> Record:
    """Train on all data so far: from random weights, or from the newest potential.

    Raises:
        MlipError: Training failed.
    """
    if not (generation.path / TRAIN).exists() and not (generation.path / VALID).exists():
        return {"start": "", "reason": "no new labels: the potential stays"}
    init, why = _start(plan.training, generation)
    command = ["train", f"seed={plan.seed}", f"device={config.device}", *_data_words(generation)]
    command += plan.training.overrides
    if init is not None:
        command += [f"init={init}", *plan.training.finetune]
    folder = generation.path / "train"
    run_verb(command, folder)
    errors = json.loads((folder / "errors.json").read_text())
    sizes = {part: len(_frames_so_far(generation, part)) for part in (TRAIN, VALID)}
    record: Record = {
        "start": "random weights" if init is None else "fine-tuned",
        "num_train": sizes[TRAIN],
        "num_valid": sizes[VALID],
        "errors": {key: errors[key] for key in ("energy", "forces", "stress") if key in errors},
    }
    valid = _frames_so_far(generation, VALID)
    if init is not None and valid:
        earlier = _errors_of(init, valid, config.device)["force_rmse"]
        record["valid_before"], record["helped"] = earlier, errors["forces"]["rmse"] <= earlier
    after = errors["forces"]["rmse"]
    record["reason"] = f"{record['start']} ({why}), {sizes[TRAIN]} frames: validation {after:.3g} eV/A"
    return record


def deploy(generation: Generation, given: Path | None = None) -> Record:
    """Hand the new potential, with its refitted grade, to the explorers of the next generation.

    Args:
        generation: That trained it.
        given: A potential in its place.

    Raises:
        PotentialError: It has no extrapolation grade.
    """
    new = given or generation.path / "train" / "potential.mlip"
    if not new.exists():
        return {"reason": "no new potential"}
    fitted = Potential.load(new).uncertainty
    if fitted is None:
        raise PotentialError(f"found no extrapolation grade in {new}; expected a file that mlip train made")
    copy_file(new, generation.potential)
    copy_file(new, generation.run_dir / "potential.mlip")
    reason = f"select above {fitted.select:.3g}, stop above {fitted.stop:.3g}"
    return {"select": fitted.select, "stop": fitted.stop, "reason": reason}


def _start(training: Training, generation: Generation) -> tuple[Path | None, str]:
    """The potential that training goes on with, None for random weights; and why."""
    earlier = [Generation(generation.run_dir, number).read("train") for number in range(generation.number)]
    trained = [record for record in earlier if record and record["start"]]
    if generation.number == 0:
        return None, "the first potential"
    if trained and trained[-1].get("helped") is False:
        return None, "fine-tuning had made validation worse"
    if training.scratch_every is not None and generation.number % training.scratch_every == 0:
        return None, f"every {training.scratch_every} generations"
    init, made = potential_before(generation)
    return init, f"from generation {made}"


def _data_words(generation: Generation) -> list[str]:
    words = []
    for key, name in (("train", TRAIN), ("valid", VALID)):
        files = [each.path / name for each in generations(generation.run_dir) if (each.path / name).exists()]
        if files:
            words.append(f"data.{key}=[{','.join(json.dumps(str(file)) for file in files)}]")
    return words


def _frames_so_far(generation: Generation, part: str) -> list[Atoms]:
    return [frame for each in generations(generation.run_dir) for frame in read_frames_of(each.path / part)]


def _errors_of(file: Path, frames: Sequence[Atoms], device: str) -> dict[str, Any]:
    """Errors of a potential on labelled frames, and whether its grade foretold them."""
    potential, on = Potential.load(file), select_device(device)
    cutoffs = potential.normalization.edge_cutoffs
    dataset = GraphDataset(frames, potential.config.r_max, potential.species, cutoffs)
    results = evaluate_frames(potential.force_field(on), dataset, _BATCH_SIZE, on)
    found: dict[str, Any] = {"force_rmse": compute_errors(results)["forces"]["rmse"]}
    whole = whole_frames(results)
    if potential.uncertainty is not None and whole:
        judged = judge(whole, potential.uncertainty, potential.species)
        rank = rank_correlation(judged.grades, judged.force_error_lengths)
        if rank is not None:
            found |= {"grade_rank_correlation": rank, "highest_grade": float(judged.grades.max())}
    return found
