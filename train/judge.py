"""What a potential expected of its own predictions, beside what came true."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mlip.models.grade_fit import DescribedAtoms
from mlip.models.uncertainty import Uncertainty
from train.metrics import FrameErrors


@dataclass(frozen=True)
class Judgement:
    """Grades, expected deviations and true errors of labelled frames, in their order.

    Attributes:
        grades: (N,) extrapolation grade of every atom.
        force_errors: (N, 3) eV/A.
        force_deviations: (N,) expected standard deviation of a force component, eV/A.
        energy_errors: (B,) of the energy per atom, with its sign, eV.
        energy_deviations: (B,) expected standard deviation of the energy per atom, eV.
        num_atoms: (B,) of each frame.
    """

    grades: np.ndarray
    force_errors: np.ndarray
    force_deviations: np.ndarray
    energy_errors: np.ndarray
    energy_deviations: np.ndarray
    num_atoms: np.ndarray

    @property
    def force_error_lengths(self) -> np.ndarray:
        """Lengths (N,) of the errors of the forces, eV/A."""
        return np.linalg.norm(self.force_errors, axis=1)


def judge(results: Sequence[FrameErrors], uncertainty: Uncertainty, species: Sequence[str]) -> Judgement:
    """Judge the predictions of labelled frames by their descriptors.

    Args:
        results: Labels and predictions.
        uncertainty: Of the weights that predicted.
        species: Of the potential.
    """
    atoms = described(results, species)
    on_cpu = uncertainty.to("cpu")
    vectors = on_cpu.energy(atoms.descriptors, atoms.species)
    num_atoms = np.array([len(result.symbols) for result in results])
    sums = vectors.new_zeros((len(results), vectors.shape[1])).index_add(0, atoms.batch, vectors)
    return Judgement(
        grades=on_cpu.grade(atoms.descriptors, atoms.species).numpy(),
        force_errors=force_errors(results),
        force_deviations=on_cpu.forces(atoms.descriptors, atoms.species).norm(dim=1).numpy(),
        energy_errors=energy_errors(results),
        energy_deviations=sums.norm(dim=1).numpy() / num_atoms,
        num_atoms=num_atoms,
    )


def described(results: Sequence[FrameErrors], species: Sequence[str]) -> DescribedAtoms:
    """The descriptors of all atoms of some frames, on the CPU."""
    index = {symbol: z for z, symbol in enumerate(species)}
    return DescribedAtoms(
        torch.from_numpy(np.concatenate([result.descriptors for result in results])),
        torch.tensor([index[symbol] for result in results for symbol in result.symbols]),
        torch.tensor([k for k, result in enumerate(results) for _ in result.symbols]),
    )


def force_errors(results: Sequence[FrameErrors]) -> np.ndarray:
    """Errors (N, 3) of forces, eV/A."""
    return np.concatenate([result.forces[1] - result.forces[0] for result in results])


def energy_errors(results: Sequence[FrameErrors]) -> np.ndarray:
    """Errors (B,) of energies per atom, eV."""
    return np.array([result.energy[1] - result.energy[0] for result in results])
