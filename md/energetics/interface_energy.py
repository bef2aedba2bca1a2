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

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

from md.energetics.formula_units import whole_units
from md.energetics.interface_references import Reference, clamped_references, free_references
from md.energetics.interface_sides import Side, clamped, in_plane
from md.energetics.registries import RegistryScan, scan_registries
from md.energetics.relaxed import Relaxed, Tolerance, relax_all
from mlip.units import EV_PER_A2_IN_J_PER_M2

GOOD_ADHESION_J_M2 = 0.7


@dataclass(frozen=True)
class InterfaceEnergy:
    """Energies of an interface per area, J/m^2.

    Attributes:
        name: Both formulas and the terminations, such as Li2S|Li 0|0.
        value: sigma; the mean of both where there are two that differ.
        value_eV_A2: sigma in eV/A^2.
        formation: E_f.
        elastic: E_f - sigma; it grows with the thickness of what is strained.
        surface_energies: Of the free slabs of both sides, as thick as in the interface.
        adhesion: W.
        adhesion_with_strain: g_A + g_B - E_f.
        num_interfaces: 2 of a periodic stack, 1 under vacuum.
        equivalent: Whether two are images of each other; None of one.
        symmetric: Whether the surfaces of both free slabs are alike on both sides.
        is_glass: Whether a side is a glass: then it is one sample of many.
        units: Formula units of both sides.
        area_A2: Of one interface, relaxed.
        converged: Whether all relaxations were.
        relaxed: The interface at its minimum.
        scan: Registries that were tried before it was relaxed; None if none were.
        method: How it was computed.
        unit: Of all energies but `value_eV_A2`.
    """

    name: str
    value: float
    value_eV_A2: float
    formation: float
    elastic: float
    surface_energies: tuple[float, float]
    adhesion: float
    adhesion_with_strain: float
    num_interfaces: int
    equivalent: bool | None
    symmetric: bool
    is_glass: bool
    units: tuple[int, int]
    area_A2: float
    converged: bool
    relaxed: Atoms
    scan: RegistryScan | None
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


def compute_interface_energies(
    interfaces: Sequence[tuple[Atoms, tuple[Side, Side]]],
    calculator: Calculator,
    *,
    tolerance: Tolerance | None = None,
    cell: str | None = "z",
    registries: int = 1,
) -> list[InterfaceEnergy]:
    """Relax interfaces and their references, and compare; what can be relaxed together is.

    Args:
        interfaces: Two solids each, `info` and the array `origin` as `stack_interface` leaves them, with
            their sides, compound and metal.
        calculator: Gives energy, forces and stress.
        tolerance: When relaxations are done.
        cell: What of the cells of interfaces may change: z, flexible or None; none under vacuum.
        registries: Shifts of crystals along each vector in the plane that are tried before one is relaxed; a
            glass has no registry.

    Raises:
        DataError: A side is not made of whole formula units.
    """
    units = [_count(*each) for each in interfaces]
    pairs = [pair for _, pair in interfaces]
    sides = [side for pair in pairs for side in pair]
    scans = _scan(interfaces, calculator, registries)
    starts = [
        atoms if scan is None else scan.kept for (atoms, _), scan in zip(interfaces, scans, strict=True)
    ]
    has_vacuum = [int(atoms.info["num_interfaces"]) == 1 for atoms in starts]
    cells = [*(None if vacuum else cell for vacuum in has_vacuum), *["flexible"] * len(sides)]
    relaxed = relax_all([*starts, *(side.bulk for side in sides)], calculator, tolerance, cells)
    found, bulks = relaxed[: len(starts)], relaxed[len(starts) :]
    free = free_references(sides, bulks, calculator, tolerance)
    planes = [
        clamped(side, in_plane(each.atoms)) for each, pair in zip(found, pairs, strict=True) for side in pair
    ]
    with_slabs = [vacuum for vacuum in has_vacuum for _ in range(2)]
    bound = clamped_references(sides, planes, with_slabs, calculator, tolerance)
    return [
        _compare(
            each,
            pairs[k],
            units[k],
            _States((free[2 * k], free[2 * k + 1]), (bound[2 * k], bound[2 * k + 1])),
            scans[k],
            _describe(starts[k], cell),
        )
        for k, each in enumerate(found)
    ]


