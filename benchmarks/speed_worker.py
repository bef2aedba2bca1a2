"""One job of `speed.py`, in a process of its own: measures, and appends each row to the file of records.

python benchmarks/speed_worker.py '{"job": "time", ...}'
"""

import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from speed_clock import copy_speed, matmul_speed, measure_rounds, peak_memory, synchronize
from speed_compile import use_cache
from speed_cost import cost_of
from speed_engines import Engine, Result, build_engine
from speed_models import FRAME_ATOMS, MODELS, batch_graph, build_ours, one_graph

from mlip.data.graph import Graph

Job = dict[str, Any]

logger = logging.getLogger(__name__)


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    job = json.loads(sys.argv[1])
    use_cache()
    torch.set_num_threads(job["threads"])
    JOBS[job["job"]](job)


def record(job: Job, **found: Any) -> None:
    """Append what was found, beside the job itself; "atoms" becomes the number of this row."""
    row = {**job, **found, "load": os.getloadavg()[0], "date": time.strftime("%Y-%m-%d")}
    with Path(job["records"]).open("a") as stream:
        stream.write(json.dumps(row) + "\n")


def graph_of(job: Job, atoms: int) -> Graph:
    """One structure for inference, a batch of small ones for training."""
    build = batch_graph if job["task"] == "training" else one_graph
    return build(atoms, MODELS[job["model"]]["r_max"])


def build_engines(job: Job) -> tuple[dict[str, Engine], dict[str, str]]:
    """The engines that work, and what is wrong with the others."""
    engines, failures = {}, {}
    for name in job["engines"]:
        with reported(failures, name):
            engine = build_engine(name, job["model"], job["task"], job["device"])
            engine(graph_of(job, 2 * FRAME_ATOMS))()  # always the same: torch finds its cache again
            engines[name] = engine
            logger.info("%s %s: %s is ready", job["model"], job["task"], name)
    return engines, failures


@contextmanager
def reported(failures: dict[str, str], name: str) -> Iterator[None]:
    """One engine that fails must not take the others' rows along: its row says so."""
    try:
        yield
    except Exception as error:
        logger.exception("%s failed", name)
        failures[name] = f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"


def time_engines(job: Job) -> None:
    """Interleaved steps of all engines that fit, a row per size."""
    engines, failures = build_engines(job)
    reference = build_ours(job["model"])
    for atoms in job["atoms"]:
        graph = graph_of(job, atoms)
        num_atoms, num_edges = len(graph.positions), graph.edge_index.shape[1]
        too_big = {name for name in engines if num_atoms > job["limits"].get(name, num_atoms)}
        steps = {name: engine(graph) for name, engine in engines.items() if name not in too_big}
        timings, results = measure_rounds(steps, job["device"], job["seconds"])
        for name in timings:
            cost = cost_of(reference, job["task"], num_atoms, num_edges, table="table" in name)
            timings[name] |= {"flops": cost.flops, "bytes": cost.bytes, **difference(results, name)}
        skipped = failures | dict.fromkeys(too_big, "does not fit")
        record(job, atoms=atoms, num_atoms=num_atoms, num_edges=num_edges, timings=timings, skipped=skipped)
        logger.info("%s %s %d atoms: %s", job["model"], job["task"], num_atoms, milliseconds(timings))


def milliseconds(timings: dict[str, dict[str, Any]]) -> str:
    return ", ".join(f"{name} {1000 * timing['wall']:.1f} ms" for name, timing in timings.items())


def difference(results: dict[str, Result], name: str) -> dict[str, Any]:
    """Of an engine's forces and norm of gradients from those of the first engine, relative to the largest."""
    first = next(iter(results))
    found, expected = results[name], results[first]
    error = (found.forces - expected.forces).abs().max() / expected.forces.abs().max()
    row: dict[str, Any] = {"compared_with": first, "force_difference": float(error)}
    if found.gradient_norm is not None and expected.gradient_norm is not None:
        row["gradient_difference"] = abs(found.gradient_norm / expected.gradient_norm - 1.0)
    return row


def measure_memory(job: Job) -> None:
    """Memory that one step of one engine takes beyond what stands there before."""
    engines, failures = build_engines(job)
    if failures:
        record(job, atoms=job["atoms"][0], skipped=failures)
        return
    graph = graph_of(job, job["atoms"][0])
    step = engines[job["engines"][0]](graph)
    num_atoms = len(graph.positions)
    per_atom = peak_memory(step, job["device"]) / num_atoms
    record(job, atoms=job["atoms"][0], num_atoms=num_atoms, bytes_per_atom=per_atom)


def measure_machine(job: Job) -> None:
    """What the machine does on a plain matrix product and on a plain copy."""
    device, seconds = job["device"], job["seconds"]
    record(
        job,
        atoms=0,
        flops_per_second=matmul_speed(device, seconds),
        bytes_per_second=copy_speed(device, seconds),
    )


def time_batch(job: Job) -> None:
    """64 structures of 64 atoms in one step, against one after the other."""
    engines, failures = build_engines(job)
    r_max = MODELS[job["model"]]["r_max"]
    together, single = batch_graph(64 * FRAME_ATOMS, r_max), one_graph(FRAME_ATOMS, r_max)
    steps = {}
    for name, engine in engines.items():
        steps[f"{name}, together"] = engine(together)
        steps[f"{name}, one after the other"] = repeated(engine(single), 64)
    timings, _ = measure_rounds(steps, job["device"], job["seconds"])
    record(job, atoms=job["atoms"][0], num_atoms=64 * FRAME_ATOMS, timings=timings, skipped=failures)


def repeated(step: Any, times: int) -> Any:
    """A step that makes another one many times."""

    def many() -> Result:
        for _ in range(times - 1):
            step()
        return step()

    return many


def find_largest(job: Job) -> None:
    """Double the structure until it fails; the row says how."""
    engines, failures = build_engines(job)
    largest, atoms = 0, 1000
    while engines:
        graph = graph_of(job, atoms)
        try:
            engines[job["engines"][0]](graph)()
            synchronize(job["device"])
        except RuntimeError as error:  # memory is full; AOTInductor has no class for it
            failures["beyond"] = str(error).splitlines()[0][:200]
            break
        largest, atoms = len(graph.positions), 2 * atoms
    record(job, atoms=0, largest=largest, skipped=failures)


def compile_only(job: Job) -> None:
    """Fill nequip's caches, for a later run."""
    engines, _ = build_engines(job)
    if not engines:
        raise SystemExit(1)


JOBS = {
    "time": time_engines,
    "growth": time_engines,
    "memory": measure_memory,
    "machine": measure_machine,
    "batch": time_batch,
    "largest": find_largest,
    "compile": compile_only,
}

if __name__ == "__main__":
    main()
