"""Surface energies from slabs of growing thickness, with the crystal in the cell of the slabs as reference.

    E(n) = n E_bulk + 2 S g

g of one slab needs E_bulk from elsewhere: where that differs from what a layer adds to a slab (a cutoff,
other k-points, a crystal not at its minimum), g drifts without end as slabs grow. The slope of E against n
has no such drift. Both are computed; where they differ is the error.

Source: Boettger 1994 (10.1103/PhysRevB.49.16798) for the drift; Fiorentini and Methfessel 1996
(10.1088/0953-8984/8/36/005) for the slope.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from numpy.typing import NDArray

from md.energetics.formula_units import formula_of, whole_units
from md.energetics.relaxed import Relaxed, Tolerance, compute_energies, relax_all
from mlip.structures.orientation import orient
from mlip.structures.slabs import cut_slab
from mlip.structures.terminations import Slice, find_slices
from mlip.units import EV_PER_A2_IN_J_PER_M2

logger = logging.getLogger(__name__)

# Layers and symmetry, as in the builder of slabs, A.
_LAYER_A, _SYMMETRY_A = 0.2, 0.01


@dataclass(frozen=True)
class SurfaceEnergy:
    """Energy of a surface per area.

    Attributes:
        plane: Miller indices of the conventional cell.
        termination: Number of the cut among those of the plane.
        value: J/m^2: of the slope where there are three thicknesses or more, else of the thickest slab.
        error: The larger of what the last thickness changed and what both ways differ by; None of one slab.
        value_eV_A2: The value, eV/A^2.
        unrelaxed: Of the thickest slab with the atoms where they were cut, J/m^2.
        symmetric: Whether both sides of the slabs are the same; else the value is their mean.
        thickness_A: (K,) from the lowest to the highest atom.
        units: (K,) formula units in the slabs.
        energies_eV: (K,) of the slabs.
        of_slabs: (K,) J/m^2, of each slab alone.
        bulk_eV: Energy of a formula unit of the crystal.
        slope_eV: The same by the slope; None where there are fewer than three slabs.
        area_A2: Of one side.
        converged: Whether all relaxations were.
        method: How it was computed.
        unit: Of the value.
    """

    plane: tuple[int, int, int]
    termination: int
    value: float
    error: float | None
    value_eV_A2: float
    unrelaxed: float
    symmetric: bool
    thickness_A: NDArray[np.float64]
    units: NDArray[np.int64]
    energies_eV: NDArray[np.float64]
    of_slabs: NDArray[np.float64]
    bulk_eV: float
    slope_eV: float | None
    area_A2: float
    converged: bool
    method: str
    unit: str = "J/m^2"

    @property
    def name(self) -> str:
        """Such as 110 or 1-10; and the termination, where it is not the first."""
        plane = "".join(str(each) for each in self.plane)
        return f"{plane}.{self.termination}" if self.termination else plane


@dataclass(frozen=True)
class Cut:
    """Slabs of one surface, and the crystal that they are compared with.

    Attributes:
        plane: Miller indices of the conventional cell.
        termination: Number of the cut among those of the plane.
        symmetric: Whether both sides of the slabs are the same.
        slabs: One or more, thin ones first; vacuum along their third vector.
        formula: Of one formula unit of the crystal.
        bulk_eV: Energy of a formula unit of it, best in the cell of the slabs.
    """

    plane: tuple[int, int, int]
    termination: int
    symmetric: bool
    slabs: Sequence[Atoms]
    formula: str
    bulk_eV: float


def compute_surface_energies(
    crystal: Atoms,
    planes: Sequence[tuple[int, int, int]],
    calculator: Calculator,
    *,
    thickness_A: Sequence[float] = (8.0, 12.0, 16.0, 20.0),
    vacuum_A: float = 15.0,
    bonds: Sequence[Sequence[str | float]] = (),
    tolerance: Tolerance | None = None,
) -> list[SurfaceEnergy]:
    """Surface energy of every distinct stoichiometric termination of planes.

    Args:
        crystal: A conventional cell at its minimum.
        planes: Miller indices of it.
        calculator: Gives energy and forces.
        thickness_A: Of the slabs, at least.
        vacuum_A: From a slab to its next image.
        bonds: [species, species, longest length in A] of bonds that no surface cuts.
        tolerance: When slabs are relaxed; their cells stay.

    Returns:
        Planes in turn; none of those that have no gap to cut, or no cut that leaves whole formula units.
    """
    oriented = [orient(crystal, plane, _SYMMETRY_A) for plane in planes]
    formula, _ = formula_of(crystal)
    cuts = []
    for plane, bulk, energy_eV in zip(planes, oriented, compute_energies(oriented, calculator), strict=True):
        slices = find_slices(bulk, _LAYER_A, _SYMMETRY_A, bonds)
        whole = [each for each in slices if each.stoichiometric]
        if not whole:
            logger.warning("plane %s has no slab of whole formula units: no surface energy", plane)
        for number, part in enumerate(whole):
            slabs = _cut(bulk, part, thickness_A, vacuum_A)
            unit_eV = float(energy_eV) / formula_of(bulk)[1]
            cuts.append(Cut(plane, number, part.symmetric, slabs, formula, unit_eV))
    return measure_cuts(cuts, calculator, tolerance)


def measure_cuts(
    cuts: Sequence[Cut], calculator: Calculator, tolerance: Tolerance | None = None
) -> list[SurfaceEnergy]:
    """Surface energies from slabs; those of all surfaces are relaxed together.

    Args:
        cuts: The surfaces.
        calculator: Gives energy and forces.
        tolerance: When slabs are relaxed; their cells stay.

    Raises:
        DataError: A slab is not made of whole formula units.
    """
    if not cuts:
        return []
    units = [[whole_units(slab, cut.formula, "a slab") for slab in cut.slabs] for cut in cuts]
    relaxed = iter(relax_all([slab for cut in cuts for slab in cut.slabs], calculator, tolerance))
    as_cut = compute_energies([cut.slabs[-1] for cut in cuts], calculator)
    return [
        _measure(cut, np.array(numbers), list(islice(relaxed, len(cut.slabs))), float(unrelaxed_eV))
        for cut, numbers, unrelaxed_eV in zip(cuts, units, as_cut, strict=True)
    ]


def _measure(
    cut: Cut, units: NDArray[np.int64], found: Sequence[Relaxed], unrelaxed_eV: float
) -> SurfaceEnergy:
    """Surface energy from relaxed slabs, and from the thickest as it was cut."""
    area = float(np.linalg.norm(np.cross(*cut.slabs[-1].cell.array[:2])))
    energies = np.array([each.energy_eV for each in found])
    of_slabs = (energies - units * cut.bulk_eV) / (2 * area)
    by_slope, slope = _fit(units, energies, area)
    value = float(of_slabs[-1]) if by_slope is None else by_slope
    differences = np.abs([*np.diff(of_slabs[-2:]), value - of_slabs[-1]])
    way = "slope of energy against thickness" if by_slope is not None else "thickest slab"
    sides = "both sides alike" if cut.symmetric else "mean of two sides that differ"
    return SurfaceEnergy(
        plane=cut.plane,
        termination=cut.termination,
        value=value * EV_PER_A2_IN_J_PER_M2,
        error=float(differences.max()) * EV_PER_A2_IN_J_PER_M2 if len(found) > 1 else None,
        value_eV_A2=value,
        unrelaxed=float(unrelaxed_eV - units[-1] * cut.bulk_eV) / (2 * area) * EV_PER_A2_IN_J_PER_M2,
        symmetric=cut.symmetric,
        thickness_A=np.array([np.ptp(slab.positions[:, 2]) for slab in cut.slabs]),
        units=units,
        energies_eV=energies,
        of_slabs=of_slabs * EV_PER_A2_IN_J_PER_M2,
        bulk_eV=cut.bulk_eV,
        slope_eV=slope,
        area_A2=area,
        converged=all(each.converged for each in found),
        method=f"(E - N E_bulk) / 2S, {way}, {len(found)} slabs, {sides}",
    )


def _cut(oriented: Atoms, part: Slice, thickness_A: Sequence[float], vacuum_A: float) -> list[Atoms]:
    """Slabs of growing thickness, each once."""
    slabs = [cut_slab(oriented, part, thickness, vacuum_A) for thickness in sorted(thickness_A)]
    return [
        slab
        for before, slab in zip([None, *slabs], slabs, strict=False)
        if before is None or len(slab) > len(before)
    ]


def _fit(
    units: NDArray[np.int64], energies: NDArray[np.float64], area_A2: float
) -> tuple[float | None, float | None]:
    """Surface energy in eV/A^2 and bulk energy in eV from a line through three slabs or more."""
    if len(units) < 3:
        return None, None
    slope, offset = np.polyfit(units, energies, 1)
    return float(offset) / (2 * area_A2), float(slope)
