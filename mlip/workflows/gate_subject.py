"""A potential at the gates: its data, what dynamics starts from, and the runs that gates judge."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ase import Atoms
from omegaconf import DictConfig, OmegaConf

from md.engines.base import Backend
from md.engines.grade_watch import GradeLimits
from md.gates.dynamics import Held, hold
from md.protocols.stages import Stage
from md.start import read_structures
from mlip.data.read import read_frames
from mlip.deploy import MLIPCalculator
from mlip.errors import ConfigError, DataError
from mlip.inputs import as_names, resolve_input
from mlip.settings import build_group, build_settings


@dataclass(frozen=True)
class DynamicsSettings:
    """The runs of the gates energy, nvt, npt and rdf.

    Attributes:
        structure: What they start from; None for the largest periodic frame of the data.
        index: Which frame of that file.
        temperature_K: The hottest that the potential will be used at.
        pressure_GPa: Of npt.
        barostat: Of npt.
        timestep_fs: The one that will be used.
        duration_ps: Of each run.
        every_ps: Between stored frames.
    """

    structure: str | None = None
    index: int | None = None
    temperature_K: float = 300.0
    pressure_GPa: float = 0.0
    barostat: str = "iso"
    timestep_fs: float = 1.0
    duration_ps: float = 10.0
    every_ps: float = 0.05

    def stage(self, ensemble: str, temperature_K: float | None = None) -> Stage:
        """The stage of one run."""
        return Stage(
            name=ensemble,
            ensemble=ensemble,
            temperature_K=temperature_K or self.temperature_K,
            duration_ps=self.duration_ps,
            timestep_fs=self.timestep_fs,
            pressure_GPa=self.pressure_GPa,
            barostat=self.barostat,
            every_ps=self.every_ps,
        )


@dataclass(frozen=True)
class Subject:
    """A potential at the gates.

    Attributes:
        config: `conf/eval.yaml`, resolved.
        calculator: The potential.
        frames: The labelled data.
        folder: Where runs and figures of gates go, one folder a gate.
        dynamics: The runs.
    """

    config: DictConfig
    calculator: MLIPCalculator
    frames: Sequence[Atoms]
    folder: Path
    dynamics: DynamicsSettings

    @classmethod
    def open(cls, config: DictConfig, folder: Path) -> "Subject":
        """Load what all gates need.

        Raises:
            ConfigError: Settings that make no sense.
            DataError: The data cannot be read.
            PotentialError: The potential cannot be read.
        """
        calculator = MLIPCalculator(config.potential, config.device, kernel=config.kernel)
        frames = read_frames(as_names(config.data))
        return cls(config, calculator, frames, folder, gate_settings(config, "dynamics", DynamicsSettings))

    def start(self) -> Atoms:
        """What dynamics starts from.

        Raises:
            DataError: There is no frame that is periodic in three directions.
        """
        if self.dynamics.structure is not None:
            path = resolve_input(self.dynamics.structure)
            return read_structures(path, self.dynamics.index, several=False)[0]
        periodic = [atoms for atoms in self.frames if atoms.pbc.all() and len(atoms) > 1]
        if not periodic:
            raise DataError(
                "found no frame in data that is periodic in three directions; give what dynamics shall start "
                "from: gate.dynamics.structure=FILE"
            )
        return max(periodic, key=len)

    def hold(self, name: str, stage: Stage, start: Atoms) -> Held:
        """Run a stage with the engine of the config, in the folder of its gate."""
        backend: Backend = build_group(self.config, "engine")
        limits = GradeLimits.of_settings(None, "auto", self.calculator.grade_thresholds)
        seed = self.config.seed
        return hold(partial(backend.open, self.calculator), start, stage, self.folder / name, seed, limits)


def gate_values(config: DictConfig, group: str) -> dict[str, Any]:
    """Keys of a gate in the config.

    Raises:
        ConfigError: They are none.
    """
    values = OmegaConf.to_container(config.gate[group], resolve=True)
    if not isinstance(values, dict):
        raise ConfigError(f"found gate.{group}={values}; expected its keys, as mlip eval --help shows them")
    return {str(key): value for key, value in values.items()}


def gate_settings(config: DictConfig, group: str, kind: type[Any]) -> Any:
    """Keys of a gate as the frozen dataclass that owns them.

    Raises:
        ConfigError: One is unknown or makes no sense.
    """
    return build_settings(kind, gate_values(config, group), f"gate.{group}")
