"""Interfaces: two slabs on one cell, strained to match, stacked with or without vacuum."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import make_supercell
from ase.formula import Formula
from numpy.typing import NDArray

from mlip.errors import ConfigError
from mlip.structures.composition import read_formula
from mlip.structures.lattice_matching import LatticeMatch
from mlip.structures.registry import Registry, closest_gap, displaced, find_registry

Array = NDArray[np.float64]

# What the array `origin` says of each atom; molecular dynamics tells the two sides apart by it.
COMPOUND, METAL = 0, 1
SIDES = ("metal", "compound")


@dataclass(frozen=True)
class Stacking:
    """How two slabs become an interface.

    Attributes:
        strained: Which side is strained to the other, metal or compound.
        gap_A: Distance between the planes of the outermost atoms, A; larger where atoms would be too close.
        vacuum_A: None for a sandwich: two interfaces, nothing else; else vacuum above one interface, A.
        normal_strain: Relative change of the strained side along the normal.
        repeat: Supercell along the two vectors in the plane.
    """

    strained: str = "metal"
    gap_A: float = 2.0
    vacuum_A: float | None = None
    normal_strain: float = 0.0
    repeat: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if self.strained not in SIDES:
            raise ConfigError(f"found builder.strained={self.strained}; expected one of {', '.join(SIDES)}")
        if self.gap_A <= 0 or (self.vacuum_A is not None and self.vacuum_A <= 0) or min(self.repeat) < 1:
            raise ConfigError(
                f"found builder.gap_A={self.gap_A:g}, vacuum_A={self.vacuum_A}, repeat={list(self.repeat)}; "
                "expected numbers above zero"
            )


def stack_interface(
    compound: Atoms, metal: Atoms, formulas: tuple[str, str], match: LatticeMatch, how: Stacking
) -> Atoms:
    """Put a slab of a metal on a slab of a compound.

    Without vacuum the period holds two interfaces. They are images of each other if some operation turns both
    slabs upside down onto themselves: the metal is then moved in the plane, and the cell tilted if need be,
    until the same operation holds for the stack.

    Args:
        compound: Slab, periodic along its first two vectors, which are normal to z; its vacuum does not
            matter.
        metal: The other slab.
        formulas: Of one formula unit of the bulk of each, such as Li2S and Li.
        match: Common cell of their lattices in the plane, `match_lattices(compound, metal)`.
        how: Which side is strained, gap, vacuum, size.

    Returns:
        The compound below, the metal above; array `origin` with `COMPOUND` and `METAL`; `info` with

        - `compound` and `metal`, the formulas; `num_compound` and `num_metal`, whole units of them; `excess`,
          what both have beyond, such as Li4, for which energies need a chemical potential
        - `compound_supercell` and `metal_supercell`, vectors of the plane by those of the free slabs, (2, 2)
        - `num_interfaces`, 1 or 2; `equivalent`, whether two are images of each other; `area_A2` of each
        - `strained`; `strain`, its two principal strains in the plane; `misfit`, the larger without sign;
          `area_change`; `normal_strain`; `gap_A` of each interface, and `least_gap_A`, what was asked

    Source:
        J. Wang, A. A. Panchal, G. Sai Gautam, P. Canepa (2022): the metal is strained, both interfaces are
        alike.
    """
    compound, metal = _fit(compound, metal, match, how)
    free = Registry(np.zeros(2), np.zeros(2), equivalent=False)
    registry = find_registry(compound, metal) if how.vacuum_A is None else free
    atoms = place_slabs(compound, metal, registry, how)
    atoms.info |= _account((compound, metal), formulas, match, how)
    return atoms


def place_slabs(compound: Atoms, metal: Atoms, registry: Registry, how: Stacking) -> Atoms:
    """Put one slab on another of the same cell in the plane.

    Args:
        compound: The lower slab.
        metal: The upper slab.
        registry: Where the upper slab and the next period stand.
        how: Gap, vacuum, size.

    Returns:
        Both, with the array `origin`, and `gap_A`, `least_gap_A` and `equivalent` of `stack_interface` in
        `info`.
    """
    metal = displaced(metal, registry.offset)
    gap = max(how.gap_A, closest_gap(compound, metal))
    metal.positions[:, 2] += compound.positions[:, 2].max() + gap - metal.positions[:, 2].min()
    atoms = compound + metal
    atoms.set_array("origin", np.repeat([COMPOUND, METAL], [len(compound), len(metal)]))
    atoms.info = {"gap_A": [gap], "least_gap_A": how.gap_A}
    room = how.vacuum_A
    if room is None:
        next_period = displaced(compound, registry.tilt)
        room = gap if registry.equivalent else max(how.gap_A, closest_gap(metal, next_period))
        atoms.info |= {"gap_A": [gap, room], "equivalent": registry.equivalent}
    _close(atoms, registry.tilt, room, how)
    return atoms


def strain_slab(slab: Atoms, plane: Array, normal_strain: float) -> Atoms:
    """Put a slab on another cell in the plane; atoms keep their fractional places in it.

    Args:
        slab: The slab, its bottom anywhere.
        plane: The new first two vectors, shape (2, 2), A.
        normal_strain: Relative change of heights.

    Returns:
        The slab with its lowest atom at z = 0, and a cell of no height.
    """
    slab = slab.copy()
    places = slab.positions[:, :2] @ np.linalg.inv(slab.cell.array[:2, :2])
    heights = slab.positions[:, 2] - slab.positions[:, 2].min()
    slab.cell[:] = 0.0
    slab.cell[:2, :2] = plane
    slab.pbc = [True, True, False]
    slab.positions = np.column_stack([places @ plane, heights * (1 + normal_strain)])
    return slab


def _fit(compound: Atoms, metal: Atoms, match: LatticeMatch, how: Stacking) -> tuple[Atoms, Atoms]:
    """Both slabs on the common cell, whose first vector lies along x."""
    below, above = _tile(compound, match.first), _tile(metal, match.second)
    a, b = (below if how.strained == "metal" else above).cell.array[:2, :2]
    along = float(a @ b) / np.linalg.norm(a)
    plane = np.array([[np.linalg.norm(a), 0.0], [along, np.sqrt(b @ b - along**2)]])
    if how.strained == "metal":
        return strain_slab(below, plane, 0.0), strain_slab(above, plane, how.normal_strain)
    return strain_slab(below, plane, how.normal_strain), strain_slab(above, plane, 0.0)


def _tile(slab: Atoms, change: NDArray[np.int64]) -> Atoms:
    """Supercell of a slab in the plane; rows of `change` are its vectors."""
    slab = slab.copy()
    slab.pbc = [True, True, False]
    slab.cell[2] = [0.0, 0.0, 1.0]
    whole = np.eye(3, dtype=int)
    whole[:2, :2] = change
    return make_supercell(slab, whole)


def _close(atoms: Atoms, tilt: Array, room: float, how: Stacking) -> None:
    """Give a stack its third vector, with half of the room below and half above, and tile it in the plane."""
    heights = atoms.positions[:, 2]
    atoms.cell[2] = [*(tilt @ atoms.cell.array[:2, :2]), np.ptp(heights) + room]
    atoms.positions[:, 2] += room / 2 - heights.min()
    atoms.pbc = [True, True, how.vacuum_A is None]
    atoms *= (*how.repeat, 1)
    atoms.wrap()


def _account(
    sides: tuple[Atoms, Atoms], formulas: tuple[str, str], match: LatticeMatch, how: Stacking
) -> dict[str, Any]:
    """What an interface says of itself, in the supercell that it will be."""
    tiles = how.repeat[0] * how.repeat[1]
    counts: dict[str, Any] = {}
    excess: Counter[str] = Counter()
    for side, slab, formula in zip(("compound", "metal"), sides, formulas, strict=True):
        number, left = count_formula_units(slab, formula, tiles)
        counts |= {side: formula, f"num_{side}": number}
        excess.update(left)
    strain = match.strain_of(("compound", "metal").index(how.strained))
    repeat = np.array(how.repeat)[:, None]
    return counts | {
        "compound_supercell": repeat * match.first,
        "metal_supercell": repeat * match.second,
        "excess": Formula.from_dict(excess).format("metal") if excess else "none",
        "num_interfaces": 1 if how.vacuum_A is not None else 2,
        "area_A2": tiles * float(np.linalg.det(sides[0].cell.array[:2, :2])),
        "strained": how.strained,
        "strain": list(strain),
        "misfit": abs(strain[0]),
        "area_change": (1 + strain[0]) * (1 + strain[1]) - 1,
        "normal_strain": how.normal_strain,
    }


def count_formula_units(atoms: Atoms, formula: str, tiles: int = 1) -> tuple[int, dict[str, int]]:
    """Whole formula units in a structure, and the atoms beyond them.

    Args:
        atoms: The structure.
        formula: Of one unit, such as Li2S.
        tiles: How many times the structure counts.

    Returns:
        The number, and element -> number of atoms left.

    Raises:
        ConfigError: The formula cannot be read.
    """
    unit = read_formula(formula)
    found = {symbol: tiles * number for symbol, number in atoms.symbols.formula.count().items()}
    number = min(found.get(symbol, 0) // count for symbol, count in unit.items())
    left = {symbol: count - number * unit.get(symbol, 0) for symbol, count in found.items()}
    return number, {symbol: count for symbol, count in left.items() if count}
