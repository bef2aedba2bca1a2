"""`mlip learn`: explore, select, label, train, until the potential no longer extrapolates."""

import logging
import sys
from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from mlip.app import application
from mlip.errors import ConfigError
from mlip.labelers.labeler import Labeler
from mlip.runs import Run
from mlip.settings import build_group
from mlip.workflows.learning.choose import select
from mlip.workflows.learning.explore import explore
from mlip.workflows.learning.legs import all_passed, read_legs
from mlip.workflows.learning.plan import Budget, Plan, read_plan
from mlip.workflows.learning.records import END, PHASES, Generation, generations, write_json
from mlip.workflows.learning.report import write_loop_report
from mlip.workflows.learning.story import tell
from mlip.workflows.learning.teach import begin, deploy, label, train
from mlip.workflows.learning.trial import try_gates

logger = logging.getLogger(__name__)

STATUS = "status"


def run_learn(config: DictConfig, run: Run) -> None:
    """Go through generations, or go on where an earlier session was.

    Args:
        config: `conf/learn.yaml`, resolved.
        run: The run directory.

    Raises:
        ConfigError: Settings that make no sense.
        DataError: A structure or given data cannot be read.
        MlipError: Dynamics, labelling or training failed for reasons that no label would mend.
    """
    plan = read_plan(config)
    labeler: Labeler = build_group(config, "labeler")
    begin(config, plan, Generation(run.path, 0))
    (run.path / END).unlink(missing_ok=True)  # of a smaller budget
    number, end = 1, over_budget(plan.budget, run.path, 1)
    while end is None:
        generation = Generation(run.path, number)
        logger.info("\n--- generation %d ---", number)
        end = learn_generation(config, plan, generation, labeler)
        number += 1
        end = end or over_budget(plan.budget, run.path, number)
        write_loop_report(run.path)
    write_json(run.path / END, {"reason": end})
    if plan.gates is not None:
        try_gates(run.path, plan.gates, plan.device)
        write_loop_report(run.path)
    for line in tell(run.path):
        logger.info(line)


def learn_generation(config: DictConfig, plan: Plan, generation: Generation, labeler: Labeler) -> str | None:
    """Do what is left of a generation.

    Args:
        config: As of `run_learn`.
        plan: What is asked for.
        generation: Which one.
        labeler: What computes labels.

    Returns:
        Why the loop ends with it; None if it goes on.

    Raises:
        MlipError: A phase failed.
    """
    explored = generation.once("explore", partial(explore, plan, generation))
    if all_passed(explored):
        return "every explorer has run its protocol with one potential, without extrapolation"
    left = frames_left(plan.budget, generation)
    selected = generation.once("select", partial(select, plan, generation, explored, left))
    generation.once("label", partial(label, config, plan, generation, labeler))
    generation.once("train", partial(train, plan, generation))
    generation.once("deploy", partial(deploy, generation))
    for phase in PHASES[1:]:
        logger.info("%s: %s", phase, (generation.read(phase) or {})["reason"])
    is_stuck = any(leg.is_stuck for leg in read_legs(explored).values())
    if is_stuck and not selected["chosen"]:
        return "the set stops growing: explorers stop, and no new frame would add to the active sets"
    return None


def over_budget(budget: Budget, run_dir: Path, number: int) -> str | None:
    """Why there is no further generation of this number; None if there is."""
    if budget.generations is not None and number > budget.generations:
        return f"budget.generations={budget.generations} are done"
    computed = _computed(run_dir, number)
    if budget.labels is not None and computed >= budget.labels:
        return f"budget.labels={budget.labels} are spent"
    records = [each.read(phase) for each in generations(run_dir) for phase in PHASES]
    hours = sum(record["seconds"] for record in records if record) / 3600.0
    if budget.hours is not None and hours >= budget.hours and not _is_begun(run_dir, number):
        return f"budget.hours={budget.hours} are over"
    return None


def frames_left(budget: Budget, generation: Generation) -> int | None:
    """The most frames that a generation may label; None for any number."""
    limits = [] if budget.per_generation is None else [budget.per_generation]
    if budget.labels is not None:
        limits.append(budget.labels - _computed(generation.run_dir, generation.number))
    return min(limits, default=None)


def _computed(run_dir: Path, number: int) -> int:
    """Labels, failed ones among them, that generations before this one have paid for."""
    records = [each.read("label") for each in generations(run_dir) if each.number < number]
    return sum(record["computed"] for record in records if record)


def _is_begun(run_dir: Path, number: int) -> bool:
    return Generation(run_dir, number).path.exists()


def main() -> None:
    """Entry point of the verb; `mlip learn status RUN_DIR` only tells.

    Raises:
        ConfigError: `status` is not followed by the directory of a loop.
    """
    words = sys.argv[1:]
    if words[:1] != [STATUS]:
        _learn()
        return
    run_dir = Path(words[1].removeprefix("run_dir=")) if len(words) == 2 else None
    if run_dir is None or not generations(run_dir):
        raise ConfigError(
            f"found {' '.join(words)}; expected the directory of a loop: mlip learn status runs/learn"
        )
    sys.stdout.write("\n".join(tell(run_dir)) + "\n")


_learn = application(
    "learn",
    run_learn,
    inputs=("potential", "data", "valid", "structure"),
    mutable=(
        *("budget", "gates", "at_once", "workers", "cluster", "labeler.cores", "labeler.command"),
        *("device", "explorer.device", "explorer.job", "train.device", "train.job"),
    ),
)

if __name__ == "__main__":
    main()
