"""Energy against volume: a structure is scaled, its atoms relax, and an equation of state goes through."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from numpy.typing import NDArray

from md.energetics.equation_of_state import EquationOfState, fit_energies
from md.energetics.relaxed import Tolerance, relax_all
from mlip.structures.strain import build_volumes


@dataclass(frozen=True)
class EnergyVolume:
    """Energies of a structure at several volumes, and the equation of state through them.

    Attributes:
        volumes_A3: (V,) of the cell, ascending.
        energies_eV: (V,) of the cell.
        num_atoms: In the cell.
        fit: The equation of state of the cell.
        converged: Whether the atoms reached their minimum at every volume.
        method: How it was computed.
    """

    volumes_A3: NDArray[np.float64]
    energies_eV: NDArray[np.float64]
    num_atoms: int
    fit: EquationOfState
    converged: bool
    method: str

    @property
    def misfit_meV_per_atom(self) -> float:
        """Largest distance of an energy from the fit: a potential with a kink shows here."""
        away = self.energies_eV - self.fit.energies_at(self.volumes_A3)
        return 1e3 * float(np.abs(away).max()) / self.num_atoms

    @property
    def has_minimum_inside(self) -> bool:
        """Whether the volume of least energy is among those that were computed."""
        return bool(self.volumes_A3[0] < self.fit.volume_A3 < self.volumes_A3[-1])


def compute_equation_of_state(
    atoms: Atoms,
    calculator: Calculator,
    *,
    relative_volumes: Sequence[float] = (0.88, 1.12),
    count: int = 9,
    tolerance: Tolerance | None = None,
) -> EnergyVolume:
    """Scale a structure to several volumes, relax its atoms at each, and fit the energies.

    Args:
        atoms: A structure that is periodic in three directions; its shape stays as it is.
        calculator: Gives energy and forces.
        relative_volumes: From and to, as shares of the volume it has.
        count: How many volumes, evenly spaced.
        tolerance: When the atoms are relaxed; `max_steps` of 0 leaves them where scaling puts them.

    Raises:
        ConfigError: The range makes no sense.
        DataError: The structure has no volume, or the energies have no minimum.
    """
    tolerance = tolerance or Tolerance()
    scaled = list(build_volumes(atoms, relative_volumes=relative_volumes, count=count))
    found = relax_all(scaled, calculator, tolerance)
    volumes = np.array([each.atoms.get_volume() for each in found])
    energies = np.array([each.energy_eV for each in found])
    return EnergyVolume(
        volumes,
        energies,
        len(atoms),
        fit_energies(volumes, energies),
        all(each.converged for each in found),
        f"Birch-Murnaghan of third order through {count} volumes, shape fixed, atoms "
        + ("relaxed" if tolerance.max_steps else "scaled along"),
    )
