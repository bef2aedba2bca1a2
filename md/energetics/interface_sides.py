"""The two sides of an interface as references: their bulks and free slabs, put on the interface's lattice."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from md.energetics.formula_units import formula_of
from mlip.errors import DataError
from mlip.structures.lineage import read_lineage

Plane = NDArray[np.float64]


@dataclass(frozen=True)
class Side:
    """One of two solids.

    Attributes:
        bulk: Periodic in three directions; its first two vectors lie in the plane of the interface.
        slab: Free, on the same lattice in the plane, vacuum along z.
        supercell: (2, 2) whole numbers: vectors of the interface by those of the bulk.
        symmetric: Whether both surfaces of the slab are the same.
        is_glass: Whether it is a glass, which has no registry and many samples.
    """

    bulk: Atoms
    slab: Atoms
    supercell: NDArray[np.int64]
    symmetric: bool = True
    is_glass: bool = False

    @property
    def formula(self) -> str:
        """Of one formula unit of the bulk."""
        return formula_of(self.bulk)[0]


def read_interfaces(frames: Sequence[Atoms]) -> list[tuple[Atoms, tuple[Side, Side]]]:
    """Interfaces and their sides among frames of `mlip build builder=interface builder.references=true`.

    Several builds may be there, such as samples of a glass: an interface belongs to the references that were
    built of the same structures with the same options.

    Raises:
        DataError: There is no interface, or its references are not there.
    """
    references: dict[tuple[str, ...], Atoms] = {}
    for atoms in frames:
        kind = atoms.info.get("config_type")
        if kind in ("interface_bulk", "interface_slab"):
            references[kind, atoms.info["side"], str(atoms.info["termination"]), *_build_of(atoms)] = atoms
    interfaces = [atoms for atoms in frames if atoms.info.get("config_type") == "interface"]
    if not interfaces or not references:
        raise DataError(
            f"found {len(interfaces)} interfaces and {len(references)} references in structure=; expected "
            "what mlip build builder=interface builder.references=true leaves"
        )
    return [(atoms, _sides(atoms, references)) for atoms in interfaces]


def _build_of(atoms: Atoms) -> tuple[str, ...]:
    """What it was built of and how; nothing where that is not told."""
    steps = [step for step in read_lineage(atoms) if step.get("builder") == "interface"]
    return (*steps[-1]["parents"], json.dumps(steps[-1]["options"])) if steps else ()


def _sides(interface: Atoms, references: Mapping[tuple[str, ...], Atoms]) -> tuple[Side, Side]:
    below, above = str(interface.info["terminations"]).split("|")
    build = _build_of(interface)
    found = []
    for side, termination in (("compound", below), ("metal", above)):
        try:
            bulk, slab = (
                references[f"interface_{kind}", side, termination, *build] for kind in ("bulk", "slab")
            )
        except KeyError:
            raise DataError(
                f"found no references of the {side}, termination {termination}; expected both in the file of "
                "the interface: build it with builder.references=true"
            ) from None
        supercell = np.array(interface.info[f"{side}_supercell"], dtype=np.int64).reshape(2, 2)
        found.append(Side(bulk, slab, supercell, bool(slab.info["symmetric"]), bool(slab.info["is_glass"])))
    return found[0], found[1]


def in_plane(atoms: Atoms) -> Plane:
    """The first two vectors of a cell in their own plane, the first along x: (2, 2), A."""
    a, b = atoms.cell.array[:2]
    length = float(np.linalg.norm(a))
    along = float(a @ b) / length
    return np.array([[length, 0.0], [along, np.sqrt(float(b @ b) - along**2)]])


def clamped(side: Side, plane: Plane) -> Plane:
    """Vectors of a side's bulk where its supercell is the plane of the interface: (2, 2), A."""
    return np.linalg.solve(side.supercell.astype(float), plane)


def on_plane(atoms: Atoms, plane: Plane) -> Atoms:
    """A bulk or a slab strained to other vectors in the plane; heights stay.

    Args:
        atoms: Its first two vectors anywhere, as a relaxation leaves them.
        plane: The new ones, (2, 2), A.
    """
    strained = atoms.copy()
    cell = strained.cell.array
    normal = np.cross(cell[0], cell[1])
    normal /= np.linalg.norm(normal)
    old = in_plane(atoms)
    # components of the third vector by the first two, which it keeps, and its height
    share = np.linalg.lstsq(cell[:2].T, cell[2] - (cell[2] @ normal) * normal, rcond=None)[0]
    new = np.zeros((3, 3))
    new[:2, :2] = plane
    new[2] = [*(share @ plane), cell[2] @ normal]
    strained.set_cell(new, scale_atoms=True)
    stretch = np.linalg.svd(np.linalg.solve(old, plane), compute_uv=False)
    if np.abs(stretch - 1).max() > 0.25:
        raise DataError(
            f"found a side strained by {100 * np.abs(stretch - 1).max():.0f} %; expected the references that "
            "the interface was built with"
        )
    return strained
