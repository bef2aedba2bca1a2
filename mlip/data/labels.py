"""Labels of a frame: energy, forces and stress, under whatever names a file keeps them.

The energy is the force-consistent one (ASE's `free_energy`, VASP's TOTEN): the forces are its derivative, not
that of the energy extrapolated to zero smearing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.stress import full_3x3_to_voigt_6_stress, voigt_6_to_full_3x3_stress
from numpy.typing import NDArray

from mlip.errors import DataError

# In order of preference: a key that names its reference wins over a bare one, which any calculator may leave.
ENERGY_KEYS = (
    "REF_free_energy",
    "REF_energy",
    "dft_free_energy",
    "dft_energy",
    "DFT_energy",
    "free_energy",
    "energy",
    "TotEnergy",
)
FORCES_KEYS = ("REF_forces", "REF_force", "dft_forces", "dft_force", "DFT_forces", "forces", "force")
STRESS_KEYS = ("REF_stress", "dft_stress", "DFT_stress", "stress")
VIRIAL_KEYS = ("REF_virial", "dft_virial", "DFT_virial", "virial", "virials")

# Array of a frame, true where the force on an atom is to be trusted: pieces of larger frames have it.
FORCE_MASK = "force_mask"


@dataclass(frozen=True)
class KeysRead:
    """Under which names the labels of a frame were found; None where there was none."""

    energy: str | None
    forces: str | None
    stress: str | None

    def __str__(self) -> str:
        found = ((name, getattr(self, name)) for name in ("energy", "forces", "stress"))
        return ", ".join(f"{name} from '{key}'" if key else f"no {name}" for name, key in found)


class Labels(SinglePointCalculator):
    """The labels of one frame as an ASE calculator that remembers where they came from."""

    def __init__(self, atoms: Atoms, keys: KeysRead, **results: Any) -> None:
        super().__init__(atoms, **results)
        self.keys = keys


@dataclass(frozen=True)
class FrameLabels:
    """What a frame is labelled with.

    Attributes:
        energy: Force-consistent energy, eV.
        forces: Shape (N, 3), eV/A.
        stress: (1/V) dE/dstrain, shape (3, 3), eV/A^3; only for structures periodic in all directions.
        force_mask: (N,) where the forces are to be trusted; then energy and stress are not. None: all is.
    """

    energy: float | None
    forces: NDArray[np.float64] | None
    stress: NDArray[np.float64] | None
    force_mask: NDArray[np.bool_] | None = None


def frame_labels(atoms: Atoms) -> FrameLabels:
    """Read the labels that a frame carries in its calculator.

    Args:
        atoms: A frame of `read_frames`, or any structure with a `SinglePointCalculator`.

    Returns:
        The labels; a lone atom without forces has zero forces.
    """
    results = atoms.calc.results if atoms.calc is not None else {}
    energy = results.get("free_energy", results.get("energy"))
    forces = results.get("forces")
    if forces is None and len(atoms) == 1:
        forces = np.zeros((1, 3))
    mask = atoms.arrays.get(FORCE_MASK)
    stress = results.get("stress") if np.all(atoms.pbc) and mask is None else None
    return FrameLabels(
        energy=None if energy is None else float(energy),
        forces=None if forces is None else np.asarray(forces, dtype=np.float64),
        stress=None if stress is None else _full_stress(stress),
        force_mask=None if mask is None else np.asarray(mask, dtype=bool),
    )


def attach_labels(atoms: Atoms) -> Atoms:
    """Gather the labels of a frame as read by ASE under the names ASE gives them.

    Args:
        atoms: A frame with labels in its calculator, `info` or `arrays`. It is not changed.

    Returns:
        A copy without constraints, its labels in a `Labels` calculator and no longer in `info` and `arrays`.

    Raises:
        DataError: A label has the wrong shape.
    """
    frame = atoms.copy()
    frame.set_constraint()
    found: dict[str, Any] = {**frame.info, **frame.arrays}
    found.update(atoms.calc.results if atoms.calc is not None else {})
    keys = KeysRead(
        energy=_first(found, ENERGY_KEYS),
        forces=_first(found, FORCES_KEYS),
        stress=_first(found, STRESS_KEYS) or _first(found, VIRIAL_KEYS),
    )
    results = _results(found, keys, frame)
    for key in (*ENERGY_KEYS, *FORCES_KEYS, *STRESS_KEYS, *VIRIAL_KEYS):
        frame.info.pop(key, None)
        frame.arrays.pop(key, None)
    frame.calc = Labels(frame, keys, **results)
    return frame


def _results(found: Mapping[str, Any], keys: KeysRead, atoms: Atoms) -> dict[str, Any]:
    """Collect energy, forces and stress in ASE's names, units and signs."""
    results: dict[str, Any] = {}
    if keys.energy is not None:
        results["energy"] = results["free_energy"] = _energy(found[keys.energy], keys.energy)
    if keys.forces is not None:
        results["forces"] = _forces(found[keys.forces], keys.forces, len(atoms))
    if keys.stress is not None and np.all(atoms.pbc):
        stress = _full_stress(found[keys.stress])
        if keys.stress in VIRIAL_KEYS:
            volume = atoms.cell.volume
            # A cell without volume has no stress; preflight refuses the cell itself.
            stress = -stress / volume if volume > 0.0 else stress * np.nan
        results["stress"] = full_3x3_to_voigt_6_stress(stress)
    return results


def _first(found: Mapping[str, Any], keys: tuple[str, ...]) -> str | None:
    """Pick the most preferred key that has a value."""
    return next((key for key in keys if found.get(key) is not None), None)


def _energy(value: Any, key: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise DataError(f"'{key}' holds {value!r}; expected one number in eV per frame.") from error


def _forces(value: Any, key: str, num_atoms: int) -> NDArray[np.float64]:
    forces = np.asarray(value, dtype=np.float64)
    if forces.shape != (num_atoms, 3):
        raise DataError(
            f"'{key}' has shape {forces.shape}; expected three numbers in eV/A for {num_atoms} atoms."
        )
    return forces


def _full_stress(value: Any) -> NDArray[np.float64]:
    """Bring a stress or virial of 6 (ASE's Voigt order), 9 or 3 x 3 numbers to 3 x 3."""
    stress = np.asarray(value, dtype=np.float64)
    if stress.shape == (6,):
        return np.asarray(voigt_6_to_full_3x3_stress(stress))
    if stress.size == 9:
        full = stress.reshape(3, 3)
        return 0.5 * (full + full.T)
    raise DataError(
        f"A stress has shape {stress.shape}; expected 6 (xx yy zz yz xz xy) or 9 numbers in eV/A^3."
    )
