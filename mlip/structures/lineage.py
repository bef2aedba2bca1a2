"""How a structure was made: `info["lineage"]`, a line of JSON that goes with it through files and builders.

It is a list of steps, the oldest first. Each has the `hash` of the structure that it made and the hashes of
its `parents`, and says either the `file` and the number `frame` that were read, or the `builder` with its
`options`, its `seed` where it has one, and the `index` of the structure among those it made of these parents.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms

LINEAGE = "lineage"
# Decimals of positions in an extxyz file: what is written and read again keeps its hash.
_DECIMALS = 8
_HASH_LENGTH = 16


def hash_structure(atoms: Atoms) -> str:
    """Name a structure by its species, positions, cell and periodic directions, to 1e-8 A.

    The same atoms in another order, or by another cell, have another hash.

    Args:
        atoms: The structure.

    Returns:
        16 hexadecimal digits.
    """
    lengths = np.concatenate([atoms.cell.array, atoms.positions])
    digest = hashlib.sha256(atoms.numbers.astype(np.int64).tobytes())
    digest.update(np.rint(lengths * 10**_DECIMALS).astype(np.int64).tobytes())
    digest.update(np.asarray(atoms.pbc, dtype=np.uint8).tobytes())
    return digest.hexdigest()[:_HASH_LENGTH]


def read_lineage(atoms: Atoms) -> list[dict[str, Any]]:
    """The steps that made a structure, the oldest first; none if it says nothing."""
    return json.loads(atoms.info.get(LINEAGE, "[]"))


def record_file(atoms: Atoms, file: str, frame: int) -> None:
    """Add the step that a structure was read from a file.

    Args:
        atoms: The structure; its `info` is changed.
        file: Name of the file, as a user gave it.
        frame: Number of the frame in it, from zero.
    """
    earlier = read_lineage(atoms)
    parents = [earlier[-1]["hash"]] if earlier else []
    _write(atoms, [*earlier, _step(atoms, parents, {"file": file, "frame": frame})])


def record_builder(atoms: Atoms, parents: Sequence[Atoms], made_by: dict[str, Any]) -> None:
    """Add the step that a structure was built, after those of its parents.

    Args:
        atoms: The structure; its `info` is changed.
        parents: What it was built of.
        made_by: `builder`, `options`, `seed` and `index`.
    """
    earlier: list[dict[str, Any]] = []
    for parent in parents:
        earlier.extend(step for step in read_lineage(parent) if step not in earlier)
    _write(atoms, [*earlier, _step(atoms, [hash_structure(parent) for parent in parents], made_by)])


def _step(atoms: Atoms, parents: list[str], what: dict[str, Any]) -> dict[str, Any]:
    return {"hash": hash_structure(atoms), "parents": parents, **what}


def _write(atoms: Atoms, steps: list[dict[str, Any]]) -> None:
    """One line without backslashes, which ASE's extxyz does not give back."""
    text = json.dumps(steps, ensure_ascii=False)
    atoms.info[LINEAGE] = text.replace("\\\\", "/").replace('\\"', "'")
