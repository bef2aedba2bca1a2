"""The files that a run leaves of one system, and the writers that fill them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from md.engines.grade_watch import ExtrapolatingFrames, GradeLimits
from md.engines.observables import ObservablesTable
from md.protocols.stages import PlannedStage
from md.state import State
from md.storage import Storage
from md.thermo import Observation, ThermoWriter, cut_thermo, thermo_row
from md.trajectory import Trajectory
from md.trajectory_repair import cut_trajectory
from md.trajectory_writer import TrajectoryWriter


@dataclass(frozen=True)
class RunFiles:
    """Names of what a run leaves in its directory."""

    directory: Path

    @property
    def trajectory(self) -> Path:
        """Frames (H5MD)."""
        return self.directory / "trajectory.h5"

    @property
    def thermo(self) -> Path:
        """Table of thermodynamic quantities."""
        return self.directory / "thermo.csv"

    @property
    def observables(self) -> Path:
        """Table of what stages observe."""
        return self.directory / "observables.csv"

    @property
    def restart(self) -> Path:
        """The last checkpoint."""
        return self.directory / "restart.npz"

    @property
    def known(self) -> Path:
        """After an error: the last state that the potential knew, to go on from with another potential."""
        return self.directory / "known.npz"

    @property
    def final(self) -> Path:
        """The last structure (after an error: the last good one)."""
        return self.directory / "final.extxyz"

    @property
    def extrapolating(self) -> Path:
        """Frames of high extrapolation grade, for labelling."""
        return self.directory / "extrapolating.extxyz"


class Record:
    """Writes what a run leaves; what an earlier session wrote after `state` is cut away.

    Attributes:
        start: The first frame of the whole run, where it stood before its first step.
    """

    def __init__(
        self,
        files: RunFiles,
        stages: Sequence[PlannedStage],
        state: State,
        storage: Storage,
        limits: GradeLimits,
    ) -> None:
        """Open the files.

        Args:
            files: Where they are.
            stages: All stages of the protocol.
            state: Where the run starts or goes on.
            storage: What is stored beside the positions of all atoms.
            limits: Of the extrapolation grade.
        """
        files.directory.mkdir(parents=True, exist_ok=True)
        is_new = state.stage == 0 and state.steps_done == 0
        last = -1 if is_new else stages[state.stage].start_step + state.steps_done
        cut_trajectory(files.trajectory, last)
        cut_thermo(files.thermo, last)
        cut_thermo(files.observables, last)
        self.start = _first_frame(files.trajectory, state)
        self._files, self._stages, self._storage = files, stages, storage
        self._observables = ObservablesTable(files.observables, stages, self.start)
        self._extrapolating = ExtrapolatingFrames(files.extrapolating, limits, last)
        self._thermo = ThermoWriter(files.thermo)
        self._trajectory = TrajectoryWriter(files.trajectory, state, stages, storage)

    def close(self) -> None:
        """Close the files."""
        self._observables.close()
        self._thermo.close()
        self._trajectory.close()

    def note_grades(self, state: State, stage: PlannedStage, observation: Observation) -> None:
        """Keep a frame for labelling if its grades ask for it."""
        self._extrapolating.note(state, stage, observation.grades)

    def write(self, state: State, stage: PlannedStage, observation: Observation) -> None:
        """Store a frame and a row."""
        self._trajectory.append(state, stage, observation.potential_eV)
        self._thermo.append(thermo_row(state, stage, observation))
        self._observables.append(state, stage)

    def write_if_due(self, state: State, stage: PlannedStage, observation: Observation) -> None:
        """Store what is due after these steps: a frame and a row, species stored often, or nothing."""
        if state.steps_done % stage.steps_per_frame == 0:
            self.write(state, stage, observation)
        elif state.steps_done % self._storage.steps_between(stage) == 0:
            self._trajectory.append_often(state, stage)

    @contextmanager
    def lent_trajectory(self, state: State) -> Iterator[Path]:
        """The trajectory for others to read, until the block ends: nobody else can read what is open here."""
        self._trajectory.close()
        try:
            yield self._files.trajectory
        finally:
            self._trajectory = TrajectoryWriter(self._files.trajectory, state, self._stages, self._storage)


def _first_frame(trajectory: Path, state: State) -> State:
    """The first stored frame of a run that goes on, or the state that it starts from."""
    if not trajectory.exists():
        return state
    with Trajectory(trajectory) as frames:
        if len(frames) == 0:
            return state
        first = slice(0, 1)
        return replace(state, positions=frames.unwrapped(first)[0], cell=frames.cells[0])