@dataclass(frozen=True)
class _States:
    """References of both sides: at their minima, and as strained as in the interface."""

    free: tuple[Reference, Reference]
    bound: tuple[Reference, Reference]


def _scan(
    interfaces: Sequence[tuple[Atoms, tuple[Side, Side]]], calculator: Calculator, registries: int
) -> list[RegistryScan | None]:
    """Registries of the interfaces that have some."""
    crystals = [k for k, (_, sides) in enumerate(interfaces) if not any(side.is_glass for side in sides)]
    if registries == 1:
        return [None] * len(interfaces)
    found = scan_registries([interfaces[k][0] for k in crystals], calculator, registries)
    scans = dict(zip(crystals, found, strict=True))
    return [scans.get(k) for k in range(len(interfaces))]


def _compare(
    found: Relaxed,
    sides: tuple[Side, Side],
    units: tuple[int, int],
    states: _States,
    scan: RegistryScan | None,
    method: str,
) -> InterfaceEnergy:
    """Energies of one interface from what was relaxed."""
    info = found.atoms.info
    num_interfaces = int(info["num_interfaces"])
    area = float(abs(np.linalg.det(in_plane(found.atoms))))
    formation = _excess(found, units, states.free, num_interfaces * area, num_interfaces)
    sigma = _excess(found, units, states.bound, num_interfaces * area, num_interfaces)
    surfaces = sum(side.surface_eV_A2 for side in states.free)
    j = EV_PER_A2_IN_J_PER_M2
    named = "|".join(f"{side.formula}{' glass' if side.is_glass else ''}" for side in sides)
    return InterfaceEnergy(
        name=f"{named} {info.get('terminations', '')}".strip(),
        value=sigma * j,
        value_eV_A2=sigma,
        formation=formation * j,
        elastic=(formation - sigma) * j,
        surface_energies=(states.free[0].surface_eV_A2 * j, states.free[1].surface_eV_A2 * j),
        adhesion=(surfaces - sigma) * j,
        adhesion_with_strain=(surfaces - formation) * j,
        num_interfaces=num_interfaces,
        equivalent=bool(info["equivalent"]) if num_interfaces == 2 else None,
        symmetric=all(side.symmetric for side in sides),
        is_glass=any(side.is_glass for side in sides),
        units=units,
        area_A2=area,
        converged=found.converged and all(each.converged for each in (*states.free, *states.bound)),
        relaxed=found.atoms,
        scan=scan,
        method=method,
    )


def _count(interface: Atoms, sides: tuple[Side, Side]) -> tuple[int, int]:
    origin = interface.arrays["origin"]
    below, above = (
        whole_units(interface[origin == number], side.formula, f"the side {side.formula} of an interface")
        for number, side in enumerate(sides)
    )
    return below, above


def _excess(
    found: Relaxed,
    units: tuple[int, int],
    sides: tuple[Reference, Reference],
    area_A2: float,
    num_interfaces: int,
) -> float:
    """Energy beyond that of both bulks per area, less the surfaces where there is vacuum, eV/A^2."""
    beyond = found.energy_eV - sum(n * side.unit_eV for n, side in zip(units, sides, strict=True))
    outer = sum(side.surface_eV_A2 for side in sides) if num_interfaces == 1 else 0.0
    return beyond / area_A2 - outer


def _describe(interface: Atoms, cell: str | None) -> str:
    kept = {"z": "height relaxed", "flexible": "cell relaxed"}
    if interface.info["num_interfaces"] == 1:
        return "one interface under vacuum, cell fixed; surface energies of slabs as strained as it"
    alike = "two interfaces that are images of each other"
    if not interface.info["equivalent"]:
        alike = "mean of two interfaces that differ"
    return f"{alike}, {kept.get(str(cell), 'cell fixed')}; clamped bulks relaxed along z"
