"""Where structures come to rest: many in one batch of the potential, or one after another by any calculator.

Both ways are the same FIRE and end by the same rule, so that their energies agree to the tolerance.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ase.calculators.calculator import Calculator

from md.engines.ase import AseForces
from md.engines.base import Place
from md.engines.relaxation import RelaxationEngine
from md.engines.torch.engine import TorchBackend, TorchEngine
from md.protocols.stages import PlannedStage
from md.state import State
from md.thermo import Observation, Residual
from mlip.deploy import MLIPCalculator

# Steps from one look at who has come to rest to the next.
_STEPS_AT_ONCE = 10
# Those at rest leave a batch when they are so much of its atoms: to start it anew costs an evaluation.
_SHARE_AT_REST = 0.25


class Rest(NamedTuple):
    """A structure where its relaxation ended.

    Attributes:
        state: The structure.
        observation: Its energy and stress.
        residual: What is left to do.
    """

    state: State
    observation: Observation
    residual: Residual


def relax_one_by_one(
    states: Sequence[State], stages: Sequence[PlannedStage], calculator: Calculator, max_steps: int
) -> list[Rest]:
    """Relax structures in turn.

    Args:
        states: The structures.
        stages: The relaxation of each.
        calculator: Gives energy, forces and, where a cell relaxes, stress.
        max_steps: Of each at most.

    Raises:
        ConfigError: A cell shall relax, and there is no stress.
    """
    found = []
    for state, stage in zip(states, stages, strict=True):
        engine = RelaxationEngine(AseForces(calculator))
        engine.begin(stage, state)
        engine.advance(max_steps)
        found.append(Rest(engine.state(), engine.observe(), engine.residual))
    return found


def relax_together(
    states: Sequence[State], stages: Sequence[PlannedStage], calculator: MLIPCalculator, max_steps: int
) -> list[Rest]:
    """Relax structures side by side, as many as fit; those that wait take the places of those at rest.

    Args:
        states: The structures.
        stages: The relaxation of each.
        calculator: A `.mlip` potential.
        max_steps: Of each at most.
    """
    if not states:
        return []
    engine = TorchBackend().open(calculator, states, seed=0, run_dir=Path())
    waiting = deque(map(Place, range(len(states)), stages, states))
    active: list[Place] = []
    found: dict[int, Rest] = {}
    while waiting or active:
        while waiting and (engine.capacity is None or len(active) < engine.capacity):
            active.append(waiting.popleft())
        engine.begin(active)
        residuals = _advance_until_some_rest(engine, active, max_steps)
        reached = zip(active, engine.checkpoints(), engine.observe(), residuals, strict=True)
        active = []
        for place, state, observation, residual in reached:
            if residual.is_converged or residual.steps >= max_steps:
                found[place.system] = Rest(state, observation, residual)
            else:
                active.append(replace(place, state=state))
    return [found[number] for number in range(len(states))]


def _advance_until_some_rest(engine: TorchEngine, active: Sequence[Place], max_steps: int) -> list[Residual]:
    """Go on until enough atoms are at rest, or a structure has taken all its steps."""
    sizes = [len(place.state.numbers) for place in active]
    while True:
        residuals = [each.residual for each in engine.observe() if each.residual is not None]
        moving = [each.steps for each in residuals if not each.is_converged]
        at_rest = sum(size for size, each in zip(sizes, residuals, strict=True) if each.is_converged)
        left = max_steps - max(moving, default=max_steps)
        if left <= 0 or at_rest >= _SHARE_AT_REST * sum(sizes):
            return residuals
        engine.advance(min(_STEPS_AT_ONCE, left))
