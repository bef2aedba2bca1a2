"""The training loss: squared errors in eV, so that its terms can be weighed against each other."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mlip.data.graph import LabelledGraph
from mlip.errors import ConfigError
from mlip.nn.derivatives import Prediction


@dataclass(frozen=True)
class LossWeights:
    """Weights of the loss.

    loss = energy <(dE / N)^2> + forces <|dF|^2> + stress <(V dstress / N)^2>, in eV^2 and eV^2/A^2. Stress
    enters as a virial per atom: vacuum in a slab does not change its weight. Frames without stress have no
    such term.

    Raises:
        ConfigError: A weight is negative or all are zero.
    """

    energy: float = 1.0
    forces: float = 1.0
    stress: float = 1.0

    def __post_init__(self) -> None:
        weights = (self.energy, self.forces, self.stress)
        if min(weights) < 0.0 or max(weights) == 0.0:
            raise ConfigError(f"found loss weights {weights}; expected non-negative numbers, not all zero")


def compute_loss(
    weights: LossWeights, predicted: Prediction, target: LabelledGraph
) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted loss of a labelled batch and its unweighted terms.

    Args:
        weights: Of the terms.
        predicted: For the batch.
        target: The batch with its labels.

    Returns:
        The loss, and the mean squared error of each term that the batch has labels for.
    """
    num_atoms = target.num_atoms
    terms = {
        "energy": ((predicted.energy - target.energy) / num_atoms).square().mean(),
        "forces": (predicted.forces - target.forces).square().mean(),
    }
    labelled = target.has_stress
    if bool(labelled.any()):
        volumes = torch.linalg.det(target.cell[labelled]).abs().view(-1, 1, 1)
        virial_error = predicted.virial[labelled] + target.stress[labelled] * volumes
        terms["stress"] = (virial_error / num_atoms[labelled].view(-1, 1, 1)).square().mean()
    total = torch.stack([getattr(weights, name) * value for name, value in terms.items()]).sum()
    return total, terms
