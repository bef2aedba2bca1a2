"""What an interface is compared with: bulks and free slabs of both sides, at rest or as strained as it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from numpy.typing import NDArray

from md.energetics.formula_units import formula_of, whole_units
from md.energetics.interface_sides import Side, in_plane, on_plane
from md.energetics.relaxed import Relaxed, Tolerance, relax_all

Plane = NDArray[np.float64]


@dataclass(frozen=True)
class Reference:
    """A bulk and its slab in one state of strain.

    Attributes:
        unit_eV: Energy of a formula unit of the bulk.
        surface_eV_A2: Surface energy of the slab; zero where none is needed.
        converged: Whether both were relaxed.
    """

    unit_eV: float
    surface_eV_A2: float
    converged: bool


def free_references(
    sides: Sequence[Side],
    bulks: Sequence[Relaxed],
    calculator: Calculator,
    tolerance: Tolerance | None = None,
) -> list[Reference]:
    """Bulks at their minima, and slabs on their lattices.

    Args:
        sides: The sides.
        bulks: Their bulks, atoms and cells relaxed.
        calculator: Gives energy and forces.
        tolerance: When slabs are relaxed.

    Raises:
        DataError: A slab is not made of whole formula units.
    """
    planes = [in_plane(bulk.atoms) for bulk in bulks]
    slabs = [on_plane(side.slab, plane) for side, plane in zip(sides, planes, strict=True)]
    found = relax_all(slabs, calculator, tolerance)
    return [_reference(*parts) for parts in zip(sides, bulks, found, strict=True)]


def clamped_references(
    sides: Sequence[Side],
    planes: Sequence[Plane],
    with_slabs: Sequence[bool],
    calculator: Calculator,
    tolerance: Tolerance | None = None,
) -> list[Reference]:
    """Bulks on the lattices of interfaces, relaxed along z; slabs, too, where surfaces are there.

    Args:
        sides: The sides.
        planes: Vectors of their bulks in the interface, (2, 2), A.
        with_slabs: Whether the surface energy of each is needed.
        calculator: Gives energy, forces and stress.
        tolerance: When relaxations are done.
    """
    strained = [on_plane(side.bulk, plane) for side, plane in zip(sides, planes, strict=True)]
    bulks = relax_all(strained, calculator, tolerance, ["z"] * len(sides))
    needed = [k for k, with_slab in enumerate(with_slabs) if with_slab]
    slabs: list[Atoms] = [on_plane(sides[k].slab, planes[k]) for k in needed]
    found = dict(zip(needed, relax_all(slabs, calculator, tolerance), strict=True))
    return [
        _reference(side, bulk, found.get(k)) for k, (side, bulk) in enumerate(zip(sides, bulks, strict=True))
    ]


def _reference(side: Side, bulk: Relaxed, slab: Relaxed | None) -> Reference:
    unit = bulk.energy_eV / formula_of(bulk.atoms)[1]
    if slab is None:
        return Reference(unit, 0.0, bulk.converged)
    number = whole_units(side.slab, side.formula, f"the slab of {side.formula}")
    area = float(abs(np.linalg.det(in_plane(slab.atoms))))
    return Reference(unit, (slab.energy_eV - number * unit) / (2 * area), bulk.converged and slab.converged)
