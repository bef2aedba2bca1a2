"""Labels and training: what a generation adds to the data, and the potential that comes of it."""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from ase import Atoms
from omegaconf import DictConfig

from mlip.data.entry import settings_hash
from mlip.data.fingerprint import fingerprint
from mlip.data.read import read_frames
from mlip.data.splits import split_frames
from mlip.data.store import Store
from mlip.deploy.potential import Potential
from mlip.errors import ConfigError, PotentialError
from mlip.inputs import as_names, resolve_input
from mlip.labelers.batch import label_frames, require_computable
from mlip.labelers.label import count_workers, open_workers, write_entries
from mlip.labelers.labeler import Labeler
from mlip.workflows.learning.choose import chosen_file
from mlip.workflows.learning.examine import examine
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
from mlip.workflows.stage import as_job, run_verb

TRAIN, VALID = "train.extxyz", "valid.extxyz"


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
        generation.once("train", lambda: train(plan, generation))
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
    paid = generation.once("paid", lambda: _paid_before(store, labeler, frames))["frames"]
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
    own = [entry for entry in entries if entry.fingerprint not in paid]
    seconds = sum(entry.provenance.seconds or 0.0 for entry in own)
    select = plan.grade.at(generation.number)["mark"]
    before = examine(potential_before(generation)[0], known, plan.device, select) if known else {}
    said = f", errors before training {before['force_rmse']:.3g} eV/A" if before else ""
    if warning := before.get("calibration", {}).get("warning"):
        said += f"; {warning}"
    return {
        "labelled": len(labelled),
        "failed": len(failed),
        "computed": len(own),
        "core_seconds": seconds,
        "before": before,
        "reason": f"{len(labelled)} labelled, {len(failed)} failed, {seconds:.3g} core-seconds{said}",
    }


def _paid_before(store: Store, labeler: Labeler, frames: Sequence[Atoms]) -> Record:
    """Those of the frames that the store knows: another loop has paid for them."""
    known = store.known(settings_hash(labeler.name, labeler.settings()))
    names = [name for name in map(fingerprint, frames) if name in known]
    return {"frames": names, "reason": f"{len(names)} of {len(frames)} were in the store"}


def train(plan: Plan, generation: Generation) -> Record:
    """Train on all data so far: from random weights, or from the newest potential.

    Raises:
        MlipError: Training failed.
    """
    if not (generation.path / TRAIN).exists() and not (generation.path / VALID).exists():
        return {"start": "", "reason": "no new labels: the potential stays"}
    init, why = _start(plan.training, generation)
    training = plan.training
    command = ["train", f"seed={plan.seed}", f"device={training.device or plan.device}"]
    command += data_words(generation, "data.train", TRAIN) + data_words(generation, "data.valid", VALID)
    command += training.overrides
    if init is not None:
        command += [f"init={init}", *training.finetune]
    folder = generation.path / "train"
    run_verb(as_job(command, training.job), folder)
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
        earlier = examine(init, valid, plan.device, "auto")["force_rmse"]
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


def data_words(generation: Generation, key: str, part: str) -> list[str]:
    """The files of all generations as an override of another verb, none where there are none.

    Args:
        generation: Of the loop.
        key: Of the verb.
        part: `TRAIN` or `VALID`.
    """
    files = [each.path / part for each in generations(generation.run_dir) if (each.path / part).exists()]
    return [f"{key}=[{','.join(json.dumps(str(file)) for file in files)}]"] if files else []


def _frames_so_far(generation: Generation, part: str) -> list[Atoms]:
    return [frame for each in generations(generation.run_dir) for frame in read_frames_of(each.path / part)]
