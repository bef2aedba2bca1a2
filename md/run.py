"""`mlip md`: a potential, a structure and a protocol become a trajectory."""

import logging
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ase.io
import numpy as np
from ase import Atoms
from omegaconf import DictConfig, OmegaConf

from md.engines.base import Backend
from md.engines.loop import simulate_systems
from md.engines.system_run import RunFiles, SystemRun, first_state
from md.protocols.read import read_protocol
from md.protocols.stages import PlannedStage, plan_stages, timestep_warnings
from md.state import State
from mlip.app import application
from mlip.errors import ConfigError, DataError
from mlip.inputs import resolve_input
from mlip.runs import Run
from mlip.settings import build_group

if TYPE_CHECKING:
    from mlip.deploy import MLIPCalculator

logger = logging.getLogger(__name__)


def run_md(config: DictConfig, run: Run) -> None:
    """Run a protocol, or go on with it from the last checkpoint in the run directory.

    Args:
        config: `conf/md.yaml`, resolved.
        run: The run directory.

    Raises:
        ConfigError: Settings that make no sense.
        DataError: The structure cannot be read, or is not one structure.
        PotentialError: The potential cannot be read, or lacks a species of the structure.
        SimulationError: The run left the physical regime.
    """
    protocol: Any = OmegaConf.to_container(config.protocol, resolve=True)
    stages = plan_stages(read_protocol(protocol))
    structure = State.from_atoms(read_structure(resolve_input(config.structure), config.index))
    for warning in timestep_warnings([each.stage for each in stages], structure.masses):
        logger.warning(warning)
    state = _load_checkpoint(run) or first_state(structure, stages, config.seed)
    backend: Backend = build_group(config, "engine")
    calculator = _open_potential(config, structure, stages)
    systems = [SystemRun(0, stages, state, run.path)]
    with closing(backend.open(calculator, [state], config.seed, run.path)) as engine:
        simulate_systems(engine, systems)
    files = RunFiles(run.path)
    logger.info("trajectory %s, final structure %s", files.trajectory, files.final)


def read_structure(path: Path, index: int | None) -> Atoms:
    """Read one structure.

    Args:
        path: Any file that ASE reads.
        index: Which frame; needed if the file has several.

    Raises:
        DataError: The file cannot be read, is empty, or has no frame of this index.
        ConfigError: The file has several frames and no index was given.
    """
    try:
        frames = ase.io.read(path, index=":")
    except Exception as error:  # ASE's readers raise whatever their format makes them raise
        raise DataError(
            f"cannot read {path} as a structure ({error}); expected a file that ASE reads"
        ) from None
    if not isinstance(frames, list) or not frames:
        raise DataError(f"{path} holds no structure; expected at least one")
    if index is None and len(frames) > 1:
        raise ConfigError(
            f"{path} holds {len(frames)} frames; say which one with index=0 ... {len(frames) - 1}"
        )
    try:
        atoms = frames[index or 0]
    except TypeError:
        raise ConfigError(f"found index={index}; expected a whole number or null") from None
    except IndexError:
        raise DataError(f"{path} holds {len(frames)} frames; found index={index}") from None
    if not np.isfinite(atoms.get_positions()).all():
        raise DataError(f"{path} has positions that are not finite; expected numbers in A")
    return atoms


def _load_checkpoint(run: Run) -> State | None:
    restart = RunFiles(run.path).restart
    return State.load(restart) if run.resumed and restart.exists() else None


def _open_potential(config: DictConfig, structure: State, stages: Sequence[PlannedStage]) -> "MLIPCalculator":
    """Load the potential; it must know the species, and should know stress where a stage needs it."""
    from mlip.data.graph import species_index  # torch: not for `mlip md --help`
    from mlip.deploy import MLIPCalculator

    calculator = MLIPCalculator(config.potential, config.device, config.dtype, config.kernel, config.radial)
    species_index(structure.to_atoms(), calculator.species)  # raises where the potential lacks a species
    at_pressure = [each.stage.name for each in stages if each.stage.ensemble == "npt"]
    if at_pressure and calculator.trained_on_stress is False:
        logger.warning(
            "stages %s hold a pressure, but no stress was in the training data: volumes are extrapolations",
            ", ".join(at_pressure),
        )
    return calculator


main = application(
    "md", run_md, inputs=("potential", "structure"), mutable=("device", "kernel", "engine.ranks")
)

if __name__ == "__main__":
    main()
