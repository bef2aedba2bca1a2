"""A deployed file must give the potential's own numbers; otherwise there is no deployment."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms

from mlip.deploy.calculator import MLIPCalculator
from mlip.errors import PotentialError
from mlip.units import EV_PER_A3_IN_GPA

# Largest allowed difference: relative for energy and forces, GPa for pressure against a finite difference.
TOLERANCES = {
    "float64": {"energy": 1e-9, "forces": 1e-9, "stress": 1e-9, "pressure_GPa": 1e-4, "grade": 1e-9},
    "float32": {"energy": 1e-5, "forces": 1e-5, "stress": 1e-5, "pressure_GPa": 0.05, "grade": 1e-2},
}
# Of what a table of radial functions adds to that, in any dtype.
TABLE_TOLERANCES = {"energy": 1e-5, "forces": 1e-4, "stress": 1e-4, "pressure_GPa": 0.05, "grade": 0.1}
# Standard deviation of displacements in A: thermal ones, where a table is looked at in other places, too.
TABLE_DISPLACEMENT = 0.1
# Linear strain of the finite difference: float32 energies carry noise, so their step is larger.
STRAIN_STEP = {"float64": 1e-4, "float32": 3e-3}


@dataclass(frozen=True)
class Verification:
    """Differences between a deployed file and the potential it came from.

    Attributes:
        energy: Per atom, relative to max(|E|/N, 0.1 eV).
        forces: Relative to max(|F|, 0.1 eV/A).
        stress: Relative to max(|stress|, 0.1 eV/A^3 / volume per atom in A^3); 0 without a periodic cell.
        pressure_GPa: |-dE/dV by finite differences + trace(stress) / 3| of the deployed file, GPa.
        grade: Of the atoms, relative to max(grade, 1); 0 where the file has no grade.
    """

    energy: float
    forces: float
    stress: float
    pressure_GPa: float
    grade: float


def verify_deployment(
    potential: Path,
    deployed: Path,
    structure: Atoms,
    dtype: str,
    device: str,
    kernel: str = "reference",
    radial: str = "exact",
    tolerances: Mapping[str, float] | None = None,
    displacement: float = 0.02,
) -> Verification:
    """Compare a deployed file with its potential in plain torch on a structure, its atoms slightly displaced.

    Args:
        potential: The `.mlip` file.
        deployed: The file that was made of it.
        structure: What it is evaluated on.
        dtype: In which the deployed file computes.
        device: Where both run.
        kernel: Of the deployed file: `reference`, or `cpp` for the compiled kernels in it.
        radial: Of the potential: `exact` or `table`.
        tolerances: Largest allowed differences; None for those of the dtype.
        displacement: Standard deviation of the displacements, A.

    Raises:
        PotentialError: A difference is above its tolerance.
    """
    atoms = structure.copy()
    atoms.rattle(displacement, seed=1)
    theirs = _evaluate(atoms, MLIPCalculator(deployed, device, kernel=kernel))
    ours = _evaluate(atoms, MLIPCalculator(potential, device, dtype, "reference", radial))
    periodic = bool(atoms.pbc.all())
    differences = Verification(
        energy=abs(theirs.energy - ours.energy) / max(abs(ours.energy), 0.1 * len(atoms)),
        forces=float(np.abs(theirs.forces - ours.forces).max()) / max(float(np.abs(ours.forces).max()), 0.1),
        stress=_relative_stress(theirs.stress, ours.stress, atoms) if periodic else 0.0,
        pressure_GPa=_pressure_difference(theirs, dtype) if periodic else 0.0,
        grade=_relative_grade(theirs.grade, ours.grade),
    )
    for name, limit in (tolerances or TOLERANCES[dtype]).items():
        found = getattr(differences, name)
        if not found <= limit:  # NaN fails, too
            raise PotentialError(
                f"{deployed.name} (kernel={kernel}) differs from {potential.name}: {name} by {found:.2g}, "
                f"allowed {limit:g}; not deployed"
            )
    return differences


@dataclass(frozen=True)
class _Evaluation:
    atoms: Atoms
    energy: float
    forces: np.ndarray
    stress: np.ndarray
    grade: np.ndarray | None


def _evaluate(structure: Atoms, calculator: MLIPCalculator) -> _Evaluation:
    atoms = structure.copy()
    atoms.calc = calculator
    stress = atoms.get_stress() if atoms.pbc.all() else np.zeros(6)
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    return _Evaluation(atoms, energy, forces, stress, calculator.results.get("extrapolation_grade"))


def _relative_grade(theirs: np.ndarray | None, ours: np.ndarray | None) -> float:
    if theirs is None or ours is None:
        return 0.0
    return float((np.abs(theirs - ours) / np.maximum(ours, 1.0)).max())


def _relative_stress(theirs: np.ndarray, ours: np.ndarray, atoms: Atoms) -> float:
    scale = max(float(np.abs(ours).max()), 0.1 * len(atoms) / atoms.get_volume())
    return float(np.abs(theirs - ours).max()) / scale


def _pressure_difference(evaluation: _Evaluation, dtype: str) -> float:
    """Pressure from energies of two isotropically strained cells against the trace of the stress, GPa."""
    step = STRAIN_STEP[dtype]
    energies, volumes = [], []
    for scale in (1.0 - step, 1.0 + step):
        strained = evaluation.atoms.copy()
        strained.set_cell(evaluation.atoms.cell * scale, scale_atoms=True)
        strained.calc = evaluation.atoms.calc
        energies.append(strained.get_potential_energy())
        volumes.append(strained.get_volume())
    pressure = -(energies[1] - energies[0]) / (volumes[1] - volumes[0])
    return abs(pressure + evaluation.stress[:3].sum() / 3.0) * EV_PER_A3_IN_GPA
