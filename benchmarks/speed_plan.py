"""What `speed.py` measures: a job per process, each of one or more rows.

A job names what is measured ("job"), where (device, threads) and how long (seconds); most name a model, a
task, engines and numbers of atoms, and have a row for each of these numbers.
"""

from argparse import Namespace
from collections.abc import Iterator, Sequence
from typing import Any

from speed_engines import OURS, default_engines

Job = dict[str, Any]

PARTS = ("machine", "memory", "time", "growth", "batch", "largest")
TASKS = ("inference", "training")
MEMORY_ATOMS = 512
BATCH_ATOMS = 64 * 64
# How cost grows: models that differ from 4x32 in one number, and more sizes of it.
GROWTH_MODELS = ("4x32", "4x16", "4x64", "4x32 l1", "4x32 l3", "4x32 r4", "4x32 r7")
GROWTH_ATOMS = (64, 256, 2000, 10000)
GROWTH_ENGINES = ("nequip", "cpp", "cpp table")
SHORT = 4.0


def planned(options: Namespace) -> Iterator[Job]:
    """All jobs in order. Memory comes before times, which leave out what would not fit."""
    if options.prepare:
        yield from compilations(options)
        return
    for part in PARTS:
        if part in options.parts:
            yield from JOBS_OF[part](options)


def compilations(options: Namespace) -> Iterator[Job]:
    """nequip's compilations, and ours if `--engines` names them, which the other jobs find done."""
    engines = [e for e in options.engines or ["nequip compiled"] if "compiled" in e]
    for threads in options.threads:
        for model in options.models:
            for task in options.tasks:
                yield job_of(options, "compile", model, task, threads, engines)


def machine_jobs(options: Namespace) -> Iterator[Job]:
    for threads in options.threads:
        short = {"seconds": min(options.seconds, SHORT)}
        yield {"job": "machine", "device": options.device, "threads": threads, "atoms": [0], **short}


def memory_jobs(options: Namespace) -> Iterator[Job]:
    """Each engine in a process of its own."""
    for model in options.models:
        for task in options.tasks:
            for engine in options.engines or default_engines(options.device, task):
                job = job_of(options, "memory", model, task, options.threads[0], [engine])
                yield job | {"atoms": [MEMORY_ATOMS]}


def time_jobs(options: Namespace) -> Iterator[Job]:
    """All engines interleaved in one process."""
    for threads in options.threads:
        for model in options.models:
            for task in options.tasks:
                engines = options.engines or default_engines(options.device, task)
                yield job_of(options, "time", model, task, threads, engines) | {"atoms": options.atoms}


def growth_jobs(options: Namespace) -> Iterator[Job]:
    """Models that differ in one number, and larger structures, on one thread and without compilations."""
    if options.device != "cpu":
        return
    short = {"seconds": min(options.seconds, SHORT)}
    for task in options.tasks:
        engines = [e for e in GROWTH_ENGINES if e in default_engines("cpu", task)]
        for model in GROWTH_MODELS:
            yield job_of(options, "growth", model, task, 1, engines) | {"atoms": [128], **short}
    mine = [engine for engine in GROWTH_ENGINES if engine in OURS]
    yield job_of(options, "growth", "4x32", "inference", 1, mine) | {"atoms": GROWTH_ATOMS, **short}


def batch_jobs(options: Namespace) -> Iterator[Job]:
    """64 structures together against one after the other; nequip's packages take one structure."""
    for model in options.models:
        engines = options.engines or default_engines(options.device, "inference")
        job = job_of(options, "batch", model, "inference", options.threads[0], engines)
        mine = [engine for engine in engines if engine in OURS and engine != "reference"]
        yield job | {"atoms": [BATCH_ATOMS], "engines": mine}


def largest_jobs(options: Namespace) -> Iterator[Job]:
    """The largest structure that a GPU's memory takes."""
    if options.device != "cuda":
        return
    for model in options.models:
        for engine in options.engines or default_engines(options.device, "inference"):
            yield job_of(options, "largest", model, "inference", 1, [engine])


def job_of(options: Namespace, part: str, model: str, task: str, threads: int, engines: Sequence[str]) -> Job:
    return {
        "job": part,
        "model": model,
        "task": task,
        "threads": threads,
        "device": options.device,
        "engines": list(engines),
        "seconds": options.seconds,
        "atoms": [0],
    }


JOBS_OF = {
    "machine": machine_jobs,
    "memory": memory_jobs,
    "time": time_jobs,
    "growth": growth_jobs,
    "batch": batch_jobs,
    "largest": largest_jobs,
}
