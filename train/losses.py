"""The training loss: errors of energy, forces and stress in units that can be weighed against each other."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import huber_loss

from mlip.data.graph import LabelledGraph
from mlip.errors import ConfigError
from mlip.nn.derivatives import Prediction


@dataclass(frozen=True)
class SquaredLoss:
    """Mean squared errors.

    loss = energy <(dE / N)^2> + forces <|dF|^2> + stress <(V dstress / N)^2>, in eV^2 and eV^2/A^2. Stress
    enters as a virial per atom: vacuum in a slab does not change its weight. Frames without stress have no
    such term.

    Attributes:
        energy: Weight of the energy's term.
        forces: Weight of the forces' term.
        stress: Weight of the stress's term.
        final_energy: Weight of the energy at the end of training, which it approaches geometrically from
            `energy`; null keeps `energy`. Validation always counts the last weights.

    Raises:
        ConfigError: A weight is negative or all are zero.
    """

    energy: float = 1.0
    forces: float = 1.0
    stress: float = 1.0
    final_energy: float | None = None

    def __post_init__(self) -> None:
        weights = (self.energy, self.forces, self.stress)
        if min(weights) < 0.0 or max(weights) == 0.0:
            raise ConfigError(f"found loss weights {weights}; expected non-negative numbers, not all zero")
        if self.final_energy is not None and not (self.final_energy > 0.0 and self.energy > 0.0):
            raise ConfigError(
                f"found loss.energy={self.energy} and loss.final_energy={self.final_energy}; "
                "expected both above zero, or loss.final_energy=null"
            )

    def weights(self, progress: float) -> dict[str, float]:
        """Weight of each term when the share `progress`, 0 to 1, of all epochs is over."""
        growth = 1.0 if self.final_energy is None else (self.final_energy / self.energy) ** progress
        return {"energy": self.energy * growth, "forces": self.forces, "stress": self.stress}

    def compute(
        self, predicted: Prediction, target: LabelledGraph, progress: float = 1.0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Weighted loss of a labelled batch, and its mean squared errors.

        Args:
            predicted: For the batch.
            target: The batch with its labels.
            progress: Share of all epochs that are over.

        Returns:
            The loss, and the mean squared error of each quantity that the batch has labels for: (eV/atom)^2,
            (eV/A)^2 and, for the virial per atom, eV^2.
        """
        errors = _errors(predicted, target)
        weights = self.weights(progress)
        terms = [weights[name] * self.penalty(name, error, target).mean() for name, error in errors.items()]
        return torch.stack(terms).sum(), {name: error.square().mean() for name, error in errors.items()}

    def penalty(self, name: str, error: Tensor, target: LabelledGraph) -> Tensor:
        """What each number of an error counts; same shape."""
        return error.square()


@dataclass(frozen=True)
class HuberLoss(SquaredLoss):
    """Huber's loss: half the square of small errors, linear in large ones, so that outliers pull less.

    Attributes:
        energy_delta: Where the linear part begins, eV/atom.
        forces_delta: Where the linear part begins, eV/A; or a list of [lower bound of the force on an atom,
            delta], both in eV/A.
        stress_delta: Where the linear part begins, eV (virial per atom).

    Raises:
        ConfigError: As the base; or a delta is not above zero, or the bounds do not begin at 0.

    Source: Huber 1964 (10.1214/aoms/1177703732); by magnitude of the force as in MACE's `universal` loss and
        nequip's `StratifiedHuberForceLoss`.
    """

    energy_delta: float = 0.01
    forces_delta: float | list[list[float]] = 0.01
    stress_delta: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        steps = self._force_steps
        if any(len(step) != 2 for step in steps) or min((step[0] for step in steps), default=1.0) != 0.0:
            raise ConfigError(
                f"found loss.forces_delta={self.forces_delta}; expected a number, or pairs of a force from "
                "which on and a delta, beginning at 0, such as [[0, 0.01], [100, 0.007]]"
            )
        deltas = (self.energy_delta, *(delta for _, delta in steps), self.stress_delta)
        if not min(deltas) > 0.0:
            raise ConfigError(f"found deltas {deltas} of the loss; expected numbers above zero")

    @property
    def _force_steps(self) -> list[list[float]]:
        """Lower bounds of the force and their deltas, ascending."""
        given = self.forces_delta
        return sorted(given) if isinstance(given, list) else [[0.0, given]]

    def penalty(self, name: str, error: Tensor, target: LabelledGraph) -> Tensor:
        """What each number of an error counts; same shape."""
        if name == "forces":
            return _huber(error, _delta_of_force(self._force_steps, target.forces[_known(target.forces)]))
        delta = self.energy_delta if name == "energy" else self.stress_delta
        return huber_loss(error, torch.zeros_like(error), reduction="none", delta=delta)


def _errors(predicted: Prediction, target: LabelledGraph) -> dict[str, Tensor]:
    """Errors of what there are labels for: energy per atom (b,), forces (n, 3), virial per atom (s, 3, 3)."""
    num_atoms = target.num_atoms
    errors = {}
    whole, known = target.energy.isfinite(), _known(target.forces)
    if bool(whole.any()):
        errors["energy"] = (predicted.energy[whole] - target.energy[whole]) / num_atoms[whole]
    if bool(known.any()):
        errors["forces"] = predicted.forces[known] - target.forces[known]
    labelled = target.has_stress
    if bool(labelled.any()):
        volumes = torch.linalg.det(target.cell[labelled]).abs().view(-1, 1, 1)
        virial_error = predicted.virial[labelled] + target.stress[labelled] * volumes
        errors["stress"] = virial_error / num_atoms[labelled].view(-1, 1, 1)
    return errors


def _known(forces: Tensor) -> Tensor:
    """Which atoms (N,) have a force, and not NaN."""
    return forces.isfinite().all(dim=1)


def _delta_of_force(steps: Sequence[Sequence[float]], forces: Tensor) -> Tensor:
    """Delta (N, 1) of the largest lower bound that the magnitude of each force (N, 3) reaches."""
    bounds = forces.new_tensor([bound for bound, _ in steps[1:]])
    deltas = forces.new_tensor([delta for _, delta in steps])
    return deltas[torch.bucketize(forces.norm(dim=1), bounds, right=True)].unsqueeze(1)


def _huber(error: Tensor, delta: Tensor) -> Tensor:
    size = error.abs()
    return torch.where(size < delta, 0.5 * error.square(), delta * (size - 0.5 * delta))
