"""The papers that methods are from: entries of `references.bib`, as lines of a list and as BibTeX."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

_FILE = Path(__file__).with_name("references.bib")
_ENTRY = re.compile(r"^@\w+\{(\w+),\n(.*?)^\}$", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"^  (\w+) = \{+(.*?)\}+,$", re.MULTILINE)
_MARK = re.compile(r"\[([a-z]+\d{4}(?:, [a-z]+\d{4})*)\]")


def number_citations(text: str) -> tuple[str, list[str]]:
    """Turn keys in brackets, [he2018], into numbers in the order in which they come.

    Args:
        text: with keys of `references.bib`.

    Returns:
        The text with numbers, [1], and the keys in their order.
    """
    order: dict[str, int] = {}

    def replace(found: re.Match[str]) -> str:
        numbers = [order.setdefault(key, len(order) + 1) for key in found[1].split(", ")]
        return f"[{', '.join(map(str, numbers))}]"

    return _MARK.sub(replace, text), list(order)


def list_references(keys: Sequence[str]) -> list[str]:
    """A line for each entry: authors, title, place, year, DOI."""
    fields = {found[1]: dict(_FIELD.findall(found[2])) for found in _ENTRY.finditer(_read())}
    return [_as_line(fields[key]) for key in keys]


def write_bibtex(keys: Sequence[str], path: Path) -> Path:
    """Write the entries of some keys to a BibTeX file."""
    entries = {found[1]: found[0] for found in _ENTRY.finditer(_read())}
    path.write_text("\n\n".join(entries[key] for key in keys) + "\n", encoding="utf-8")
    return path


def _read() -> str:
    return _FILE.read_text(encoding="utf-8")


def _as_line(entry: Mapping[str, str]) -> str:
    names = entry["author"].replace(" and others", " et al.").split(" and ")
    people = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    place = entry.get("journal") or entry["publisher"]
    place += "".join(
        f"{join}{entry[key]}" for join, key in ((" ", "volume"), (", ", "pages")) if key in entry
    )
    doi = f", doi:{entry['doi']}" if "doi" in entry else ""
    return f"{people.rstrip('.')}. {entry['title']}. {place} ({entry['year']}){doi}."
