"""Preflight: one table that says what training data are, and whether they would train garbage."""

import logging
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from ase import Atoms

from mlip.data.finding import Finding
from mlip.data.preflight_labels import (
    check_energies,
    check_finite_labels,
    check_forces,
    check_missing_labels,
    check_settings,
    check_stress,
)
from mlip.data.preflight_structures import (
    check_cells,
    check_compositions,
    check_duplicates,
    check_overlaps,
    check_positions,
    check_volumes,
)
from mlip.data.twins import find_twins
from mlip.errors import DataError

logger = logging.getLogger(__name__)

_WIDTH = 110


@dataclass(frozen=True)
class Preflight:
    """What was found, row by row; as text, a table.

    Attributes:
        findings: One a check, in the order of the table.
    """

    findings: tuple[Finding, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should look at."""
        return tuple(warning for finding in self.findings for warning in finding.warnings)

    @property
    def errors(self) -> tuple[str, ...]:
        """What would train garbage."""
        return tuple(error for finding in self.findings for error in finding.errors)

    def raise_on_errors(self) -> None:
        """Stop on data that would train garbage.

        Raises:
            DataError: There is at least one error; the message is the first, and how many more there are.
        """
        if self.errors:
            more = f" ({len(self.errors) - 1} more in the preflight table)" if len(self.errors) > 1 else ""
            raise DataError(self.errors[0] + more)

    def __str__(self) -> str:
        rows = [
            (_mark(finding) if line == 0 else "", name if line == 0 else "", text)
            for finding in self.findings
            for name, value in finding.rows
            for line, text in enumerate(textwrap.wrap(value, _WIDTH - 30) or [""])
        ]
        width = max(len(name) for _, name, _ in rows)
        lines = [f"{flag:<5} {name:<{width}}  {text}".rstrip() for flag, name, text in rows]
        notes = [f"WARNING: {text}" for text in self.warnings] + [f"ERROR: {text}" for text in self.errors]
        return "\n".join(["Preflight of the data", *lines, *notes])


def _mark(finding: Finding) -> str:
    """Sum a finding up in one word: ok, look or stop."""
    return "stop" if finding.errors else "look" if finding.warnings else "ok"


def run_preflight(frames: Sequence[Atoms]) -> Preflight:
    """Look at frames before anything is trained on them.

    Args:
        frames: All frames that train, validate and test.

    Returns:
        The table. Where structures are broken, it holds only what shows that.
    """
    if not frames:
        return Preflight(
            (Finding((("frames", "0"),), errors=("There are no frames; expected at least one.",)),)
        )
    first = [
        check_compositions(frames),
        check_positions(frames),
        check_cells(frames),
        check_missing_labels(frames),
    ]
    first.append(check_finite_labels(frames))
    if any(finding.errors for finding in first):
        return Preflight(tuple(first))
    twins = find_twins(frames)
    return Preflight(
        (
            *first,
            check_settings(frames, twins),
            check_volumes(frames),
            check_energies(frames),
            check_forces(frames),
            check_stress(frames),
            check_overlaps(frames),
            check_duplicates(twins),
        )
    )
