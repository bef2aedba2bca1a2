"""What an analysis leaves behind, and how its stretches are told apart."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from md.analysis.frames import Frames
from md.report.plots import temperature_colors
from mlip.report.html import Highlight, Section

Entries = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Analysis:
    """What an analysis leaves behind.

    Attributes:
        entries: results.json: observable -> value, unit, error, method, ...
        sections: chapters of the report, figures already on disk.
        highlights: the numbers for the top of a report.
        scene: the chapter with a structure in three dimensions, if it was asked for.
    """

    entries: Entries
    sections: list[Section]
    highlights: list[Highlight] = field(default_factory=list)
    scene: Section | None = None


def name_part(stretches: Sequence[Frames], number: int) -> str:
    """What names of entries end in, so that stretches are told apart; empty where there is one."""
    return (stretches[number].label or str(number)) if len(stretches) > 1 else ""


def stretch_context(frames: Frames) -> dict[str, Any]:
    """What an entry of results.json says about the stretch it is from."""
    return {"stretch": frames.label, "temperature_K": frames.temperature_K}


def legend_label(frames: Frames, number: int) -> str:
    """How a stretch is called in legends."""
    if frames.label:
        return frames.label.replace("_", " ")
    if frames.temperature_K is not None:
        return f"{frames.temperature_K:.0f} K"
    return f"trajectory {number}".rstrip(" 0")


def legend_labels(stretches: Sequence[Frames]) -> list[str]:
    """How stretches are called in legends."""
    return [legend_label(frames, number) for number, frames in enumerate(stretches)]


def stretch_colors(stretches: Sequence[Frames]) -> list[Any]:
    """A colour a stretch, by temperature where it is known."""
    return list(temperature_colors([frames.temperature_K for frames in stretches]))
