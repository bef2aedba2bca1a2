"""A short run at one condition, which several gates judge; it goes on where a kill left it."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from md.analysis import Frames, load_frames
from md.engines.base import BatchEngine
from md.engines.entrance import first_state
from md.engines.grade_watch import GradeLimits
from md.engines.loop import simulate_systems
from md.engines.record import RunFiles
from md.engines.system_run import NO_LIMITS, SystemRun
from md.protocols.stages import Stage, plan_stages
from md.state import State
from mlip.deploy.gates import Check
from mlip.errors import SimulationError

# An engine for some systems, of a seed, with a folder for what it writes: `Backend.open` of one potential.
OpenEngine = Callable[[Sequence[State], int, Path], BatchEngine]

# Means of so many parts of a run say how well its drift is known.
_BLOCKS = 10


@dataclass(frozen=True)
class Held:
    """What came of a run.

    Attributes:
        stage: What was asked for.
        frames: Stored frames, the start among them.
        table: Columns of thermo.csv, each (T,).
        share_done: Steps done of those asked for.
        failure: Why it stopped before its end; empty if it did not.
        files: Where all of it is.
    """

    stage: Stage
    frames: Frames
    table: dict[str, NDArray[np.float64]]
    share_done: float
    failure: str
    files: RunFiles

    @property
    def num_atoms(self) -> int:
        """Of the structure."""
        return len(self.frames.numbers)

    def drift(self, column: str) -> tuple[float, float]:
        """Slope of an energy in thermo.csv and its standard error, eV/atom/ps; NaN for a run too short."""
        times, energies = self.table["time_ps"], self.table[column] / self.num_atoms
        if len(times) < 2 * _BLOCKS:
            return np.nan, np.nan
        time, energy = (
            np.array([block.mean() for block in np.array_split(values, _BLOCKS)])
            for values in (times, energies)
        )
        (slope, _), covariance = np.polyfit(time, energy, 1, cov=True)
        return float(slope), float(np.sqrt(covariance[0, 0]))


def hold(
    open_engine: OpenEngine,
    start: Atoms,
    stage: Stage,
    folder: Path,
    seed: int = 0,
    limits: GradeLimits = NO_LIMITS,
) -> Held:
    """Run one stage, or go on with it from the checkpoint in its folder.

    Args:
        open_engine: Opens the engine with the potential.
        start: Periodic in three directions.
        stage: Ensemble, temperature, time.
        folder: Where the files of the run go.
        seed: Of velocities and thermostats.
        limits: Of the extrapolation grade; frames above `mark` are kept in extrapolating.extxyz.

    Raises:
        ConfigError: The stage cannot be run on this structure.
        SimulationError: Atoms of the start overlap.
    """
    stages = plan_stages([stage])
    files = RunFiles(folder)
    is_new = not files.restart.exists()
    state = first_state(State.from_atoms(start), stages, seed) if is_new else State.load(files.restart)
    run = SystemRun(0, stages, state, folder, limits, seed=seed)
    failure = ""
    with closing(open_engine([state], seed, folder)) as engine:
        try:
            simulate_systems(engine, [run])
        except SimulationError as error:
            failure = str(error)
    (frames,) = load_frames(files.trajectory)
    table = np.atleast_1d(np.genfromtxt(files.thermo, delimiter=",", names=True))
    columns = {name: table[name] for name in table.dtype.names or ()}
    return Held(stage, frames, columns, run.steps_done / run.num_steps, failure, files)


def check_end(held: Held) -> Check:
    """Whether the run got to its end."""
    advice = (
        f"{held.failure}: label that structure and frames of {held.files.trajectory} before it, and add them"
    )
    return Check("steps done", 100.0 * held.share_done, "%", 100.0, advice, at_least=True)


def check_drift(held: Held, column: str, limit_meV: float) -> Check:
    """Whether an energy that should stay does: its slope, less two standard errors."""
    slope, error = held.drift(column)
    advice = (
        f"the energy drifts at timestep_fs={held.stage.timestep_fs:g}: take a shorter one or dtype=float64; "
        "if neither helps, forces are no gradient of the energy: train on forces, without noise in them"
    )
    if np.isnan(slope):
        advice = f"found {len(held.table['step'])} rows of energies, too few for a drift: make the run longer"
    value = 1000.0 * max(0.0, abs(slope) - 2.0 * error) if np.isfinite(slope) else np.nan
    return Check("drift beyond two standard errors", value, "meV/atom/ps", limit_meV, advice)
