"""A barostat that scales the cell along some directions together: iso, xy and z are one integrator.

ASE's `MaskedMTKNPT` moves each cell vector by itself; here the directions share one strain, so that a cell
keeps its shape in the plane, as with `couple xy` of LAMMPS. The cell is the first one times exp(strain)
along these directions, so that what is fixed stays where it was however long the run.
"""

from typing import Any

import numpy as np
from ase import Atoms
from ase.md.nose_hoover_chain import IsotropicMTKNPT
from numpy.typing import NDArray
from scipy.special import exprel


class DilationMTKNPT(IsotropicMTKNPT):
    """Constant temperature and pressure by Martyna-Tobias-Klein, where d directions share one strain.

    The strain rate adds to the velocities along the directions; the momenta lose it there, and d/3N of it in
    all directions, which makes the ensemble right to the last factor of the volume. In three directions it is
    ASE's `IsotropicMTKNPT`.

    Args:
        atoms: The atoms it moves, with a calculator.
        directions: Projector on the directions that scale, shape (3, 3): `stretched_directions`.
        settings: Of `IsotropicMTKNPT`, in ASE's units.

    Source: Martyna, Tobias and Klein, J. Chem. Phys. 101, 4177 (1994), eq. 2.9, with d in the place of 3.
    """

    def __init__(self, atoms: Atoms, directions: NDArray[np.float64], **settings: Any) -> None:
        super().__init__(atoms, **settings)
        self._directions = directions
        self._rank = round(np.trace(directions))
        self._barostat._W *= self._rank / 3.0  # the strain of each direction has the same mass
        self._barostat._R[0] = self._barostat._R[-1]  # ASE: nine times that, for one degree of freedom

    def _update_atoms(self) -> None:
        self.atoms.set_positions(self._q)
        self.atoms.set_momenta(self._p)
        self.atoms.set_cell(self._scaled(self._cell0, 1.0, np.exp(self._eps)), scale_atoms=False)

    def _get_volume(self) -> float:
        return float(self._volume0 * np.exp(self._rank * self._eps))

    def _integrate_q(self, delta: float) -> None:
        x = delta * self._p_eps / self._barostat.W
        drift = self._scaled(self._p / self.masses, 1.0, exprel(x))
        self._q = self._scaled(self._q, 1.0, np.exp(x)) + delta * drift

    def _integrate_p(self, delta: float) -> None:
        x = delta * self._p_eps / self._barostat.W
        across = self._rank / (3.0 * self._num_atoms_global) * x
        along = x + across
        push = self._scaled(self._get_forces(), exprel(-across), exprel(-along))
        self._p = self._scaled(self._p, np.exp(-across), np.exp(-along)) + delta * push

    def _integrate_p_cell(self, delta: float) -> None:
        self._update_atoms()
        stress = self.atoms.get_stress(voigt=False, include_ideal_gas=True)
        tension = np.sum(self._directions * stress) + self._rank * self._pressure_au
        thermal = np.sum(self._p**2 / self.masses) / (3.0 * self._num_atoms_global)
        self._p_eps += delta * (self._rank * thermal - self._get_volume() * tension)

    def _scaled(self, vectors: NDArray[np.float64], across: float, along: float) -> NDArray[np.float64]:
        """Multiply the parts of row vectors along the directions and across them by a number each."""
        return across * vectors + (along - across) * (vectors @ self._directions)


def stretched_directions(barostat: str, cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """Projector on the directions that a barostat scales together, shape (3, 3).

    Args:
        barostat: `iso`, `xy` (the plane of the first two cell vectors) or `z` (the normal of that plane).
        cell: Lattice vectors as rows, shape (3, 3), A.
    """
    if barostat == "iso":
        return np.eye(3)
    normal = np.cross(cell[0], cell[1])
    normal /= np.linalg.norm(normal)
    onto_normal = np.outer(normal, normal)
    return onto_normal if barostat == "z" else np.eye(3) - onto_normal
