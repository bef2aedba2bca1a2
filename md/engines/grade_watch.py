"""The extrapolation grade along a run: when to stop, and frames to keep for labelling."""

import logging
import math
import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ase.io
import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from md.protocols.stages import PlannedStage
from md.state import State
from md.thermo import Observation
from mlip.errors import ConfigError, SimulationError
from mlip.whole_files import whole_file

if TYPE_CHECKING:
    from mlip.deploy.calculator import GradeThresholds

logger = logging.getLogger(__name__)

_STEP, _GRADES = "step", "extrapolation_grade"
_STEP_OF_FRAME = re.compile(rf"\b{_STEP}=(\d+)")


@dataclass(frozen=True)
class GradeLimits:
    """Grades above which something is done; infinite where nothing is.

    Attributes:
        stop: The system stops.
        mark: The frame is kept for labelling.
    """

    stop: float = math.inf
    mark: float = math.inf

    @classmethod
    def of_settings(cls, stop: Any, mark: Any, thresholds: "GradeThresholds | None") -> "GradeLimits":
        """Read the keys `grade` of conf/md.yaml.

        Args:
            stop: A number, `auto` for the potential's own threshold `stop`, None for never.
            mark: A number, `auto` for the potential's own threshold `select`, None for never.
            thresholds: The potential's own; None where it has no grade, and `auto` means never.

        Raises:
            ConfigError: No such value, or a number for a potential without a grade.
        """
        own = (math.inf, math.inf) if thresholds is None else (thresholds.stop, thresholds.select)
        numbers = [
            _limit(f"grade.{key}", value, default, thresholds is not None)
            for key, value, default in zip(("stop", "mark"), (stop, mark), own, strict=True)
        ]
        return cls(*numbers)

    def knows(self, grades: NDArray[np.float64] | None) -> bool:
        """Whether no atom has a grade, shape (N,), above either limit."""
        return grades is None or bool(grades.max() <= min(self.stop, self.mark))


def _limit(key: str, value: Any, own: float, has_grade: bool) -> float:
    if value is None:
        return math.inf
    if value == "auto":
        return own
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ConfigError(f"found {key}={value}; expected a number above zero, auto or null")
    if not has_grade:
        raise ConfigError(
            f"found {key}={value} for a potential without extrapolation grade; expected one that mlip train "
            "made, or a file deployed with grade=true"
        )
    return float(value)


def require_known_atoms(
    state: State, stage: PlannedStage, observation: Observation, limits: GradeLimits
) -> None:
    """Raise if an atom is further from the training data than the limit allows.

    Raises:
        SimulationError: Names the atom, its grade and the step.
    """
    if observation.grades is None or not observation.grades.max() > limits.stop:
        return
    atom = int(np.argmax(observation.grades))
    raise SimulationError(
        f"atom {atom} ({chemical_symbols[state.numbers[atom]]}) has an extrapolation grade of "
        f"{observation.grades[atom]:.3g} at step {stage.start_step + state.steps_done} (stage "
        f"{stage.stage.name}); expected at most {limits.stop:g}: label such frames and train on them, or go "
        "on with grade.stop=null"
    )


class ExtrapolatingFrames:
    """The file of frames to label: at most one in the time between two stored frames, and the last one."""

    def __init__(self, path: Path, limits: GradeLimits, last_step: int) -> None:
        """Look at a file, or at none; frames of an earlier session after `last_step` are dropped.

        Args:
            path: An extxyz file, made when there is something to write.
            limits: Frames of a higher grade are kept.
            last_step: Where the run goes on.
        """
        self._path, self._limits = path, limits
        self._last_step = _cut_frames(path, last_step) if path.exists() else -math.inf

    def note(self, state: State, stage: PlannedStage, grades: NDArray[np.float64] | None) -> None:
        """Keep a state of high grade, and any beyond the limit to stop.

        Args:
            state: The state.
            stage: Its stage.
            grades: Of its atoms, shape (N,), if there are any.
        """
        if grades is None or self._limits.knows(grades):
            return
        step = stage.start_step + state.steps_done
        is_due = step - self._last_step >= stage.steps_per_frame
        if step == self._last_step or not (is_due or grades.max() > self._limits.stop):
            return
        if math.isinf(self._last_step):
            logger.warning(
                "step %d: an extrapolation grade of %.3g; frames above %.3g are kept in %s",
                step,
                grades.max(),
                min(self._limits.mark, self._limits.stop),
                self._path,
            )
        atoms = state.to_atoms()
        atoms.arrays[_GRADES] = grades
        atoms.info |= {_STEP: step, "stage": stage.stage.name, "max_grade": float(grades.max())}
        ase.io.write(self._path, atoms, format="extxyz", append=True)
        self._last_step = step


def _cut_frames(path: Path, last_step: int) -> float:
    """Drop frames after a step and what a kill left incomplete; returns the step of the last one kept."""
    last = -math.inf
    with path.open() as stream, whole_file(path) as temporary, temporary.open("w") as kept:
        for head in stream:
            frame = [head, *islice(stream, int(head) + 1)]
            step = _STEP_OF_FRAME.search(frame[1]) if len(frame) == int(head) + 2 else None
            if step is None or not frame[-1].endswith("\n") or int(step[1]) > last_step:
                break
            kept.writelines(frame)
            last = int(step[1])
    return last
