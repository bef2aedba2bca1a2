"""Vibrations of a crystal at Gamma, by finite displacements (phonopy)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from numpy.typing import NDArray

from mlip.errors import ConfigError

if TYPE_CHECKING:
    from phonopy import Phonopy

# A mode below this is no vibration about a minimum, THz; rounding leaves acoustic ones at about 1e-3.
IMAGINARY_THZ = -0.05
THZ_IN_PER_CM = 33.35640952
_ACOUSTIC = 3


@dataclass(frozen=True)
class GammaPhonons:
    """Frequencies at Gamma of the cell that was given.

    Attributes:
        frequencies_THz: (3N,) ascending, imaginary ones below zero; the acoustic sum rule imposed.
        acoustic_THz: The three acoustic frequencies before that: how well the forces keep it.
        num_displacements: Structures that were computed.
        method: How it was computed.
    """

    frequencies_THz: NDArray[np.float64]
    acoustic_THz: tuple[float, float, float]
    num_displacements: int
    method: str

    @property
    def frequencies_per_cm(self) -> NDArray[np.float64]:
        """(3N,) as wave numbers, 1/cm."""
        return self.frequencies_THz * THZ_IN_PER_CM

    @property
    def imaginary_THz(self) -> tuple[float, ...]:
        """Modes along which the energy falls: the structure is no minimum."""
        return tuple(self.frequencies_THz[self.frequencies_THz < IMAGINARY_THZ].tolist())

    @property
    def optical_THz(self) -> NDArray[np.float64]:
        """(3N - 3,) all but the three that are nearest to zero."""
        order = np.argsort(np.abs(self.frequencies_THz), kind="stable")
        return np.sort(self.frequencies_THz[order[_ACOUSTIC:]])


def compute_gamma_phonons(
    crystal: Atoms, calculator: Calculator, *, displacement_A: float = 0.01
) -> GammaPhonons:
    """Compute the frequencies.

    At Gamma all cells move alike, so displacements in the cell itself are enough, whatever the cutoff; those
    that symmetry makes equal are computed once.

    Args:
        crystal: At its minimum.
        calculator: Gives forces.
        displacement_A: Of an atom, to both sides.

    Raises:
        ConfigError: The displacement is not above zero.

    Source: Togo et al. 2023 (10.1088/1361-648X/acd831).
    """
    from phonopy import Phonopy
    from phonopy.structure.atoms import PhonopyAtoms

    if displacement_A <= 0:
        raise ConfigError(f"found displacement_A={displacement_A:g}; expected one above zero")
    cell = PhonopyAtoms(
        symbols=crystal.get_chemical_symbols(),
        cell=crystal.cell.array,
        scaled_positions=crystal.get_scaled_positions(),
        masses=crystal.get_masses(),
    )
    phonons = Phonopy(cell, supercell_matrix=np.eye(3, dtype=int), primitive_matrix=np.eye(3))
    phonons.generate_displacements(distance=displacement_A, is_plusminus=True)
    displaced = [each for each in phonons.supercells_with_displacements or [] if each is not None]
    phonons.forces = np.array([_forces(crystal, each.positions, calculator) for each in displaced])
    phonons.produce_force_constants()
    as_computed = _frequencies(phonons)
    phonons.symmetrize_force_constants()
    nearest = sorted(as_computed, key=abs)[:_ACOUSTIC]
    return GammaPhonons(
        _frequencies(phonons),
        (float(nearest[0]), float(nearest[1]), float(nearest[2])),
        len(displaced),
        f"finite displacements of {displacement_A:g} A, Gamma of the cell of {len(crystal)} atoms",
    )


def _frequencies(phonons: "Phonopy") -> NDArray[np.float64]:
    """(3N,) THz at Gamma, ascending."""
    found: NDArray[np.float64] = np.sort(phonons.run_qpoints([[0.0, 0.0, 0.0]]).frequencies[0])
    return found


def _forces(crystal: Atoms, positions: NDArray[np.float64], calculator: Calculator) -> NDArray[np.float64]:
    atoms = crystal.copy()
    atoms.set_positions(positions, apply_constraint=False)
    atoms.calc = calculator
    forces: NDArray[np.float64] = atoms.get_forces(apply_constraint=False)
    return forces
