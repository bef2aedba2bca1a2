"""Clocks and meters of `speed.py`: interleaved times, peak memory, and what the machine does at best."""

import ctypes
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from speed_engines import Result, Step

FEWEST_ROUNDS, MOST_ROUNDS = 3, 25
MATRIX = 2048
COPIED = 2**26  # float32 numbers, 256 MiB: beyond any cache


def synchronize(device: str) -> None:
    """Wait until the device has done all it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def timed(step: Callable[[], Any], device: str) -> tuple[float, float, Any]:
    """Seconds of the wall (of a GPU: its events') and of the process for one call, and what it returned."""
    synchronize(device)
    if device == "cuda":
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        cpu = time.process_time()
        start.record()
        result = step()
        end.record()
        synchronize(device)
        return start.elapsed_time(end) / 1000.0, time.process_time() - cpu, result
    wall, cpu = time.perf_counter(), time.process_time()
    result = step()
    return time.perf_counter() - wall, time.process_time() - cpu, result


def measure_rounds(
    steps: Mapping[str, Step], device: str, seconds: float
) -> tuple[dict[str, dict[str, Any]], dict[str, Result]]:
    """Time steps in turn, A B C A B C ..., after one round that is not counted.

    Args:
        steps: By name of their engine.
        device: "cpu" or "cuda".
        seconds: For all rounds together, unless these are too few or too many.

    Returns:
        By engine: medians of both clocks, quartiles of the wall's and the number of rounds; first results.
    """
    first = {name: timed(step, device) for name, step in steps.items()}
    expected = sum(wall for wall, _, _ in first.values())
    rounds = int(min(MOST_ROUNDS, max(FEWEST_ROUNDS, seconds / max(expected, 1e-9))))
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            times[name].append(timed(step, device)[:2])
    rows = {}
    for name, pairs in times.items():
        walls, cpus = zip(*pairs, strict=True)
        low, median, high = statistics.quantiles(walls, n=4)
        rows[name] = {
            "wall": median,
            "cpu": statistics.median(cpus),
            "quartiles": [low, high],
            "rounds": rounds,
        }
    return rows, {name: result for name, (_, _, result) in first.items()}


def peak_memory(step: Step, device: str) -> float:
    """Bytes that a step takes at its peak beyond what stands there before."""
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        torch.cuda.synchronize()
        return float(torch.cuda.max_memory_allocated() - before)
    ctypes.CDLL(None).malloc_trim(0)  # what compilers freed goes back, or the step would take it unseen
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = resident("VmRSS")
    step()
    return resident("VmHWM") - before


def resident(field: str) -> float:
    """A size of this process in bytes, as Linux tells it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return 1024.0 * float(line.split()[1])
    raise OSError(f"/proc/self/status has no {field}")


def matmul_speed(device: str, seconds: float) -> float:
    """Floating-point operations per second of a product of two float32 matrices."""
    matrix = torch.rand(MATRIX, MATRIX, device=device)
    return 2.0 * MATRIX**3 / median_time(lambda: matrix @ matrix, device, seconds)


def copy_speed(device: str, seconds: float) -> float:
    """Bytes per second, read and written, of copying an array."""
    source = torch.rand(COPIED, device=device)
    target = torch.empty_like(source)
    return 2.0 * 4.0 * COPIED / median_time(lambda: target.copy_(source), device, seconds)


def median_time(step: Callable[[], Any], device: str, seconds: float) -> float:
    """Seconds by the clock that engines are judged by: the process's on one thread, the wall's else."""
    rows, _ = measure_rounds({"step": step}, device, seconds)
    alone = device == "cpu" and torch.get_num_threads() == 1
    return float(rows["step"]["cpu" if alone else "wall"])
