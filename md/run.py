"""`mlip md`: a potential, a structure and a protocol become a trajectory."""

import logging
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from md.engines.base import Backend
from md.engines.entrance import first_state
from md.engines.grade_watch import GradeLimits
from md.engines.loop import simulate_systems
from md.engines.record import RunFiles
from md.engines.system_run import SystemRun
from md.groups import require_groups, select_groups
from md.protocols.read import read_protocol
from md.protocols.stages import PlannedStage, plan_stages, timestep_warnings, transport_warnings
from md.start import first_structures
from md.state import State
from md.storage import Storage
from mlip.app import application
from mlip.errors import ConfigError
from mlip.inputs import as_names, resolve_input
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
    backend: Backend = build_group(config, "engine")
    _require_known(stages, backend)
    groups: Any = OmegaConf.to_container(config.groups, resolve=True) if config.groups else {}
    require_groups(stages, groups)
    structures = [
        replace(each, groups=select_groups(groups, each)) for each in first_structures(config, backend)
    ]
    masses = np.concatenate([structure.masses for structure in structures])
    for warning in [*timestep_warnings([each.stage for each in stages], masses), *transport_warnings(stages)]:
        logger.warning(warning)
    folders = _folders(run, len(structures))
    states = [
        _load_checkpoint(run, folder) or _first_state(config, structure, stages, config.seed + k)
        for k, (structure, folder) in enumerate(zip(structures, folders, strict=True))
    ]
    calculator = _open_potential(config, structures, stages)
    limits = GradeLimits.of_settings(config.grade.stop, config.grade.mark, calculator.grade_thresholds)
    storage = Storage(config.velocities, as_names(config.often.species), config.often.every_ps)
    systems = [
        SystemRun(k, stages, *each, limits, storage, config.seed + k)
        for k, each in enumerate(zip(states, folders, strict=True))
    ]
    with closing(backend.open(calculator, states, config.seed, run.path)) as engine:
        simulate_systems(engine, systems)
    logger.info("trajectory.h5, thermo.csv and final.extxyz are in %s", ", ".join(map(str, folders[:3])))


def _require_known(stages: Sequence[PlannedStage], backend: Backend) -> None:
    """Refuse at the start what the engine would refuse hours later."""
    for stage in stages:
        lacking = [key for key in stage.stage.needs if key not in backend.features]
        if lacking:
            raise ConfigError(
                f"stage {stage.stage.name} has {lacking[0]}, which the engine lacks; expected engine=torch"
            )


def _folders(run: Run, count: int) -> list[Path]:
    """Where each system leaves its files."""
    if count == 1:
        return [run.path]
    return [run.path / "systems" / f"{k:03d}" for k in range(count)]


def _load_checkpoint(run: Run, folder: Path) -> State | None:
    restart = RunFiles(folder).restart
    return State.load(restart) if run.resumed and restart.exists() else None


def _first_state(config: DictConfig, structure: State, stages: Sequence[PlannedStage], seed: int) -> State:
    """Where the protocol begins, or where another run of it was; thermostats and barostats start anew.

    Raises:
        ConfigError: The other run was not one of this structure and protocol.
    """
    if config.restart is None:
        return first_state(structure, stages, seed)
    state = State.load(resolve_input(config.restart))
    is_inside = state.stage < len(stages) and state.steps_done <= stages[state.stage].num_steps
    if not is_inside or not np.array_equal(state.numbers, structure.numbers):
        raise ConfigError(
            f"found restart={config.restart} of {len(state.numbers)} atoms, stage {state.stage}, step "
            f"{state.steps_done}; expected a state of this structure within this protocol"
        )
    return replace(state, internals={})


def _open_potential(
    config: DictConfig, structures: Sequence[State], stages: Sequence[PlannedStage]
) -> "MLIPCalculator":
    """Load the potential; it must know the species, and should know stress where a stage needs it."""
    from mlip.data.graph import species_index  # torch: not for `mlip md --help`
    from mlip.deploy import MLIPCalculator

    calculator = MLIPCalculator(config.potential, config.device, config.dtype, config.kernel, config.radial)
    for structure in structures:
        species_index(structure.to_atoms(), calculator.species)  # raises where the potential lacks a species
    at_pressure = [each.stage.name for each in stages if each.barostat is not None]
    if at_pressure and calculator.trained_on_stress is False:
        logger.warning(
            "stages %s hold a pressure, but no stress was in the training data: volumes are extrapolations",
            ", ".join(at_pressure),
        )
    return calculator


main = application(
    "md",
    run_md,
    inputs=("potential", "structure", "restart"),
    mutable=("device", "kernel", "engine.ranks", "grade.stop", "grade.mark"),
)

if __name__ == "__main__":
    main()
