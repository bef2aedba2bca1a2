"""Which registry an interface of crystals starts from: shifts in the plane are screened, the lowest is kept.

A relaxation keeps the symmetry it starts with: atoms on top of each other may stay there, far above the
minimum. So energies of all shifts of a grid are computed before anything moves.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from numpy.typing import NDArray

from md.energetics.relaxed import compute_energies
from mlip.structures.shifts import shift_interface
from mlip.units import EV_PER_A2_IN_J_PER_M2

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RegistryScan:
    """Unrelaxed energies of an interface at several registries.

    Attributes:
        kept: The interface of least energy.
        shifts: (K, 2) of the upper side from where it was built, in fractions of the vectors in the plane.
        energies_J_m2: (K,) per area of one interface above the least; the first is the one that was built.
    """

    kept: Atoms
    shifts: NDArray[np.float64]
    energies_J_m2: NDArray[np.float64]

    @property
    def kept_shift(self) -> tuple[float, float]:
        """Of the one of least energy, from 0 to 1."""
        u, v = self.shifts[int(np.argmin(self.energies_J_m2))] % 1.0
        return float(u), float(v)

    @property
    def built_J_m2(self) -> float:
        """How far the one that was built is above the least."""
        return float(self.energies_J_m2[0])

    @property
    def spread_J_m2(self) -> float:
        """How far the highest is above the least."""
        return float(self.energies_J_m2.max())


def scan_registries(
    interfaces: Sequence[Atoms], calculator: Calculator, per_vector: int
) -> list[RegistryScan]:
    """Compute interfaces at a grid of registries, all of them in one batch where the calculator has one.

    Args:
        interfaces: As they were built.
        calculator: Gives energies.
        per_vector: Points of the grid along each vector of the cell in which registries repeat.
    """
    tried = [list(shift_interface(interface, per_vector)) for interface in interfaces]
    energies = iter(compute_energies([each for several in tried for each in several], calculator))
    return [_compare(several, np.array(list(islice(energies, len(several))))) for several in tried]


def _compare(tried: Sequence[Atoms], energies_eV: NDArray[np.float64]) -> RegistryScan:
    built = tried[0]
    area = int(built.info["num_interfaces"]) * float(np.linalg.norm(np.cross(*built.cell.array[:2])))
    shifts = np.array([atoms.info["shift"] for atoms in tried])
    above = (energies_eV - energies_eV.min()) / area * EV_PER_A2_IN_J_PER_M2
    scan = RegistryScan(tried[int(np.argmin(above))], shifts, above)
    logger.info(
        "%s: of %d registries the one shifted by %.3f %.3f is kept; the one that was built is %.3f J/m^2 "
        "above it, the highest %.3f",
        built.info.get("terminations", ""),
        len(tried),
        *scan.kept_shift,
        scan.built_J_m2,
        scan.spread_J_m2,
    )
    return scan
