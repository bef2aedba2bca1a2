"""The stage that has no time: atoms, and on request the cell, go to a minimum of the potential energy."""

import math
from dataclasses import dataclass, field

from md.protocols.stages import BAROSTATS, Stage
from mlip.errors import ConfigError


@dataclass(frozen=True)
class Relaxation(Stage):
    """A relaxation as a user writes it; what dynamics have beside these keys it has not.

    Attributes:
        barostat: What may change of the cell, as in `npt`; None for nothing.
        pressure_GPa: Outside pressure on a cell that may change.
        force_tolerance_eV_A: It has converged when the largest force on an atom is no larger than this
        stress_tolerance_GPa: and what may change of the cell feels no more than this beside the pressure.
        max_steps: It ends after so many steps in any case, rounded up to whole frames.
        every_steps: Steps between stored frames.
    """

    ensemble: str = "relax"
    barostat: str | None = None  # type: ignore[assignment]
    force_tolerance_eV_A: float = 0.01
    stress_tolerance_GPa: float = 0.01
    max_steps: int = 1000
    every_steps: int = 10
    temperature_K: None = field(init=False, default=None)
    duration_ps: None = field(init=False, default=None)
    rate_K_per_ps: None = field(init=False, default=None)
    timestep_fs: float = field(init=False, default=0.0)  # its steps take no time
    thermostat: str = field(init=False, default="none")
    tdamp_fs: float = field(init=False, default=math.inf)
    pdamp_fs: float = field(init=False, default=math.inf)
    every_ps: float = field(init=False, default=0.0)
    thermostat_groups: tuple[str, ...] = field(init=False, default=())
    until: None = field(init=False, default=None)
    volume: None = field(init=False, default=None)
    production: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        if self.barostat is not None:
            self._require_choice("barostat", BAROSTATS)
        self._require_number("pressure_GPa", self.pressure_GPa)
        for key in ("force_tolerance_eV_A", "stress_tolerance_GPa", "max_steps", "every_steps"):
            self._require_positive(key, getattr(self, key))
        for key in ("max_steps", "every_steps"):
            if not isinstance(getattr(self, key), int):
                raise ConfigError(
                    f"stage {self.name} has {key}={getattr(self, key)}; expected a whole number of steps"
                )
        if self.barostat is None and self.pressure_GPa != 0.0:
            raise ConfigError(
                f"stage {self.name} has pressure_GPa={self.pressure_GPa} and a fixed cell; expected a "
                f"barostat, one of {', '.join(BAROSTATS)}, so that the cell gives way to it"
            )

    def count_frames(self, start_K: float | None, end_K: float | None) -> tuple[int, int]:
        """Steps between stored frames, and the number of frames after the first."""
        steps_per_frame = min(self.every_steps, self.max_steps)
        return steps_per_frame, math.ceil(self.max_steps / steps_per_frame)
