"""Energies of interfaces: formation, interfacial and elastic energy, work of adhesion.

With N formula units of both sides, S the area, and two interfaces in a periodic stack:

    formation       E_f   = (E - sum N E_free) / 2S
    interfacial     sigma = (E - sum N E_clamped) / 2S
    elastic         E_f - sigma
    adhesion        W     = g_A + g_B - sigma

E_free is the bulk at its minimum, E_clamped the bulk whose vectors in the plane are those of the interface
and which relaxes along z alone, g the surface energy of the free slab. One interface under vacuum:

    sigma = (E - sum N E_clamped) / S - g_A - g_B

with surface energies of slabs that are as strained as in the interface, so that no surface stress is left in
it; E_f the same of free bulks and slabs.

Source: J. Wang, A. A. Panchal, G. Sai Gautam, P. Canepa (2022), Eqs. 2-5, of stacks; there 0.7 J/m^2, after
Yang et al., keeps voids away from lithium under 20-30 MPa. An interface that parts less easily than its
weaker side has W > 2 g (Griffith).
"""

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from numpy.typing import NDArray

from md.energetics.formula_units import formula_of, whole_units
from md.energetics.interface_sides import Side, clamped, in_plane, on_plane
from md.energetics.relaxed import Relaxed, Tolerance, relax
from mlip.units import EV_PER_A2_IN_J_PER_M2

GOOD_ADHESION_J_M2 = 0.7


@dataclass(frozen=True)
class InterfaceEnergy:
    """Energies of an interface per area, J/m^2.

    Attributes:
        name: Both formulas and the terminations, such as Li2S|Li 0|0.
        value: sigma; the mean of both where there are two that differ.
        error: None: other thicknesses would tell.
        value_eV_A2: sigma in eV/A^2.
        formation: E_f.
        elastic: E_f - sigma; it grows with the thickness of what is strained.
        surface_energies: Of the free slabs of both sides, as thick as in the interface.
        adhesion: W.
        adhesion_with_strain: g_A + g_B - E_f.
        num_interfaces: 2 of a periodic stack, 1 under vacuum.
        equivalent: Whether two are images of each other; None of one.
        symmetric: Whether the surfaces of both free slabs are alike on both sides.
        units: Formula units of both sides.
        area_A2: Of one interface, relaxed.
        converged: Whether all relaxations were.
        relaxed: The interface at its minimum.
        method: How it was computed.
        unit: Of all energies but `value_eV_A2`.
    """

    name: str
    value: float
    error: float | None
    value_eV_A2: float
    formation: float
    elastic: float
    surface_energies: tuple[float, float]
    adhesion: float
    adhesion_with_strain: float
    num_interfaces: int
    equivalent: bool | None
    symmetric: bool
    units: tuple[int, int]
    area_A2: float
    converged: bool
    relaxed: Atoms
    method: str
    unit: str = "J/m^2"

    @property
    def outlasts_bulk(self) -> bool:
        """Whether W > 2 g of the side that is easier to cleave: it breaks before the interface parts."""
        return self.adhesion > 2 * min(self.surface_energies)

    @property
    def adheres(self) -> bool:
        """Whether W is above 0.7 J/m^2."""
        return self.adhesion > GOOD_ADHESION_J_M2


@dataclass(frozen=True)
class _Reference:
    """A bulk and its slab in one state of strain: eV a formula unit, and surface energy in eV/A^2."""

    unit_eV: float
    surface_eV_A2: float
    converged: bool


