"""The elastic tensor: stress against small strains of the cell, the atoms relaxed at each.

C_ij = d sigma_i / d epsilon_j in Voigt order xx yy zz yz xz xy, shears counted twice (gamma = 2 epsilon).
Central differences at a strain and at half of it give C, extrapolated to no strain (Richardson), and its
error.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from numpy.typing import NDArray

from md.energetics.relaxed import Relaxed, Tolerance, relax_all
from mlip.errors import ConfigError, DataError
from mlip.structures.symmetry import find_operations

Numbers = NDArray[np.float64]

_VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
_SYMMETRY_A = 0.01


@dataclass(frozen=True)
class Elasticity:
    """An elastic tensor and what follows from it.

    Attributes:
        tensor_GPa: (6, 6) symmetric, Voigt order xx yy zz yz xz xy, in the directions of the cell that was
            given; averaged over the operations of the crystal.
        errors_GPa: (6, 6) of the differences, before the symmetry was used.
        asymmetry_GPa: Largest difference to the transposed tensor or to its average over the symmetry.
        clamped_GPa: (6, 6) with atoms that only follow the strain.
        residual_GPa: Largest stress without strain: the crystal was not at its minimum if it is large.
        converged: Whether all relaxations were.
        method: How it was computed.
    """

    tensor_GPa: Numbers
    errors_GPa: Numbers
    asymmetry_GPa: float
    clamped_GPa: Numbers
    residual_GPa: float
    converged: bool
    method: str

    @property
    def is_stable(self) -> bool:
        """Whether every strain costs energy (Born): all eigenvalues are above zero."""
        return bool(np.linalg.eigvalsh(self.tensor_GPa).min() > 0)

    @property
    def bulk_modulus_GPa(self) -> float:
        """Mean of Voigt's and of Reuss' (Hill)."""
        return sum(self.bulk_bounds_GPa) / 2

    @property
    def shear_modulus_GPa(self) -> float:
        """Mean of Voigt's and of Reuss' (Hill)."""
        return sum(self.shear_bounds_GPa) / 2

    @property
    def bulk_bounds_GPa(self) -> tuple[float, float]:
        """Reuss' and Voigt's bulk modulus."""
        c, s = self.tensor_GPa, np.linalg.inv(self.tensor_GPa)
        return 1 / float(s[:3, :3].sum()), float(c[:3, :3].sum()) / 9

    @property
    def shear_bounds_GPa(self) -> tuple[float, float]:
        """Reuss' and Voigt's shear modulus."""
        c, s = self.tensor_GPa, np.linalg.inv(self.tensor_GPa)
        normal_c, normal_s = float(np.trace(c[:3, :3])), float(np.trace(s[:3, :3]))
        across_c, across_s = (float(m[0, 1] + m[0, 2] + m[1, 2]) for m in (c, s))
        voigt = (normal_c - across_c + 3 * float(np.trace(c[3:, 3:]))) / 15
        reuss = 15 / (4 * normal_s - 4 * across_s + 3 * float(np.trace(s[3:, 3:])))
        return reuss, voigt

    @property
    def young_modulus_GPa(self) -> float:
        """Of a polycrystal (Hill)."""
        bulk, shear = self.bulk_modulus_GPa, self.shear_modulus_GPa
        return 9 * bulk * shear / (3 * bulk + shear)

    @property
    def poisson_ratio(self) -> float:
        """Of a polycrystal (Hill)."""
        bulk, shear = self.bulk_modulus_GPa, self.shear_modulus_GPa
        return (3 * bulk - 2 * shear) / (2 * (3 * bulk + shear))

    @property
    def anisotropy(self) -> float:
        """Universal index, zero of an isotropic solid (Ranganathan and Ostoja-Starzewski 2008)."""
        (low_b, high_b), (low_g, high_g) = self.bulk_bounds_GPa, self.shear_bounds_GPa
        return 5 * high_g / low_g + high_b / low_b - 6


def compute_elastic_tensor(
    crystal: Atoms, calculator: Calculator, *, strain: float = 0.01, tolerance: Tolerance | None = None
) -> Elasticity:
    """Compute the elastic tensor.

    Args:
        crystal: At its minimum, atoms and cell.
        calculator: Gives energy, forces and stress.
        strain: The largest; half of it is used, too.
        tolerance: When the atoms are relaxed at a strain.

    Raises:
        ConfigError: The strain makes no sense, or the calculator has no stress.
        DataError: The structure has no volume.

    Source: Voigt, Reuss and Hill's means as in Hill 1952 (10.1088/0370-1298/65/5/307); anisotropy
        10.1103/PhysRevLett.101.055504.
    """
    if not 0 < strain <= 0.1:
        raise ConfigError(f"found energetics.strain={strain:g}; expected one above zero and up to 0.1")
    if "stress" not in calculator.implemented_properties:
        raise ConfigError("found a calculator without stress; expected one that computes it")
    if not crystal.pbc.all():
        raise DataError(f"found {crystal.get_chemical_formula()}, not periodic; expected a crystal")
    wide, half = _strained_all(crystal, strain), _strained_all(crystal, strain / 2)
    relaxed = relax_all([*wide, *half], calculator, tolerance)
    clamped = relax_all([crystal, *half], calculator, Tolerance(max_steps=0))
    wide_slopes = _slopes(relaxed[: len(wide)], strain)
    narrow_slopes = _slopes(relaxed[len(wide) :], strain / 2)
    clamped_slopes = _slopes(clamped[1:], strain / 2)
    raw = (4 * narrow_slopes - wide_slopes) / 3
    rotations = _cartesian_rotations(crystal)
    tensor = _averaged((raw + raw.T) / 2, rotations)
    return Elasticity(
        tensor_GPa=tensor,
        errors_GPa=np.abs(narrow_slopes - wide_slopes) / 3,
        asymmetry_GPa=float(max(np.abs(raw - raw.T).max() / 2, np.abs(raw - tensor).max())),
        clamped_GPa=_averaged((clamped_slopes + clamped_slopes.T) / 2, rotations),
        residual_GPa=float(np.abs(clamped[0].stress_GPa).max()),
        converged=all(each.converged for each in relaxed),
        method=f"stress at strains of {strain:g} and {strain / 2:g}, atoms relaxed, cell symmetry imposed",
    )


def _strained_all(crystal: Atoms, strain: float) -> list[Atoms]:
    """The crystal under every component of strain, each to both sides."""
    return [_strained(crystal, j, sign * strain) for j in range(6) for sign in (1.0, -1.0)]


def _slopes(found: Sequence[Relaxed], strain: float) -> Numbers:
    """Slopes d stress_i / d strain_j, (6, 6) GPa, of what `_strained_all` gave."""
    stresses = np.array([each.stress_GPa for each in found])
    return (stresses[0::2] - stresses[1::2]).T / (2 * strain)


def _strained(crystal: Atoms, component: int, strain: float) -> Atoms:
    """A crystal under one component of Voigt's strain, which of a shear is twice the tensor's."""
    a, b = _VOIGT[component]
    change = np.zeros((3, 3))
    change[a, b] += strain / 2
    change[b, a] += strain / 2
    atoms = crystal.copy()
    atoms.set_cell(crystal.cell.array @ (np.eye(3) + change), scale_atoms=True)
    return atoms


def _cartesian_rotations(crystal: Atoms) -> Numbers:
    """Rotations of the crystal as (G, 3, 3) matrices for columns of Cartesian coordinates."""
    rotations, _ = find_operations(crystal, _SYMMETRY_A)
    cell = crystal.cell.array.T
    return np.array([cell @ rotation @ np.linalg.inv(cell) for rotation in np.unique(rotations, axis=0)])


def _averaged(tensor: Numbers, rotations: Numbers) -> Numbers:
    """The mean of a tensor (6, 6) over rotations."""
    number = np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])
    whole = tensor[number][:, :, number]
    mean = np.mean(
        [
            np.einsum("ai,bj,ck,dl,ijkl->abcd", turn, turn, turn, turn, whole, optimize=True)
            for turn in rotations
        ],
        axis=0,
    )
    return np.array([[mean[a, b, c, d] for c, d in _VOIGT] for a, b in _VOIGT])
