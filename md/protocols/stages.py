"""One stage of a simulation: an ensemble held, or a temperature ramp, for a time.

A `Stage` is what a user writes; a `PlannedStage` is the same stage with everything that depends on its
neighbors resolved: where it starts, its temperatures, its number of steps.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from md.protocols.until import Until
from mlip.errors import ConfigError
from mlip.units import FS_PER_PS

ENSEMBLES = ("nve", "nvt", "npt")
RELAX = "relax"
THERMOSTATS = ("nose_hoover_chain", "velocity_rescaling", "langevin")
BAROSTATS = ("iso", "z", "xy", "orthorhombic", "flexible")
OBSERVABLES = ("reduction", "flux")

# 2 fs is the usual limit for Li (DESIGN: 0.5-2 fs); the period of a bond scales with the root of the mass.
_LONGEST_TIMESTEP_OF_LI_FS = 2.0
_MASS_OF_LI = 6.94


@dataclass(frozen=True)
class Stage:
    """One stage as a user writes it.

    Attributes:
        name: Its name in the protocol, the trajectory and the log.
        ensemble: `nve`, `nvt` or `npt`.
        temperature_K: A temperature held, or [from, to] for a linear ramp. With `rate_K_per_ps` one number is
            the end of a ramp that starts where the stage before ended. For `nve` only the velocities drawn at
            the very start of a run use it.
        duration_ps: How long; either this or `rate_K_per_ps`.
        rate_K_per_ps: Speed of a ramp, positive also on cooling.
        timestep_fs: Time step.
        thermostat: `nose_hoover_chain` (3 links), `velocity_rescaling` (stochastic) or `langevin`. In `npt`
            the barostat is Martyna-Tobias-Klein's with the first, stochastic cell rescaling with the second.
        tdamp_fs: Relaxation time of the thermostat; the friction of Langevin is its inverse.
        pressure_GPa: Target pressure of `npt`.
        barostat: What may change in `npt`: `iso` the volume, `z` the third cell vector's length, `xy` the
            area of the first two (one factor for both), `orthorhombic` three lengths, each by itself,
            `flexible` the whole cell.
        pdamp_fs: Relaxation time of the barostat.
        frozen: Names of groups whose atoms do not move; in `npt` they follow the cell.
        tethered: Name of a group: spring constant, eV/A^2, that holds each of its atoms to where it stands
            when the stage starts.
        thermostat_groups: Names of groups whose atoms alone the thermostat touches; empty for all atoms.
        bias: Name: a callable for Hydra (`_target_` and its arguments) that gives energy and forces from
            positions and cell, such as `md.engines.torch.bias.Wall`.
        every_ps: Time between stored frames (and rows of thermo.csv).
        production: Its frames are samples for averages; a ramp's never are.
        until: The protocol ends with this stage if ions hardly moved in it.
        observe: What is written into observables.csv at each frame.
        volume: The stage starts with the cell scaled to this volume, relative to that at the start of the
            run; or to the volume that the search of this name found.
        search: Name of the search of the volume that its pressure is a sample for.
    """

    name: str
    ensemble: str
    temperature_K: float | tuple[float, float] | None = None
    duration_ps: float | None = None
    rate_K_per_ps: float | None = None
    timestep_fs: float = 1.0
    thermostat: str = "nose_hoover_chain"
    tdamp_fs: float = 100.0
    pressure_GPa: float = 0.0
    barostat: str = "iso"
    pdamp_fs: float = 1000.0
    frozen: tuple[str, ...] = ()
    tethered: Mapping[str, float] = field(default_factory=dict)
    thermostat_groups: tuple[str, ...] = ()
    bias: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    every_ps: float = 0.1
    production: bool = True
    until: Until | None = None
    observe: tuple[str, ...] = ()
    volume: float | str | None = None
    search: str | None = None

    def __post_init__(self) -> None:
        self._require_choice("ensemble", ENSEMBLES)
        self._require_choice("thermostat", THERMOSTATS)
        self._require_choice("barostat", BAROSTATS)
        if not isinstance(self.volume, str | None):
            self._require_positive("volume", self.volume)
        for key in ("duration_ps", "rate_K_per_ps", "timestep_fs", "tdamp_fs", "pdamp_fs", "every_ps"):
            if getattr(self, key) is not None:
                self._require_positive(key, getattr(self, key))
        for name in self.observe:
            if name not in OBSERVABLES:
                raise ConfigError(
                    f"stage {self.name} has observe={list(self.observe)}; expected some of "
                    f"{', '.join(OBSERVABLES)}"
                )
        self._require_number("pressure_GPa", self.pressure_GPa)
        for temperature in self._temperatures():
            self._require_positive("temperature_K", temperature)
        self._check_temperature_against_ensemble()
        self._check_length()
        self._check_npt()

    def count_frames(self, start_K: float | None, end_K: float | None) -> tuple[int, int]:
        """Steps between stored frames, and the number of frames after the first.

        A duration that is no whole number of frames is rounded up to one, so that frames are evenly spaced.
        """
        duration_ps = self.duration_ps or abs(end_K - start_K) / self.rate_K_per_ps  # type: ignore[operator]
        steps_per_frame = max(1, round(self.every_ps * FS_PER_PS / self.timestep_fs))
        # 1e-6: a quotient such as 0.3 / 0.1 must not round up to one frame more
        num_frames = math.ceil(duration_ps * FS_PER_PS / self.timestep_fs / steps_per_frame - 1e-6)
        return steps_per_frame, max(1, num_frames)

    @property
    def is_ramp(self) -> bool:
        """Whether the temperature changes in the course of the stage."""
        return isinstance(self.temperature_K, tuple) or self.rate_K_per_ps is not None

    @property
    def groups(self) -> set[str]:
        """Names of the groups of atoms that it treats apart."""
        return {*self.frozen, *self.tethered, *self.thermostat_groups}

    @property
    def needs(self) -> list[str]:
        """What not every engine has."""
        needs = [key for key in ("frozen", "tethered", "thermostat_groups", "bias") if getattr(self, key)]
        if self.ensemble == "npt" and self.thermostat == "velocity_rescaling":
            needs.append("npt with velocity_rescaling")
        if self.ensemble == "npt" and self.barostat == "orthorhombic":
            needs.append("barostat=orthorhombic")
        return needs

    def _temperatures(self) -> tuple[float, ...]:
        if self.temperature_K is None:
            return ()
        return self.temperature_K if isinstance(self.temperature_K, tuple) else (self.temperature_K,)

    def _require_choice(self, key: str, choices: Sequence[str]) -> None:
        if getattr(self, key) not in choices:
            raise ConfigError(
                f"stage {self.name} has {key}={getattr(self, key)}; expected one of {', '.join(choices)}"
            )

    def _require_number(self, key: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ConfigError(f"stage {self.name} has {key}={value}; expected a number")

    def _require_positive(self, key: str, value: Any) -> None:
        self._require_number(key, value)
        if value <= 0:
            raise ConfigError(f"stage {self.name} has {key}={value}; expected a number above zero")

    def _check_temperature_against_ensemble(self) -> None:
        if self.ensemble != "nve" and self.temperature_K is None:
            raise ConfigError(f"stage {self.name} ({self.ensemble}) has no temperature_K; give it one")
        if self.ensemble == "nve" and self.is_ramp:
            raise ConfigError(
                f"stage {self.name} ramps the temperature in nve; expected nvt or npt for a ramp"
            )

    def _check_npt(self) -> None:
        if self.ensemble != "npt":
            return
        if self.thermostat == "langevin":
            raise ConfigError(
                f"stage {self.name} asks npt with langevin; expected thermostat=nose_hoover_chain for npt"
            )
        if self.thermostat == "velocity_rescaling" and self.barostat == "flexible":
            raise ConfigError(
                f"stage {self.name} asks a flexible cell of velocity_rescaling; expected "
                "thermostat=nose_hoover_chain for it"
            )
        if self.bias or self.tethered:
            key = "bias" if self.bias else "tethered"
            raise ConfigError(
                f"stage {self.name} has {key} in npt, whose pressure would not know of it; expected nvt"
            )

    def _check_length(self) -> None:
        if (self.duration_ps is None) == (self.rate_K_per_ps is None):
            raise ConfigError(
                f"stage {self.name} has duration_ps={self.duration_ps} and "
                f"rate_K_per_ps={self.rate_K_per_ps}; expected exactly one of the two (null unsets the other)"
            )


@dataclass(frozen=True)
class PlannedStage:
    """A stage in its place in a run.

    Attributes:
        stage: What the user wrote.
        index: Place in the protocol, from zero.
        start_K, end_K: Target temperatures at its ends, None for `nve` without a temperature.
        num_steps: Steps in the stage, a multiple of `steps_per_frame`.
        steps_per_frame: Steps between stored frames.
        start_step, start_time_ps: The clock when it starts.
        draws_velocities: Whether it starts with new velocities: nothing before it moved the atoms in time.
    """

    stage: Stage
    index: int
    start_K: float | None
    end_K: float | None
    num_steps: int
    steps_per_frame: int
    start_step: int
    start_time_ps: float
    draws_velocities: bool = False

    @property
    def is_relaxation(self) -> bool:
        """Whether it goes to a minimum of the energy, without time and velocities."""
        return self.stage.ensemble == RELAX

    @property
    def barostat(self) -> str | None:
        """What may change of the cell, None for nothing."""
        return self.stage.barostat if self.is_relaxation or self.stage.ensemble == "npt" else None

    @property
    def degrees_of_freedom_removed(self) -> int:
        """3 where total momentum is conserved at zero; 0 where a bath, a tether or a wall changes it."""
        user = self.stage
        langevin = user.ensemble == "nvt" and user.thermostat == "langevin"
        return 0 if langevin or self.is_relaxation or user.groups or user.bias else 3

    @property
    def production(self) -> bool:
        """Whether its frames are samples for averages."""
        return self.stage.production and self.start_K == self.end_K

    def temperature_K(self, steps_done: int) -> float | None:
        """Target temperature after `steps_done` steps of the stage, K."""
        if self.start_K is None or self.end_K is None:
            return None
        return self.start_K + (self.end_K - self.start_K) * steps_done / self.num_steps

    def between(self, steps_before: int, steps_done: int) -> str:
        """Where something happened, for a message."""
        steps = f"{self.start_step + steps_before} and {self.start_step + steps_done}"
        return f"between steps {steps} (stage {self.stage.name})"

    def time_ps(self, steps_done: int) -> float:
        """Time since the start of the run after `steps_done` steps of the stage, ps."""
        return self.start_time_ps + steps_done * self.stage.timestep_fs / FS_PER_PS


def plan_stages(stages: Sequence[Stage]) -> list[PlannedStage]:
    """Resolve start temperatures, numbers of steps and clocks of stages that follow each other.

    Raises:
        ConfigError: There is no stage, two have one name, a ramp has no start, or nothing would move.
    """
    if not stages:
        raise ConfigError(
            "found a protocol without stages; expected at least one NAME: {ensemble: ...} entry"
        )
    planned: list[PlannedStage] = []
    for index, stage in enumerate(stages):
        before = planned[-1] if planned else None
        start_K, end_K = _resolve_temperatures(stage, before)
        steps_per_frame, num_frames = stage.count_frames(start_K, end_K)
        planned.append(
            PlannedStage(
                stage=stage,
                index=index,
                start_K=start_K,
                end_K=end_K,
                num_steps=num_frames * steps_per_frame,
                steps_per_frame=steps_per_frame,
                start_step=before.start_step + before.num_steps if before else 0,
                start_time_ps=before.time_ps(before.num_steps) if before else 0.0,
                draws_velocities=start_K is not None and (before is None or before.is_relaxation),
            )
        )
    return planned


def _resolve_temperatures(stage: Stage, before: PlannedStage | None) -> tuple[float | None, float | None]:
    """Target temperatures at both ends of a stage, K."""
    if stage.ensemble == "nve" and stage.temperature_K is None and before and before.is_relaxation:
        raise ConfigError(
            f"stage {stage.name} (nve) follows a relaxation, which leaves atoms at rest; give temperature_K"
        )
    if isinstance(stage.temperature_K, tuple):
        start, end = stage.temperature_K
        if stage.rate_K_per_ps is not None and start == end:
            raise ConfigError(f"stage {stage.name} ramps from {start} K to itself; expected two temperatures")
        return start, end
    if stage.rate_K_per_ps is None:
        return stage.temperature_K, stage.temperature_K
    if before is None or before.end_K is None:
        raise ConfigError(
            f"stage {stage.name} gives the end of a ramp, and nothing before it says where the ramp starts; "
            "expected temperature_K: [from, to]"
        )
    if before.end_K == stage.temperature_K:
        raise ConfigError(
            f"stage {stage.name} ramps to {stage.temperature_K} K, where the stage before already ends; "
            "expected another temperature, or duration_ps in place of rate_K_per_ps"
        )
    return before.end_K, stage.temperature_K


def timestep_warnings(stages: Sequence[Stage], masses: ArrayLike) -> list[str]:
    """Say which stages have a time step too long for the lightest atom.

    Args:
        stages: The stages of a protocol.
        masses: Atomic masses, shape (N,), amu.
    """
    lightest = float(np.min(masses))
    limit_fs = _LONGEST_TIMESTEP_OF_LI_FS * math.sqrt(lightest / _MASS_OF_LI)
    return [
        f"stage {stage.name} has timestep_fs={stage.timestep_fs:g}, too long for an atom of "
        f"{lightest:.2f} amu: energy will drift; expected at most {limit_fs:.1f} fs"
        for stage in stages
        if stage.timestep_fs > limit_fs * 1.01
    ]


def transport_warnings(stages: Sequence[PlannedStage]) -> list[str]:
    """Say which stages of production have a thermostat that changes how ions move."""
    return [
        f"stage {each.stage.name} samples under thermostat=langevin, whose friction changes diffusion: no "
        "diffusivity should come of it; expected nose_hoover_chain, or production=false"
        for each in stages
        if each.production and each.stage.ensemble != "nve" and each.stage.thermostat == "langevin"
    ]
