"""An entry of a store: a frame, its labels or why it has none, and its provenance."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db.row import AtomsRow

from mlip.data.fingerprint import fingerprint
from mlip.errors import DataError

LABELLED, FAILED = "labelled", "failed"
# Arrays that ASE's databases have a column for.
_COLUMNS = ("numbers", "positions", "momenta", "masses", "tags", "initial_magmoms", "initial_charges")
_HASH_LENGTH = 12


@dataclass(frozen=True)
class Provenance:
    """Where labels come from.

    Attributes:
        labeler: Name of what labelled, such as `cp2k`.
        settings: All that decides labels, versions included; text, numbers, lists, mappings.
        generation: Round of active learning, from zero.
        grade: Extrapolation grade of the frame when it was chosen, if it was.
        seconds: What the labels cost, core-seconds.
    """

    labeler: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    generation: int = 0
    grade: float | None = None
    seconds: float | None = None

    @property
    def settings_hash(self) -> str:
        """The labeler and its settings in one word; frames of two do not train together."""
        return settings_hash(self.labeler, self.settings)


@dataclass(frozen=True)
class Entry:
    """A frame of a store.

    Attributes:
        atoms: The structure as it was labelled, with its labels in a calculator as the labeler gave them (eV,
            eV/A, eV/A^3, `free_energy` where it is not `energy`); `info` says how it was made.
        provenance: Where the labels come from.
        failure: Why there are no labels that can be trusted; None if there are.
        fingerprint: The name of the structure; computed where it is not given.
        number: In its store, from 1; None if it is in none.
    """

    atoms: Atoms
    provenance: Provenance
    failure: str | None = None
    fingerprint: str = ""
    number: int | None = None

    def __post_init__(self) -> None:
        if not self.fingerprint:
            object.__setattr__(self, "fingerprint", fingerprint(self.atoms))
        results = self.atoms.calc.results if self.atoms.calc is not None else {}
        if self.failure is None and not {"energy", "free_energy"} & results.keys():
            raise DataError(
                f"found a frame of {self.atoms.get_chemical_formula()} without energy; expected labels, or "
                "the reason of the failure"
            )


def settings_hash(labeler: str, settings: Mapping[str, Any]) -> str:
    """Name a way of labelling: the labeler, and 12 hexadecimal digits of its settings in any order."""
    text = json.dumps(plain(settings), sort_keys=True)
    return f"{labeler}-{hashlib.sha256(text.encode()).hexdigest()[:_HASH_LENGTH]}"


def plain(value: Any) -> Any:
    """What JSON and ASE's databases can hold: numpy's scalars become numbers, tuples lists.

    Raises:
        DataError: Something else is in it.
    """
    if isinstance(value, np.ndarray | np.generic):  # before numbers: a numpy.float64 is a float
        return value.tolist()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    raise DataError(
        f"found {value!r} of {type(value).__name__} with a frame; expected text, numbers and lists"
    )


def row_content(entry: Entry) -> tuple[Atoms, dict[str, Any], dict[str, Any]]:
    """What is written of an entry: atoms for ASE's columns, keys to select by, and the rest.

    Raises:
        DataError: Its `info` has what a database cannot hold.
    """
    atoms = entry.atoms.copy()
    calc = entry.atoms.calc
    results = {name: value for name, value in (calc.results if calc else {}).items() if value is not None}
    if results and entry.failure is None:
        atoms.calc = SinglePointCalculator(atoms, **results)
        atoms.calc.name = entry.provenance.labeler
    keys = {
        "fingerprint": entry.fingerprint,
        "state": LABELLED if entry.failure is None else FAILED,
        "labeler": entry.provenance.labeler,
        "settings": entry.provenance.settings_hash,
        "generation": entry.provenance.generation,
        "config_type": _word(entry.atoms.info.get("config_type")),
        "recipe": _word(entry.atoms.info.get("recipe")),
        "grade": entry.provenance.grade,
        "seconds": entry.provenance.seconds,
    }
    rest = {
        "info": plain(entry.atoms.info),
        "arrays": {name: plain(array) for name, array in atoms.arrays.items() if name not in _COLUMNS},
        "settings": plain(entry.provenance.settings),
        "failure": entry.failure,
    }
    return atoms, {name: value for name, value in keys.items() if value is not None}, rest


def entry_from_row(row: AtomsRow) -> Entry:
    """Read an entry from a row of a database; one that no store wrote has what ASE knows of it."""
    keys, rest = row.key_value_pairs, row.data
    provenance = Provenance(
        labeler=keys.get("labeler") or row.get("calculator") or "unknown",
        settings=rest.get("settings", {}),
        generation=keys.get("generation", 0),
        grade=keys.get("grade"),
        seconds=keys.get("seconds"),
    )
    return Entry(_structure(row), provenance, rest.get("failure"), keys.get("fingerprint", ""), row.id)


def atoms_from_row(row: AtomsRow) -> Atoms:
    """Read a frame from a row of a database, what there is to select it by in its `info`."""
    atoms = _structure(row)
    atoms.info = {**row.key_value_pairs, **atoms.info}
    return atoms


def _structure(row: AtomsRow) -> Atoms:
    atoms = row.toatoms()
    for name, array in row.data.get("arrays", {}).items():
        atoms.set_array(name, np.array(array))
    atoms.info.update(row.data.get("info", {}))
    return atoms


def _word(value: Any) -> str | None:
    """A value that ASE takes as text: what looks like a number it refuses."""
    if value is None:
        return None
    text = str(value)
    try:
        float(text)
    except ValueError:
        return text if text not in ("True", "False") else f"'{text}'"
    return f"'{text}'"
