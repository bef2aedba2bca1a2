"""What data sets there are and what is in them, as text for people."""

import json
import re
from collections import defaultdict
from collections.abc import Sequence

import yaml

from mlip.data.entry import Entry
from mlip.data.store import Store
from mlip.inputs import datasets_folder

_FILES = re.compile(r"^\| *(\S+\.\S+) *\| *(\d+) *\|", re.MULTILINE)
_LICENCE = re.compile(r"^\| *Licence *\| *(.*?) *\|$", re.MULTILINE)


def list_store(store: Store) -> list[str]:
    """A row for each settings and subset of a store: frames, failed ones, generations, atoms, cost."""
    groups: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in store.entries():
        kind = str(entry.atoms.info.get("config_type", "-"))
        groups[entry.provenance.settings_hash, kind].append(entry)
    rows = [("settings", "config_type", "labelled", "failed", "generations", "atoms", "core-hours")]
    for (settings, kind), entries in sorted(groups.items()):
        failed = sum(entry.failure is not None for entry in entries)
        generations = [entry.provenance.generation for entry in entries]
        sizes = [len(entry.atoms) for entry in entries]
        hours = sum(entry.provenance.seconds or 0.0 for entry in entries) / 3600.0
        counts = (str(len(entries) - failed), str(failed))
        rows.append((settings, kind, *counts, _range(generations), _range(sizes), f"{hours:.2f}"))
    return _table(rows)


def list_shipped() -> list[str]:
    """A row for each data set that ships with Vitreous: frames, recipe, licence."""
    rows = [("name", "frames", "recipe", "licence")]
    for folder in sorted(path for path in datasets_folder().iterdir() if path.is_dir()):
        file = folder / "card.md"
        card = file.read_text() if file.is_file() else ""
        frames = sum(int(count) for name, count in _FILES.findall(card) if (folder / name).is_file())
        licence = _LICENCE.search(card)
        recipe = "recipe.yaml" if (folder / "recipe.yaml").is_file() else "-"
        rows.append((folder.name, str(frames or "-"), recipe, licence[1] if licence else "-"))
    return _table(rows)


def show_store(store: Store) -> list[str]:
    """The settings of a store in full, and why frames failed."""
    settings: dict[str, Entry] = {}
    failures: dict[str, list[int]] = defaultdict(list)
    for entry in store.entries():
        settings.setdefault(entry.provenance.settings_hash, entry)
        if entry.failure is not None:
            failures[entry.failure].append(entry.number or 0)
    lines = []
    for name, entry in settings.items():
        lines += [f"{name}:", *_indented(dict(entry.provenance.settings))]
    for reason, numbers in failures.items():
        lines.append(f"failed ({len(numbers)}, first number {numbers[0]}): {reason}")
    return lines


def show_entry(entry: Entry) -> list[str]:
    """All that is known of a frame: structure, labels, provenance, how it was made."""
    atoms, provenance = entry.atoms, entry.provenance
    facts = {
        "number": entry.number,
        "formula": atoms.get_chemical_formula(),
        "fingerprint": entry.fingerprint,
        "labeler": provenance.labeler,
        "settings_hash": provenance.settings_hash,
        "settings": dict(provenance.settings),
        "generation": provenance.generation,
        "grade": provenance.grade,
        "core_seconds": provenance.seconds,
        "failure": entry.failure,
        "cell_A": atoms.cell.array.tolist(),
        "pbc": atoms.pbc.tolist(),
        "info": {key: value for key, value in atoms.info.items() if key != "lineage"},
    }
    if atoms.calc is not None:
        results = atoms.calc.results
        facts["energy_eV"] = float(results.get("free_energy", results.get("energy")))
        if "forces" in results:
            facts["largest_force_eV_A"] = float((results["forces"] ** 2).sum(axis=1).max() ** 0.5)
    if "lineage" in atoms.info:
        facts["lineage"] = json.loads(atoms.info["lineage"])
    return _indented(facts)


def _indented(content: object) -> list[str]:
    text = yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=100)
    return [f"  {line}" for line in text.splitlines()]


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low}-{high}"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
