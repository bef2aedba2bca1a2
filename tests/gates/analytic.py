"""Potentials that do right and wrong."""

import numpy as np
from ase.calculators.calculator import Calculator, all_changes

EPSILON, SIGMA, R_ON, R_MAX = 0.0104, 3.4, 4.2, 5.0


class Pairs(Calculator):
    """A sum over pairs of any two atoms, of what a subclass or an argument says."""

    implemented_properties = ["energy", "free_energy", "forces", "stress"]
    grade_thresholds = None

    def __init__(self, add=None, curl=0.0):
        """Make one.

        Args:
            add: Energies and slopes that come on top, of symbols and distances.
            curl: Of a force around where each atom was first, which is no gradient, eV/A^2.
        """
        super().__init__()
        self.add, self.curl = add, curl
        self.start = None

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        cell = np.array(self.atoms.cell)
        vectors = self.atoms.positions[None] - self.atoms.positions[:, None]
        fractional = vectors @ np.linalg.inv(cell)
        vectors = (fractional - np.round(fractional)) @ cell
        distances = np.linalg.norm(vectors, axis=2)
        np.fill_diagonal(distances, np.inf)
        energies, slopes = lennard_jones(distances)
        if self.add is not None:
            more = self.add(self.atoms.symbols, distances)
            energies, slopes = energies + more[0], slopes + more[1]
        forces = np.einsum("ij,ijk->ik", slopes / distances, vectors)
        if self.curl:
            self.start = self.atoms.positions.copy() if self.start is None else self.start
            forces += self.curl * np.cross([0.0, 0.0, 1.0], self.atoms.positions - self.start)
        tension = np.einsum("ij,ijk,ijl->kl", slopes / distances, vectors, vectors)
        self.results = {
            "energy": 0.5 * energies.sum(),
            "free_energy": 0.5 * energies.sum(),
            "forces": forces,
            "stress": (0.5 * tension / self.atoms.get_volume())[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]],
        }


def lennard_jones(distances):
    """Energies and slopes of argon, switched off between 4.2 and 5 A."""
    s6 = np.where(distances < R_MAX, SIGMA / distances, 0.0) ** 6
    energies, slopes = 4 * EPSILON * (s6**2 - s6), 4 * EPSILON * (6 * s6 - 12 * s6**2) / distances
    x = np.clip((distances - R_ON) / (R_MAX - R_ON), 0.0, 1.0)
    switch, bend = 1 - x**3 * (10 - 15 * x + 6 * x**2), -30 * x**2 * (1 - x) ** 2 / (R_MAX - R_ON)
    return energies * switch, slopes * switch + energies * bend
