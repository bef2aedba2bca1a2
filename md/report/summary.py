"""The chapter on top of a report: the numbers to quote, and why to believe them less."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from md.report.chapter import Entries
from md.report.text import scientific, with_error, with_interval
from mlip.report.html import Section, TableBlock

# what people come for, first; the rest follows in the order of the chapters
_FIRST = (
    "activation_energy",
    "diffusivity_300K",
    "conductivity_300K",
    "diffusivity_replicas",
    "diffusivity",
    "conductivity",
    "conductivity_collective",
    "haven_ratio",
)
# one for every pair of species, kind of unit or layer: their chapters show them better
DETAILS = (
    "first_peak",
    "coordination",
    "units",
    "polyhedra",
    "sites",
    "qn",
    "chains",
    "rings",
    "profile_",
    "elastic.",
)
_MOST_ROWS = 4
_TEXT = (
    "Errors are one standard error; intervals hold the value with 95 % probability. Where a number cannot "
    "be given, an upper bound stands in its place. results.json has each with its method."
)
_HEADER = ("quantity", "of", "value", "unit", "95 % interval", "see")


def summary_section(entries: Entries) -> Section:
    """Table of the numbers to quote, with notes that are numbered as their warnings.

    Args:
        entries: of results.json.
    """
    notes: dict[str, int] = {}
    rows: list[list[Any]] = []
    shown = [name for name in entries if not name.startswith(DETAILS)]
    places = {observable: place for place, observable in enumerate(dict.fromkeys(map(_observable, shown)))}
    ordered = sorted(shown, key=lambda name: (_rank(_observable(name)), places[_observable(name)]))
    for observable, names in groupby(ordered, _observable):
        members = [(name, entries[name]) for name in names]
        many = len(members) > _MOST_ROWS
        rows += [_range_row(observable, members, notes)] if many else [_row(*each, notes) for each in members]
    warnings = [f"[{number}] {text}." for text, number in notes.items()]
    return Section("Summary", _TEXT, tables=[TableBlock(_HEADER, rows)] if rows else [], warnings=warnings)


def _observable(name: str) -> str:
    return name.partition(".")[0]


def _rank(observable: str) -> int:
    return _FIRST.index(observable) if observable in _FIRST else len(_FIRST)


def _row(name: str, entry: Mapping[str, Any], notes: dict[str, int]) -> list[str | None]:
    observable, _, part = name.partition(".")
    interval = entry.get("interval")
    ends = with_interval(None, (interval[0], interval[1])) if interval and None not in interval else None
    marks = _marks([entry], notes)
    return [_words(observable), _subject(entry, part), _value(entry), unit_text(entry["unit"]), ends, marks]


def _range_row(
    observable: str, members: Sequence[tuple[str, Mapping[str, Any]]], notes: dict[str, int]
) -> list[str | None]:
    entries = [entry for _, entry in members]
    known = [entry["value"] for entry in entries if entry["value"] is not None]
    bounds = len(entries) - len(known)
    text = f"{_plain(min(known))} to {_plain(max(known))}" if known else "bounds only"
    of = f"{len(members)} runs or species" + (f", {bounds} of them bounds" if bounds and known else "")
    return [_words(observable), of, text, unit_text(entries[0]["unit"]), None, _marks(entries, notes)]


def _value(entry: Mapping[str, Any]) -> str:
    if entry["value"] is None:
        bound = entry.get("upper_bound")
        return "not given" if bound is None else f"< {scientific(bound)}"
    if entry["error"] is None:
        return _plain(entry["value"])
    return with_error(entry["value"], entry["error"])


def _marks(entries: Sequence[Mapping[str, Any]], notes: dict[str, int]) -> str | None:
    """Numbers of the notes on some entries, which are added where they are new."""
    texts = [warning for entry in entries for warning in entry.get("warnings") or ()]
    texts += [why for entry in entries if entry["value"] is None for why in _why_no_value(entry)]
    numbers = sorted({notes.setdefault(text.rstrip("."), len(notes) + 1) for text in texts})
    return " ".join(f"[{number}]" for number in numbers) or None


def _why_no_value(entry: Mapping[str, Any]) -> list[str]:
    """What a bound stands for, or why nothing is given, unless a warning says it already."""
    if entry.get("upper_bound") is not None:
        return [f"an upper bound, not a value: {entry['method']}"]
    if entry.get("warnings") and not entry["method"].startswith("not given"):
        return []
    return [f"no value: {entry['method'].removeprefix('not given: ')}"]


def _subject(entry: Mapping[str, Any], part: str) -> str:
    """Species, temperature, and what else the name of an entry says."""
    temperature = entry.get("temperature_K")
    kelvin = "" if temperature is None else f"{temperature:.0f} K"
    species = entry.get("species")
    words = [species if isinstance(species, str | None) else ", ".join(species), kelvin]
    words += [each.replace("_", " ") for each in part.split(".") if each != kelvin.replace(" ", "")]
    return ", ".join(dict.fromkeys(str(word) for word in words if word))


def _words(observable: str) -> str:
    words = observable.replace("_300K", " at 300 K").replace("_replicas", ", all runs")
    return words.replace("_", " ")


def _plain(value: float) -> str:
    return f"{value:.4g}" if value == 0 or 1e-3 < abs(value) < 1e5 else scientific(value)


def unit_text(unit: str) -> str:
    """A unit as it is printed: cm²/s for cm^2/s."""
    return unit.replace("^2", "²").replace("^3", "³").replace("A²", "Å²").replace("A³", "Å³")
