"""The verb `mlip eval`: errors on labelled frames and, where asked for, the gates of a potential."""

import json
import logging
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from mlip.app import application
from mlip.deploy.gates import GATES, GateResult, write_record
from mlip.errors import ConfigError
from mlip.inputs import as_names, resolve_input, sha256
from mlip.report.html import FigureBlock, Highlight, Section, TableBlock, write_report
from mlip.report.panels import save_panels
from mlip.runs import Run
from mlip.settings import suggest
from mlip.workflows.gate_subject import Subject
from mlip.workflows.gate_trials import TRIALS, what_is_missing
from train.evaluate import run_eval

logger = logging.getLogger(__name__)

TITLES = {
    "pair_curves": "Curves of pairs",
    "equation_of_state": "Equation of state of crystals",
    "energy": "Conservation of energy",
    "nvt": "Stability at constant volume",
    "npt": "Stability at constant pressure",
    "rdf": "Structure beside reference dynamics",
    "cross_validation": "Cross validation",
}
_INTRO = (
    "What a potential has to pass before it is used. Passing is no proof: each gate looks for one way to "
    "fail, near the structures and temperatures that it was given."
)


def run_evaluation(config: DictConfig, run: Run) -> None:
    """Evaluate, then try gates as configured in `conf/eval.yaml`.

    Args:
        config: Resolved.
        run: The run directory.

    Raises:
        ConfigError: There is no such gate, or a gate that was named lacks a file it needs.
        DataError: A file cannot be read, or is not what a gate needs.
        PotentialError: The potential cannot be read, or lacks a species.
        MlipError: A training of the cross validation failed.
    """
    chosen = _chosen_gates(config)
    if not chosen:
        run_eval(config, run)
        return
    subject = Subject.open(config, run.path / "gates")
    missing = {name: reason for name in chosen if (reason := what_is_missing(name, subject))}
    if missing and config.gates != "all":
        name = next(iter(missing))
        raise ConfigError(f"cannot try the gate {name}: {missing[name]}")
    run_eval(config, run)
    results = []
    for name in (name for name in chosen if name not in missing):
        logger.info("gate %s", name)
        results.append(TRIALS[name](subject))
        _log(results[-1])
    for name, reason in missing.items():
        logger.info("gate %s not tried: %s", name, reason)
    _write(resolve_input(config.potential), results, missing, run.path)


def _chosen_gates(config: DictConfig) -> list[str]:
    """Names in the order in which they are tried."""
    asked = list(GATES) if config.gates == "all" else as_names(config.gates)
    unknown = [name for name in asked if name not in GATES]
    if unknown:
        raise ConfigError(f"found gates={unknown[0]}; {suggest(unknown[0], ('all', *GATES))}")
    return [name for name in GATES if name in asked]


def _log(result: GateResult) -> None:
    for check in result.checks:
        logger.info("  %s %s", "passed" if check.passed else "FAILED", check)
    for advice in result.advice:
        logger.warning("%s: %s", result.name, advice)


def _write(potential: Path, results: list[GateResult], missing: dict[str, str], folder: Path) -> None:
    """`gates.json` and `report.html` in the run, and the record beside the potential."""
    content: dict[str, Any] = {
        "potential": {"file": str(potential), "sha256": sha256(potential)},
        "gates": {result.name: result.to_dict() for result in results},
        "not_tried": missing,
    }
    (folder / "gates.json").write_text(json.dumps(content, indent=2))
    passed = [result.name for result in results if result.passed]
    sections = [_section(result, folder / "gates") for result in results]
    cards = [
        Highlight("gates passed", f"{len(passed)} of {len(results)}", "", ", ".join(passed)),
        Highlight("not tried", str(len(missing)), "", ", ".join(missing)),
    ]
    report = write_report(
        folder / "report.html", f"Gates of {potential.name}", _INTRO, sections, cards, content["potential"]
    )
    logger.info("%d of %d gates passed; report %s", len(passed), len(results), report)
    try:
        logger.info("recorded in %s, which mlip deploy reads", write_record(potential, results))
    except OSError as error:
        logger.warning("no record beside the potential for mlip deploy (%s)", error.strerror or error)


def _section(result: GateResult, folder: Path) -> Section:
    rows = [
        (
            "passed" if c.passed else "FAILED",
            c.name,
            c.value,
            "at least" if c.at_least else "at most",
            c.limit,
            c.unit,
        )
        for c in result.checks
    ]
    figures = []
    if result.panels:
        image = save_panels(result.panels, folder / f"{result.name}.png")
        figures.append(FigureBlock(image, f"{result.method}. Crosses mark what did not pass.", wide=True))
    header = ("", "number", "found", "", "limit", "unit")
    verdict = "Passed." if result.passed else "Not passed."
    return Section(
        TITLES[result.name],
        f"{verdict} {result.method}.",
        figures,
        [TableBlock(header, rows)],
        warnings=result.advice,
    )


main = application(
    "eval",
    run_evaluation,
    inputs=(
        "potential",
        "data",
        "committee",
        "gate.dynamics.structure",
        "gate.equation_of_state.crystals",
        "gate.rdf.trajectory",
    ),
    mutable=("gates",),
)

if __name__ == "__main__":
    main()
