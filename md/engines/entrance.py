"""The states that runs and their stages start from."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from md.groups import mobile_atoms
from md.protocols.stages import PlannedStage
from md.state import State, draw_velocities, remove_drift
from mlip.errors import ConfigError


def first_state(state: State, stages: Sequence[PlannedStage], seed: int) -> State:
    """The state a run starts from: velocities drawn at the first stage's temperature.

    A first stage without temperature (NVE) keeps the velocities of the structure; a relaxation has none.

    Raises:
        ConfigError: There is a single atom that may move in dynamics, or the structure of such a run does not
            move.
    """
    mobile = mobile_atoms(state, stages[0])
    if mobile.sum() < 2 and not all(stage.is_relaxation for stage in stages):
        found = "one atom" if mobile.any() else "no atom"
        raise ConfigError(f"found {found} that may move; expected at least two: one has no internal motion")
    if stages[0].is_relaxation:
        return replace(state, velocities=np.zeros_like(state.velocities))
    start_K = stages[0].start_K
    if start_K is not None:
        return draw_velocities(state, start_K, seed, mobile)
    state = replace(state, velocities=mobile[:, None] * state.velocities)
    if state.kinetic_energy == 0.0:
        raise ConfigError(
            f"stage {stages[0].stage.name} starts without temperature_K from a structure without velocities; "
            "give temperature_K"
        )
    return state


def state_entering(state: State, stage: PlannedStage, seed: int) -> State:
    """The end of one stage as the start of the next; drift goes where the next one conserves momentum.

    Into a relaxation atoms come at rest, and out of it with new velocities, other ones than at the start.
    """
    mobile = mobile_atoms(state, stage)
    velocities = 0.0 * state.velocities if stage.is_relaxation else mobile[:, None] * state.velocities
    entered = replace(state, velocities=velocities, stage=stage.index, steps_done=0, internals={})
    if stage.draws_velocities and stage.start_K is not None:
        return draw_velocities(entered, stage.start_K, (seed, stage.index), mobile)
    return remove_drift(entered, mobile) if stage.degrees_of_freedom_removed else entered