def compute_interface_energy(
    interface: Atoms,
    sides: tuple[Side, Side],
    calculator: Calculator,
    *,
    tolerance: Tolerance | None = None,
    cell: str | None = "z",
) -> InterfaceEnergy:
    """Relax an interface and its references, and compare.

    Args:
        interface: Two solids; `info` and the array `origin` as `stack_interface` leaves them.
        sides: Compound and metal.
        calculator: Gives energy, forces and stress.
        tolerance: When relaxations are done.
        cell: What of the interface's cell may change: z, flexible or None; none under vacuum.

    Raises:
        DataError: A side is not made of whole formula units.
    """
    num_interfaces = int(interface.info["num_interfaces"])
    units = _count(interface, sides)
    found = relax(interface, calculator, tolerance, cell if num_interfaces == 2 else None)
    plane = in_plane(found.atoms)
    area = float(abs(np.linalg.det(plane)))
    free = [_free_reference(side, calculator, tolerance) for side in sides]
    bound = [
        _clamped_reference(side, plane, calculator, tolerance, with_slab=num_interfaces == 1)
        for side in sides
    ]
    formation = _excess(found, units, free, num_interfaces * area, num_interfaces)
    sigma = _excess(found, units, bound, num_interfaces * area, num_interfaces)
    surfaces = free[0].surface_eV_A2 + free[1].surface_eV_A2
    j = EV_PER_A2_IN_J_PER_M2
    return InterfaceEnergy(
        name=f"{sides[0].formula}|{sides[1].formula} {interface.info.get('terminations', '')}".strip(),
        value=sigma * j,
        error=None,
        value_eV_A2=sigma,
        formation=formation * j,
        elastic=(formation - sigma) * j,
        surface_energies=(free[0].surface_eV_A2 * j, free[1].surface_eV_A2 * j),
        adhesion=(surfaces - sigma) * j,
        adhesion_with_strain=(surfaces - formation) * j,
        num_interfaces=num_interfaces,
        equivalent=bool(interface.info["equivalent"]) if num_interfaces == 2 else None,
        symmetric=all(side.symmetric for side in sides),
        units=units,
        area_A2=area,
        converged=found.converged and all(each.converged for each in (*free, *bound)),
        relaxed=found.atoms,
        method=_describe(interface, cell),
    )


def _count(interface: Atoms, sides: tuple[Side, Side]) -> tuple[int, int]:
    origin = interface.arrays["origin"]
    below, above = (
        whole_units(interface[origin == number], side.formula, f"the side {side.formula} of an interface")
        for number, side in enumerate(sides)
    )
    return below, above


def _excess(
    found: Relaxed, units: tuple[int, int], sides: list[_Reference], area_A2: float, num_interfaces: int
) -> float:
    """Energy beyond that of both bulks per area, less the surfaces where there is vacuum, eV/A^2."""
    beyond = found.energy_eV - sum(n * side.unit_eV for n, side in zip(units, sides, strict=True))
    outer = sum(side.surface_eV_A2 for side in sides) if num_interfaces == 1 else 0.0
    return beyond / area_A2 - outer


def _free_reference(side: Side, calculator: Calculator, tolerance: Tolerance | None) -> _Reference:
    """Bulk at its minimum, and the slab on its lattice."""
    bulk = relax(side.bulk, calculator, tolerance, cell="flexible")
    return _reference(side, bulk, in_plane(bulk.atoms), calculator, tolerance)


def _clamped_reference(
    side: Side,
    plane: NDArray[np.float64],
    calculator: Calculator,
    tolerance: Tolerance | None,
    with_slab: bool,
) -> _Reference:
    """Bulk on the lattice of the interface, relaxed along z; the slab, too, where surfaces are there."""
    own = clamped(side, plane)
    bulk = relax(on_plane(side.bulk, own), calculator, tolerance, cell="z")
    if with_slab:
        return _reference(side, bulk, own, calculator, tolerance)
    return _Reference(bulk.energy_eV / formula_of(bulk.atoms)[1], 0.0, bulk.converged)


def _reference(
    side: Side,
    bulk: Relaxed,
    plane: NDArray[np.float64],
    calculator: Calculator,
    tolerance: Tolerance | None,
) -> _Reference:
    slab = relax(on_plane(side.slab, plane), calculator, tolerance)
    unit = bulk.energy_eV / formula_of(bulk.atoms)[1]
    number = whole_units(side.slab, side.formula, f"the slab of {side.formula}")
    surface = (slab.energy_eV - number * unit) / (2 * float(abs(np.linalg.det(plane))))
    return _Reference(unit, surface, bulk.converged and slab.converged)


def _describe(interface: Atoms, cell: str | None) -> str:
    kept = {"z": "height relaxed", "flexible": "cell relaxed"}
    if interface.info["num_interfaces"] == 1:
        return "one interface under vacuum, cell fixed; surface energies of slabs as strained as it"
    alike = "two interfaces that are images of each other"
    if not interface.info["equivalent"]:
        alike = "mean of two interfaces that differ"
    return f"{alike}, {kept.get(str(cell), 'cell fixed')}; clamped bulks relaxed along z"
