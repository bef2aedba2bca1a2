"""Energies of two atoms alone against their distance: whether a potential repels where nobody labelled."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.data import atomic_numbers, covalent_radii
from numpy.typing import NDArray

from mlip.structures.pairs import build_pairs

Numbers = NDArray[np.float64]

# Of the sum of covalent radii: no pair of atoms is bound at less, N2 at 0.77, O2 at 0.92.
WALL = 0.7
# Above atoms alone, eV: what hot ones reach.
REACHED_EV = 2.0
_METHOD = "energy of a dimer in a box less that of its atoms alone in the same box; forces along the distance"


@dataclass(frozen=True)
class PairCurve:
    """The curve of a pair.

    Attributes:
        pair: Both species, the lighter one first.
        distances_A: (D,) ascending.
        energies_eV: (D,) of the dimer, less that of both atoms alone.
        forces_eV_A: (D,) along the distance, above zero where the atoms repel.
        method: How it was computed.
    """

    pair: tuple[str, str]
    distances_A: Numbers
    energies_eV: Numbers
    forces_eV_A: Numbers
    method: str = _METHOD

    @property
    def wall_A(self) -> float:
        """Distance below which every pair of these species should repel."""
        return WALL * float(sum(covalent_radii[atomic_numbers[symbol]] for symbol in self.pair))

    @property
    def holes_A(self) -> tuple[float, ...]:
        """Distances below the wall at which the atoms do not repel; none, as it should be, is empty."""
        inside = (self.distances_A < self.wall_A) & (self.forces_eV_A <= 0.0)
        return tuple(self.distances_A[inside].tolist())

    @property
    def is_repulsive(self) -> bool:
        """Whether the atoms repel at every distance below the wall."""
        return not self.holes_A

    @property
    def minima_A(self) -> tuple[float, ...]:
        """Where repulsion turns into attraction, A: one, or none where they repel."""
        force, distance = self.forces_eV_A, self.distances_A
        at = np.flatnonzero((force[:-1] > 0.0) & (force[1:] < 0.0))
        part = force[at] / (force[at] - force[at + 1])
        return tuple((distance[at] + part * (distance[at + 1] - distance[at])).tolist())

    @property
    def well_eV(self) -> float:
        """The lowest energy beyond the wall; zero where the pair is not bound there."""
        return min(float(self.energies_eV[self.distances_A >= self.wall_A].min(initial=0.0)), 0.0)

    @property
    def roughness_eV(self) -> float:
        """How far an energy is, at most, from the smooth curve through its two neighbors.

        That curve has their energies and forces (cubic of Hermite), so steps, kinks and forces that are not
        those of the energy show. Of a smooth curve it falls with the fourth power of the step. Counted are
        distances beyond the wall where the energy is not above `REACHED_EV`.
        """
        energy, force, width = (
            self.energies_eV,
            self.forces_eV_A,
            self.distances_A[2:] - self.distances_A[:-2],
        )
        expected = (energy[:-2] + energy[2:]) / 2 + width / 8 * (force[2:] - force[:-2])
        counted = (self.distances_A[:-2] >= self.wall_A) & (energy[:-2] <= REACHED_EV)
        return float(np.abs(energy[1:-1] - expected)[counted].max(initial=0.0))


def compute_pair_curves(
    species: Sequence[str],
    calculator: Calculator,
    *,
    distances_A: Sequence[float] = (0.5, 6.0),
    step_A: float = 0.1,
    box_A: float = 20.0,
) -> list[PairCurve]:
    """Compute the curve of every pair of species, each with itself among them.

    Args:
        species: Chemical symbols.
        calculator: Gives energy and forces.
        distances_A: The shortest and the longest distance, A.
        step_A: From one distance to the next, A.
        box_A: Edge of the periodic cube around a dimer, A.

    Raises:
        ConfigError: A species is none, or distances make no sense or do not fit into the box.
    """
    dimers: dict[tuple[str, str], list[Atoms]] = {}
    for dimer in build_pairs(species=species, distances_A=distances_A, step_A=step_A, box_A=box_A):
        first, second = dimer.get_chemical_symbols()
        dimers.setdefault((first, second), []).append(dimer)
    alone = {symbol: _energy_alone(symbol, calculator, box_A) for symbol in dict.fromkeys(species)}
    return [
        _compute_curve(pair, members, alone[pair[0]] + alone[pair[1]], calculator)
        for pair, members in dimers.items()
    ]


def _compute_curve(
    pair: tuple[str, str], dimers: Sequence[Atoms], energy_alone_eV: float, calculator: Calculator
) -> PairCurve:
    energies, forces = [], []
    for dimer in dimers:
        dimer.calc = calculator
        energies.append(dimer.get_potential_energy(force_consistent=True) - energy_alone_eV)
        forces.append(dimer.get_forces() @ [1.0, 0.0, 0.0] @ [-0.5, 0.5])
    distances = [dimer.info["distance_A"] for dimer in dimers]
    return PairCurve(pair, np.array(distances), np.array(energies), np.array(forces))


def _energy_alone(symbol: str, calculator: Calculator, box_A: float) -> float:
    atom = Atoms(symbol, positions=[[box_A / 2] * 3], cell=[box_A] * 3, pbc=True, calculator=calculator)
    return float(atom.get_potential_energy(force_consistent=True))
