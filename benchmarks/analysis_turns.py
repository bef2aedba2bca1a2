"""Engines that take turns on the same frames: medians of their times, how far their curves are from ours."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from md.analysis import Frames

Row = dict[str, Any]
Engines = Mapping[str, Callable[[Frames], np.ndarray]]


def take_turns(
    task: str, size: tuple[int, int], frames: Frames, engines: Engines, compared: slice, turns: int
) -> list[Row]:
    """A row an engine; `ours` is one of them.

    Args:
        task: what is measured.
        size: atoms or ions, and frames.
        frames: what all work on.
        engines: name -> function from frames to a curve.
        compared: the part of the curves that is compared.
        turns: how often each is run.
    """
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in engines}
    curves = {}
    for _ in range(turns):
        for name, run in engines.items():
            start = time.perf_counter(), time.process_time()
            curves[name] = run(frames)
            times[name].append((time.perf_counter() - start[0], time.process_time() - start[1]))
    return [
        {
            "task": task,
            "engine": name,
            "atoms": size[0],
            "frames": size[1],
            "wall_s": statistics.median(wall for wall, _ in times[name]),
            "cpu_s": statistics.median(cpu for _, cpu in times[name]),
            "difference": float(np.max(np.abs(curves[name][compared] / curves["ours"][compared] - 1))),
        }
        for name in engines
    ]
