"""What a terminal shows while systems move: a bar of all steps, and a line each while they are few."""

import math
import time
from collections.abc import Sequence
from types import TracebackType

from tqdm import tqdm

from md.engines.system_run import SystemRun
from md.thermo import Observation, thermo_row
from mlip.units import FS_PER_NS, SECONDS_PER_DAY

MOST_LINES = 8
_SECONDS_BETWEEN = 0.3
_LINE_ONLY = "{desc}"


class Progress:
    """Bars on a terminal; nothing where there is none, as in a log file."""

    def __init__(self, runs: Sequence[SystemRun]) -> None:
        """Start the bar of the steps of all systems."""
        total, done = sum(run.num_steps for run in runs), sum(run.steps_done for run in runs)
        self._bar = tqdm(total=total, initial=done, unit="step", disable=None, dynamic_ncols=True)
        self._systems = list(runs)
        self._lines: list[tqdm[None]] = []
        self._shown_at = -math.inf

    def update(self, num_steps: int) -> None:
        """Note that some steps are done."""
        self._bar.update(num_steps)

    def show(
        self, runs: Sequence[SystemRun], observations: Sequence[Observation], steps_per_s: float
    ) -> None:
        """Say how the systems in the engine are.

        Args:
            runs: The systems.
            observations: What the engine observes of each.
            steps_per_s: Steps that each of them does in a second.
        """
        if self._bar.disable or time.monotonic() - self._shown_at < _SECONDS_BETWEEN:
            return
        self._shown_at = time.monotonic()
        texts = [describe_system(*each, steps_per_s) for each in zip(runs, observations, strict=True)]
        if len(self._systems) == 1:
            self._bar.set_description(runs[0].stage.stage.name, refresh=False)
            self._bar.set_postfix_str(texts[0])
            return
        done = sum(run.is_done for run in self._systems)
        total = sum(ns_per_day(run, steps_per_s) for run in runs)
        self._bar.set_description(f"{done} of {len(self._systems)} systems done", refresh=False)
        self._bar.set_postfix_str(f"{len(runs)} at work, {total:.3g} ns/day in all")
        self._show_lines(runs, texts, steps_per_s)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for line in reversed(self._lines):
            line.close()
        self._bar.close()

    def _show_lines(self, runs: Sequence[SystemRun], texts: Sequence[str], steps_per_s: float) -> None:
        """A line each; none where they would fill the screen."""
        count = len(runs) if len(runs) <= MOST_LINES else 0
        while len(self._lines) < count:
            self._lines.append(
                tqdm(bar_format=_LINE_ONLY, position=len(self._lines) + 1, leave=False, dynamic_ncols=True)
            )
        for k, line in enumerate(self._lines):
            text = ""
            if k < count:
                left = format_span((runs[k].num_steps - runs[k].steps_done) / steps_per_s)
                text = f"  {runs[k].system:03d} {runs[k].stage.stage.name}: {texts[k]}, {left} left"
            line.set_description_str(text)


def describe_system(run: SystemRun, observation: Observation, steps_per_s: float) -> str:
    """Temperature and its target, pressure, density and speed of a system, as far as they are known."""
    row, target = thermo_row(run.state, run.stage, observation), run.stage.temperature_K(run.state.steps_done)
    parts = [f"{row.temperature_K:.0f} K" + ("" if target is None else f" (target {target:.0f})")]
    if observation.residual is not None:
        parts = [f"{observation.residual.force_eV_A:.2g} eV/A"]
    if math.isfinite(row.pressure_GPa):
        parts.append(f"{row.pressure_GPa:.2f} GPa")
    if math.isfinite(row.density_g_cm3):
        parts.append(f"{row.density_g_cm3:.3f} g/cm3")
    return ", ".join([*parts, f"{ns_per_day(run, steps_per_s):.3g} ns/day"])


def ns_per_day(run: SystemRun, steps_per_s: float) -> float:
    """Speed of one system in its present stage."""
    return steps_per_s * run.stage.stage.timestep_fs / FS_PER_NS * SECONDS_PER_DAY


def format_span(seconds: float) -> str:
    """A time span for people: 12 s, 5 min, 3.2 h, 2.1 days."""
    for limit, size, unit, form in (
        (100, 1, "s", ".0f"),
        (6000, 60, "min", ".0f"),
        (172800, 3600, "h", ".1f"),
    ):
        if seconds < limit:
            return f"{seconds / size:{form}} {unit}"
    return f"{seconds / 86400:.1f} days"
