"""What a run stores beside the positions of all atoms: velocities, and some species more often."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import atomic_numbers
from numpy.typing import NDArray

from md.protocols.stages import PlannedStage
from mlip.errors import ConfigError
from mlip.units import FS_PER_PS


@dataclass(frozen=True)
class Storage:
    """What is stored, and how often.

    Attributes:
        velocities: Whether velocities are.
        often: Symbols of the species that are stored more often than all atoms.
        every_ps: Time between their frames; a whole fraction of each stage's `every_ps`.
    """

    velocities: bool = False
    often: Sequence[str] = ()
    every_ps: float = 0.01

    def __post_init__(self) -> None:
        if not isinstance(self.velocities, bool):
            raise ConfigError(f"found velocities={self.velocities}; expected true or false")
        unknown = [symbol for symbol in self.often if atomic_numbers.get(symbol, 0) == 0]
        if unknown:
            raise ConfigError(f"found often.species={unknown[0]}; expected symbols of elements, such as Li")
        is_number = isinstance(self.every_ps, int | float) and not isinstance(self.every_ps, bool)
        if not is_number or not 0 < self.every_ps < np.inf:
            raise ConfigError(f"found often.every_ps={self.every_ps}; expected a number above zero")

    def atoms(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Places of the atoms stored often, shape (n,); none if nothing is stored more often.

        Raises:
            ConfigError: One of the species is not there.
        """
        wanted = [atomic_numbers[symbol] for symbol in self.often]
        missing = [symbol for symbol in self.often if atomic_numbers[symbol] not in numbers]
        if missing:
            raise ConfigError(f"found often.species={missing[0]}; expected species of the structure")
        return np.flatnonzero(np.isin(numbers, wanted))

    def steps_between(self, stage: PlannedStage) -> int:
        """Steps between frames of any kind in a stage.

        Raises:
            ConfigError: `every_ps` is no whole fraction of the stage's.
        """
        if not self.often:
            return stage.steps_per_frame
        steps = max(1, round(self.every_ps * FS_PER_PS / stage.stage.timestep_fs))
        if stage.steps_per_frame % steps:
            raise ConfigError(
                f"found often.every_ps={self.every_ps:g}, {steps} steps of stage {stage.stage.name}, whose "
                f"frames are {stage.steps_per_frame} steps apart; expected a whole fraction of its every_ps"
            )
        return steps
