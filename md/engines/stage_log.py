"""What the log says of stages: how each begins, and whether a relaxation came to a minimum."""

import logging

from md.protocols.relaxation import Relaxation
from md.protocols.stages import PlannedStage
from md.thermo import Residual

logger = logging.getLogger(__name__)


def describe(stage: PlannedStage, steps_done: int) -> str:
    """A line for the log: ensemble, temperatures, length."""
    if stage.is_relaxation:
        cell = (
            "fixed cell"
            if stage.barostat is None
            else f"{stage.barostat} at {stage.stage.pressure_GPa:g} GPa"
        )
        going_on = f", going on at step {steps_done}" if steps_done else ""
        return f"relaxation, {cell}, at most {stage.num_steps} steps{going_on}"
    kelvin = "" if stage.start_K is None else f" {stage.start_K:g} K"
    if stage.start_K != stage.end_K:
        kelvin += f" -> {stage.end_K:g} K"
    length_ps = stage.time_ps(stage.num_steps) - stage.start_time_ps
    going_on = f", going on at step {steps_done}" if steps_done else ""
    return f"{stage.stage.ensemble}{kelvin}, {length_ps:g} ps, {stage.num_steps} steps{going_on}"


def log_end_of_relaxation(name: str, stage: PlannedStage, left: Residual) -> None:
    """Say whether a relaxation has come to a minimum, and what is left if it has not."""
    user = stage.stage
    if not isinstance(user, Relaxation):
        return
    found = f"largest force {left.force_eV_A:.2g} eV/A"
    if user.barostat is not None:
        found += f", stress {left.stress_GPa:.2g} GPa"
    if left.is_converged:
        logger.info("stage %s converged after %d steps: %s", name, left.steps, found)
        return
    logger.warning(
        "stage %s is no minimum, not converged in %d steps: %s; expected %g eV/A%s: give more max_steps",
        name,
        left.steps,
        found,
        user.force_tolerance_eV_A,
        "" if user.barostat is None else f" and {user.stress_tolerance_GPa:g} GPa",
    )
