"""Builder of interfaces: surfaces of crystals or glasses, matched and stacked."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
from ase import Atoms

from mlip.errors import ConfigError, DataError
from mlip.structures.glass_slab import open_glass
from mlip.structures.lattice_matching import LatticeMatch, match_lattices
from mlip.structures.orientation import conventional_cell, orient
from mlip.structures.slabs import build_slabs
from mlip.structures.stacking import Stacking, stack_interface

logger = logging.getLogger(__name__)

# Slabs are made in a cell of their own, which an interface does not keep, A.
_ROOM_A = 10.0
_SYMMETRY_A = 0.01
UPSIDE_DOWN = "r"


def build_interface(
    compound: Atoms,
    metal: Atoms,
    *,
    compound_plane: Sequence[int] | None = (1, 1, 0),
    metal_plane: Sequence[int] | None = (1, 1, 0),
    compound_thickness_A: float = 12.0,
    metal_thickness_A: float = 12.0,
    nonstoichiometric: bool = False,
    bonds: Sequence[Sequence[str | float]] = (),
    strained: str = "metal",
    max_misfit: float = 0.05,
    max_area_A2: float = 200.0,
    match: int = 0,
    normal_strain: float | None = None,
    gap_A: float = 2.0,
    vacuum_A: float | None = None,
    repeat: Sequence[int] = (1, 1),
    references: bool = False,
) -> Iterator[Atoms]:
    """Stack two solids on a common cell, once for every pair of their terminations.

    Args:
        compound: The lower side: a crystal, or a glass that is cut open along its third vector.
        metal: The upper side, a metal as a rule, or a glass, too.
        compound_plane: Miller indices of its surface; none: it is a glass.
        metal_plane: Those of the other side.
        compound_thickness_A: Least thickness of its slab, A; that of a glass is its own.
        metal_thickness_A: That of the other side, A.
        nonstoichiometric: Whether symmetric slabs that are no whole formula units take part.
        bonds: That no surface cuts: species, species, longest length in A.
        strained: The side that takes the shape of the other: metal or compound.
        max_misfit: Largest principal strain in the plane.
        max_area_A2: Largest common cell.
        match: Row of the table of common cells, from 0: the smallest.
        normal_strain: Relative change of the strained side's thickness; none keeps the volume of a glass, and
            the thickness of a crystal.
        gap_A: Between the outermost atoms of both sides, A; larger where some would come too close.
        vacuum_A: None stacks a sandwich of two interfaces; else one interface under so much vacuum, A.
        repeat: Supercell in the plane.
        references: Whether the bulk and the free slab of each side come first, for interface energies.

    Yields:
        Structures of config_type `interface`; `info` as `stack_interface` says, and `terminations`, such as
        0|1r: number of the compound's and of the metal's, r where the slab is upside down. References are of
        config_type `interface_bulk` and `interface_slab`; `side` and `termination` say whose, `is_glass`
        whether of a glass.

    Raises:
        ConfigError: A number makes no sense.
        DataError: Nothing can be cut, or no common cell is within the limits.
    """
    planes = {"compound": compound_plane, "metal": metal_plane}
    if len(repeat) != 2:
        raise ConfigError(f"found builder.repeat={list(repeat)}; expected two numbers")
    how = Stacking(strained, gap_A, vacuum_A, normal_strain or 0.0, (repeat[0], repeat[1]))
    lower, upper = (
        _cut(solid, planes[side], thickness, nonstoichiometric, bonds)
        for side, solid, thickness in (
            ("compound", compound, compound_thickness_A),
            ("metal", metal, metal_thickness_A),
        )
    )
    pairs = list(_pairs(lower, upper, sandwich=vacuum_A is None))
    if references:
        yield from _references("compound", compound, compound_plane, [below for below, _ in pairs])
        yield from _references("metal", metal, metal_plane, [above for _, above in pairs])
    formulas = tuple(solid.symbols.formula.reduce()[0].format("metal") for solid in (compound, metal))
    for below, above in pairs:
        cells = below.cell.array[:2, :2], above.cell.array[:2, :2]
        matches = match_lattices(*cells, max_area_A2, max_misfit)
        chosen = _choose(matches, match, strained)
        if normal_strain is None and planes[strained] is None:
            how = replace(how, normal_strain=_kept_volume(chosen, strained))
        atoms = stack_interface(below, above, (formulas[0], formulas[1]), chosen, how)
        sides = f"{below.info['side']}|{above.info['side']}"
        atoms.info |= {"config_type": "interface", "terminations": sides}
        _report(atoms)
        yield atoms


def _pairs(lower: Sequence[Atoms], upper: Sequence[Atoms], sandwich: bool) -> Iterator[tuple[Atoms, Atoms]]:
    """Every pair of terminations: slabs whose sides differ come either side up.

    Both sides of both slabs meet in a sandwich, so that turning over one of two such slabs makes another one,
    and turning over the only one or both does not.
    """
    for below, above in product(lower, upper):
        yield below, above
        turned_below = [] if below.info["symmetric"] else [turn_over(below)]
        turned_above = [] if above.info["symmetric"] else [turn_over(above)]
        if sandwich:
            yield from ((below, turned) for turned in turned_above if turned_below)
        else:
            yield from product([below], turned_above)
            yield from product(turned_below, [above, *turned_above])


def turn_over(slab: Atoms) -> Atoms:
    """A slab upside down: turned by half a circle about its first vector, not reflected.

    Args:
        slab: Its first vector along x.
    """
    turned = slab.copy()
    turned.positions *= [1.0, -1.0, -1.0]
    turned.cell[1] = slab.cell.array[1] * [-1.0, 1.0, 1.0]
    turned.info["side"] = f"{slab.info['side']}{UPSIDE_DOWN}"
    return turned


def _cut(
    solid: Atoms,
    plane: Sequence[int] | None,
    thickness_A: float,
    nonstoichiometric: bool,
    bonds: Sequence[Sequence[str | float]],
) -> list[Atoms]:
    """Slabs of a solid with every termination, or the one of a glass."""
    if plane is None:
        slab = open_glass(solid)
        slab.info |= {"symmetric": True, "side": "0"}
        return [slab]
    slabs = build_slabs(
        solid,
        plane=plane,
        thickness_A=thickness_A,
        vacuum_A=_ROOM_A,
        nonstoichiometric=nonstoichiometric,
        oriented_bulk=False,
        bonds=bonds,
    )
    found = list(slabs)
    if not found:
        raise DataError(
            f"found no slab of {solid.symbols.formula.reduce()[0]} along {list(plane)}; expected one: take "
            "another plane, fewer bonds, or nonstoichiometric=true"
        )
    for slab in found:
        slab.info["side"] = str(slab.info["termination"])
    return found


def _references(
    side: str, solid: Atoms, plane: Sequence[int] | None, slabs: Sequence[Atoms]
) -> Iterator[Atoms]:
    """Bulk and free slab of every termination of a side, both on the lattice of the slab in the plane."""
    bulk = solid
    if plane is not None:
        h, k, l = plane  # noqa: E741
        bulk = orient(conventional_cell(solid, _SYMMETRY_A), (h, k, l), _SYMMETRY_A)
    for termination, slab in {slab.info["side"]: slab for slab in slabs}.items():
        own = _turn_bulk_over(bulk) if termination.endswith(UPSIDE_DOWN) else bulk.copy()
        free = slab.copy()
        free.cell[2] = [0.0, 0.0, np.ptp(slab.positions[:, 2]) + _ROOM_A]
        free.pbc = True
        for kind, atoms in (("bulk", own), ("slab", free)):
            symmetric = bool(slab.info["symmetric"])
            atoms.info = {"config_type": f"interface_{kind}", "side": side, "termination": termination}
            atoms.info |= {"symmetric": symmetric, "is_glass": plane is None}
            yield atoms


def _turn_bulk_over(bulk: Atoms) -> Atoms:
    """A crystal in an oriented cell, turned as `turn_over` turns its slabs."""
    turned = bulk.copy()
    turned.positions *= [1.0, -1.0, -1.0]
    turned.cell[1:] = bulk.cell.array[1:] * [-1.0, 1.0, 1.0]
    return turned


def _choose(matches: Sequence[LatticeMatch], row: int, strained: str) -> LatticeMatch:
    """A common cell by its row in the table, which is shown."""
    if not 0 <= row < len(matches):
        raise ConfigError(f"found builder.match={row}; expected a row from 0 to {len(matches) - 1}")
    logger.info("match  area_A2  strain of the %s_%%", strained)
    for number, each in enumerate(matches):
        strain = [100 * part for part in each.strain_of(_which(strained))]
        logger.info(
            "%5d  %7.1f  %+.2f %+.2f%s", number, each.area_A2, *strain, "  <-" if number == row else ""
        )
    return matches[row]


def _kept_volume(match: LatticeMatch, strained: str) -> float:
    """The change of length along the normal that makes up for the strain in the plane."""
    e, f = match.strain_of(_which(strained))
    return 1 / ((1 + e) * (1 + f)) - 1


def _which(side: str) -> int:
    return 1 if side == "metal" else 0


def _report(atoms: Atoms) -> None:
    info = atoms.info
    logger.info(
        "terminations %s: %d %s, %d %s, beyond them %s; gap %s A; %d atoms",
        info["terminations"],
        info["num_compound"],
        info["compound"],
        info["num_metal"],
        info["metal"],
        info["excess"],
        " and ".join(f"{gap:.2f}" for gap in info["gap_A"]),
        len(atoms),
    )
    if info["num_interfaces"] == 2 and not info["equivalent"]:
        logger.warning(
            "terminations %s: the two interfaces differ, for no operation turns both slabs upside down; an "
            "energy is the mean of both",
            info["terminations"],
        )
