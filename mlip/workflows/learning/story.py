"""What a loop has done so far, for people: data, time reached, cost, and the reason for each step."""

import json
from pathlib import Path

from mlip.workflows.learning.legs import Leg, read_legs
from mlip.workflows.learning.records import END, PHASES, Generation, generations


def tell(run_dir: Path) -> list[str]:
    """The story in lines; nothing is written.

    Args:
        run_dir: Of the loop.
    """
    begun = generations(run_dir)
    lines = [line for generation in begun for line in _of_generation(generation)]
    records = [generation.read("label") for generation in begun]
    size = sum(record["labelled"] for record in records if record)
    computed = sum(record["computed"] for record in records if record)
    seconds = sum(record.get("core_seconds", 0.0) for record in records if record)
    lines.append(f"data: {size} labelled frames, {computed} of them new, {seconds:.3g} core-seconds")
    lines += [_reached(name, leg) for name, leg in _newest_legs(begun).items()]
    end = run_dir / END
    lines.append(f"ended: {json.loads(end.read_text())['reason']}" if end.exists() else "not ended")
    return lines


def _of_generation(generation: Generation) -> list[str]:
    lines = [f"generation {generation.number}"]
    for phase in PHASES:
        record = generation.read(phase)
        if record is not None:
            lines.append(f"  {phase:<8}{record['reason']} ({record['seconds']:.3g} s)")
    return lines


def _newest_legs(begun: list[Generation]) -> dict[str, Leg]:
    records = [generation.read("explore") for generation in begun]
    newest = [record for record in records if record]
    return read_legs(newest[-1]) if newest else {}


def _reached(name: str, leg: Leg) -> str:
    return f"explorer {name}: {leg.known_ps:.4g} of {leg.total_ps:.4g} ps known, {leg.ended}"
