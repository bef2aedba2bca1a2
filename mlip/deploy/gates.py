"""What a potential has to pass before it is used, and the record of it beside the potential.

`mlip eval gates=` tries the gates and writes `NAME.gates.json` beside `NAME.mlip`; `mlip deploy` reads it.
The record belongs to the bytes of one potential: after another training it counts for nothing.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlip.errors import DataError
from mlip.inputs import sha256
from mlip.report.panels import Panel
from mlip.whole_files import whole_file

# In the order in which they are tried: what takes seconds first.
GATES = ("pair_curves", "equation_of_state", "energy", "nvt", "npt", "rdf", "cross_validation")


@dataclass(frozen=True)
class Check:
    """One number of a gate and the limit that it has to keep.

    Attributes:
        name: What was measured, such as `Li-N deepest hole`.
        value: NaN where it could not be measured, which does not pass.
        unit: Of value and limit.
        limit: The largest value that passes; the smallest with `at_least`.
        advice: What to add to the data, or to change, where it does not pass.
        at_least: Whether large values pass.
    """

    name: str
    value: float
    unit: str
    limit: float
    advice: str
    at_least: bool = False

    @property
    def passed(self) -> bool:
        """Whether the value keeps the limit."""
        return bool(self.value >= self.limit if self.at_least else self.value <= self.limit)

    def __str__(self) -> str:
        relation = "at least" if self.at_least else "at most"
        return f"{self.name} {self.value:.3g} {self.unit} ({relation} {self.limit:.3g})"


@dataclass(frozen=True)
class GateResult:
    """What came of one gate.

    Attributes:
        name: One of `GATES`.
        checks: Its numbers.
        method: How they were measured.
        panels: The curves behind them.
    """

    name: str
    checks: tuple[Check, ...]
    method: str
    panels: tuple[Panel, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every number keeps its limit."""
        return all(check.passed for check in self.checks)

    @property
    def advice(self) -> list[str]:
        """What to add to the data: a line for each different advice of the checks that failed."""
        return list(dict.fromkeys(check.advice for check in self.checks if not check.passed))

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON, without the curves."""
        checks = [
            asdict(check)
            | {"value": check.value if math.isfinite(check.value) else None, "passed": check.passed}
            for check in self.checks
        ]
        return {"passed": self.passed, "checks": checks, "method": self.method, "advice": self.advice}


@dataclass(frozen=True)
class Standing:
    """Which gates a potential has passed, which it failed, and which were never tried.

    Attributes:
        passed: Names of gates.
        failed: Name to what to add to the data.
        untried: Names of gates.
    """

    passed: list[str]
    failed: dict[str, list[str]]
    untried: list[str]


def record_file(potential: Path) -> Path:
    """Where the gates of a potential are recorded: `potential.gates.json` beside `potential.mlip`."""
    return potential.with_suffix(".gates.json")


def write_record(potential: Path, results: Sequence[GateResult]) -> Path:
    """Record results beside a potential, with those of gates that were tried before on the same bytes.

    Raises:
        OSError: Nothing can be written there.
    """
    file = record_file(potential)
    gates = dict(read_record(potential)) | {result.name: result.to_dict() for result in results}
    with whole_file(file) as temporary:
        temporary.write_text(json.dumps({"sha256": sha256(potential), "gates": gates}, indent=2))
    return file


def read_record(potential: Path) -> Mapping[str, Any]:
    """Name of each gate that this very potential was tried at, to its result; empty if there is none.

    Raises:
        DataError: The record is damaged.
    """
    file = record_file(potential)
    if not file.exists():
        return {}
    try:
        content = json.loads(file.read_text())
        return content["gates"] if content["sha256"] == sha256(potential) else {}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"found an unreadable {file} ({error}); delete it and try the gates again") from None


def standing_of(potential: Path) -> Standing:
    """What the record beside a potential says.

    Raises:
        DataError: The record is damaged.
    """
    record = read_record(potential)
    return Standing(
        passed=[name for name in GATES if name in record and record[name]["passed"]],
        failed={
            name: record[name]["advice"] for name in GATES if name in record and not record[name]["passed"]
        },
        untried=[name for name in GATES if name not in record],
    )
