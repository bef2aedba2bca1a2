"""Slabs: every surface of a crystal up to a Miller index, with what is needed to compute its energy."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from math import gcd

import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms
from numpy.typing import NDArray

from mlip.errors import ConfigError
from mlip.structures.ionic_charges import guess_charges, tasker_type
from mlip.structures.orientation import conventional_cell, distinct_planes, orient
from mlip.structures.terminations import Slice, find_slices

logger = logging.getLogger(__name__)


def build_slabs(
    parent: Atoms,
    *,
    max_index: int = 1,
    plane: Sequence[int] | None = None,
    thickness_A: float = 10.0,
    vacuum_A: float = 20.0,
    frozen_A: float = 0.0,
    supercell: Sequence[int] = (1, 1),
    nonstoichiometric: bool = False,
    oriented_bulk: bool = True,
    bonds: Sequence[Sequence[str | float]] = (),
    charges: Mapping[str, float] | None = None,
    layer_A: float = 0.2,
    tolerance_A: float = 0.01,
) -> Iterator[Atoms]:
    """Cut slabs with every distinct termination.

    Args:
        parent: A crystal; Miller indices are those of its conventional cell.
        max_index: The largest Miller index.
        plane: One plane [h, k, l] instead.
        thickness_A: Smallest distance from the lowest to the highest atom, A.
        vacuum_A: From the highest atom to the lowest of the next image, A.
        frozen_A: Atoms in so thick a part of the bottom are fixed, A.
        supercell: Cells along both vectors of the plane, for labels without k-points, say.
        nonstoichiometric: Whether symmetric slabs of no whole number of formula units are made, too.
        oriented_bulk: Whether the crystal in the cell of the slabs comes first, for surface energies.
        bonds: [species, species, longest length in A] of bonds that no surface cuts.
        charges: Of the ions, e, by species; null: guessed of the formula.
        layer_A: Atoms whose heights differ by less are one layer.
        tolerance_A: Of symmetry.

    Yields:
        Structures of config_type `slab`, in the middle of their cell, z normal to the surface. `info` has
        `miller`, `termination` (its number), `symmetric` (both surfaces are the same), `stoichiometric`,
        `tasker` (1: neutral layers; 2: charged ones, no dipole; 3: polar; left out where charges are not
        known), `formula_units` (of whole ones), `area_A2` of one surface and, if some atoms are fixed,
        `frozen_below_A`. Before those of a plane comes the crystal, `slab_bulk`, with its `formula_units`.

    Raises:
        ConfigError: A number makes no sense.
        DataError: The parent is no crystal.

    Source: types of Tasker 1979 (10.1088/0022-3719/12/22/036).
    """
    if max_index < 1 or thickness_A <= 0 or vacuum_A < 0 or frozen_A < 0:
        raise ConfigError(
            f"found builder.max_index={max_index}, thickness_A={thickness_A}, vacuum_A={vacuum_A}, "
            f"frozen_A={frozen_A}; expected an index from 1 and a thickness above zero"
        )
    if len(supercell) != 2 or min(supercell) < 1:
        raise ConfigError(f"found builder.supercell={list(supercell)}; expected two whole numbers from 1")
    cells = (*supercell, 1)
    crystal = conventional_cell(parent, tolerance_A)
    ions = guess_charges(parent) if charges is None else dict(charges)
    planes = distinct_planes(crystal, max_index, tolerance_A) if plane is None else [_read_plane(plane)]
    for miller in planes:
        oriented = orient(crystal, miller, tolerance_A)
        if oriented_bulk:
            yield _described(oriented.repeat(cells), {"config_type": "slab_bulk", "miller": np.array(miller)})
        slices = find_slices(oriented, layer_A, tolerance_A, bonds)
        if not slices:
            logger.warning("plane %s of %s has no gap to cut: no slab", miller, parent.symbols)
        wanted = [each for each in slices if each.stoichiometric or nonstoichiometric]
        for number, part in enumerate(wanted):
            slab = cut_slab(oriented, part, thickness_A, vacuum_A)
            facts = {"config_type": "slab", "miller": np.array(miller), "termination": number}
            facts |= {"symmetric": part.symmetric, "stoichiometric": part.stoichiometric}
            tasker = tasker_type(slab, ions, layer_A)
            slab = slab.repeat(cells)
            _freeze(slab, frozen_A)
            yield _described(slab, facts if tasker is None else facts | {"tasker": tasker})


def cut_slab(oriented: Atoms, part: Slice, thickness_A: float, vacuum_A: float) -> Atoms:
    """Repeat a slice until it is thick enough, and put vacuum above it.

    Args:
        oriented: The crystal in a cell of `orient`.
        part: Of `find_slices`.
        thickness_A: Smallest distance from the lowest to the highest atom, A.
        vacuum_A: From the highest atom to the lowest of the next image, A.

    Returns:
        The slab in the middle of its cell, whose third vector is along z.
    """
    fractional = oriented.get_scaled_positions(wrap=True)
    above = (fractional[:, 2] - part.bottom) % 1.0
    # In the cell that begins at the lower cut; atoms are shifted by whole lattice vectors only.
    fractional[:, 2] += np.rint(above + part.bottom - fractional[:, 2])
    in_part = above < (part.top - part.bottom) % 1.0
    layer = np.array([0.0, 0.0, 1.0])
    whole = 0
    while True:
        layers = [fractional + k * layer for k in range(whole)] + [fractional[in_part] + whole * layer]
        numbers = np.concatenate([np.tile(oriented.numbers, whole), oriented.numbers[in_part]])
        positions = np.concatenate(layers) @ oriented.cell.array
        if len(numbers) and np.ptp(positions[:, 2]) >= thickness_A:
            break
        whole += 1
    height = np.ptp(positions[:, 2]) + vacuum_A
    positions[:, 2] += height / 2 - (positions[:, 2].min() + positions[:, 2].max()) / 2
    cell = oriented.cell.array.copy()
    cell[2] = [0.0, 0.0, height]
    slab = Atoms(numbers, positions=positions, cell=cell, pbc=True)
    slab.wrap(pbc=[True, True, False])
    return slab[np.argsort(np.round(slab.positions[:, 2], 6), kind="stable")]


def _read_plane(plane: Sequence[int]) -> tuple[int, int, int]:
    if len(plane) != 3 or not any(plane):
        raise ConfigError(f"found builder.plane={list(plane)}; expected three Miller indices, not all zero")
    h, k, l = (each // gcd(*plane) for each in plane)  # noqa: E741
    return h, k, l


def _described(atoms: Atoms, facts: Mapping[str, object]) -> Atoms:
    """Add what surface energies need: the area of one surface and the number of whole formula units."""
    counts = atoms.symbols.formula.count()
    atoms.info |= {**facts, "area_A2": float(np.linalg.norm(np.cross(*atoms.cell.array[:2])))}
    if facts.get("stoichiometric", True):
        atoms.info["formula_units"] = gcd(*counts.values())
    return atoms


def _freeze(slab: Atoms, frozen_A: float) -> None:
    """Fix the bottom for ASE and `mlip neb`, and say in `info` where a group of `mlip md` ends."""
    if frozen_A > 0:
        heights: NDArray[np.float64] = slab.positions[:, 2]
        limit = float(heights.min() + frozen_A)
        slab.set_constraint(FixAtoms(mask=heights < limit))
        slab.info["frozen_below_A"] = limit
