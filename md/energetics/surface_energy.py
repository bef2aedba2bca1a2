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

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from numpy.typing import NDArray

from md.energetics.formula_units import formula_of, whole_units
from md.energetics.relaxed import Relaxed, Tolerance, relax
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


def compute_surface_energies(
    crystal: Atoms,
    plane: tuple[int, int, int],
    calculator: Calculator,
    *,
    thickness_A: Sequence[float] = (8.0, 12.0, 16.0, 20.0),
    vacuum_A: float = 15.0,
    bonds: Sequence[Sequence[str | float]] = (),
    tolerance: Tolerance | None = None,
) -> list[SurfaceEnergy]:
    """Surface energy of every distinct stoichiometric termination of a plane.

    Args:
        crystal: A conventional cell at its minimum.
        plane: Miller indices of it.
        calculator: Gives energy and forces.
        thickness_A: Of the slabs, at least.
        vacuum_A: From a slab to its next image.
        bonds: [species, species, longest length in A] of bonds that no surface cuts.
        tolerance: When slabs are relaxed; their cells stay.

    Returns:
        None where the plane has no gap to cut, or no cut leaves whole formula units.
    """
    oriented = orient(crystal, plane, _SYMMETRY_A)
    slices = find_slices(oriented, _LAYER_A, _SYMMETRY_A, bonds)
    whole = [each for each in slices if each.stoichiometric]
    if not whole:
        logger.warning("plane %s has no slab of whole formula units: no surface energy", plane)
    bulk = relax(oriented, calculator, Tolerance(max_steps=0))
    return [
        compute_surface_energy(
            _cut(oriented, part, thickness_A, vacuum_A),
            bulk,
            calculator,
            plane=plane,
            termination=number,
            symmetric=part.symmetric,
            tolerance=tolerance,
        )
        for number, part in enumerate(whole)
    ]


def compute_surface_energy(
    slabs: Sequence[Atoms],
    bulk: Relaxed,
    calculator: Calculator,
    *,
    plane: tuple[int, int, int],
    termination: int = 0,
    symmetric: bool = True,
    tolerance: Tolerance | None = None,
) -> SurfaceEnergy:
    """Surface energy from slabs of one surface.

    Args:
        slabs: One or more, thin ones first; vacuum along their third vector.
        bulk: The crystal, best in the cell of the slabs.
        calculator: Gives energy and forces.
        plane: Miller indices, for the result.
        termination: Number of the cut, for the result.
        symmetric: Whether both sides of the slabs are the same.
        tolerance: When slabs are relaxed; their cells stay.

    Raises:
        DataError: A slab is not made of whole formula units.
    """
    formula, in_bulk = formula_of(bulk.atoms)
    units = np.array([whole_units(slab, formula, "a slab") for slab in slabs])
    bulk_eV = bulk.energy_eV / in_bulk
    area = float(np.linalg.norm(np.cross(*slabs[-1].cell.array[:2])))
    found = [relax(slab, calculator, tolerance) for slab in slabs]
    as_cut = relax(slabs[-1], calculator, Tolerance(max_steps=0)).energy_eV
    energies = np.array([each.energy_eV for each in found])
    of_slabs = (energies - units * bulk_eV) / (2 * area)
    by_slope, slope = _fit(units, energies, area)
    value = float(of_slabs[-1]) if by_slope is None else by_slope
    differences = np.abs([*np.diff(of_slabs[-2:]), value - of_slabs[-1]])
    way = "slope of energy against thickness" if by_slope is not None else "thickest slab"
    sides = "both sides alike" if symmetric else "mean of two sides that differ"
    return SurfaceEnergy(
        plane=plane,
        termination=termination,
        value=value * EV_PER_A2_IN_J_PER_M2,
        error=float(differences.max()) * EV_PER_A2_IN_J_PER_M2 if len(slabs) > 1 else None,
        value_eV_A2=value,
        unrelaxed=float(as_cut - units[-1] * bulk_eV) / (2 * area) * EV_PER_A2_IN_J_PER_M2,
        symmetric=symmetric,
        thickness_A=np.array([np.ptp(slab.positions[:, 2]) for slab in slabs]),
        units=units,
        energies_eV=energies,
        of_slabs=of_slabs * EV_PER_A2_IN_J_PER_M2,
        bulk_eV=bulk_eV,
        slope_eV=slope,
        area_A2=area,
        converged=all(each.converged for each in found),
        method=f"(E - N E_bulk) / 2S, {way}, {len(slabs)} slabs, {sides}",
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
