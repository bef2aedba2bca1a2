"""What a potential knows of its own limits: grade and Laplace deviations, with how they were calibrated."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from mlip.models.grade import ExtrapolationGrade
from mlip.models.laplace import LaplaceDeviation

# Thresholds of linear potentials, until held-out data say better.
START_SELECT = 1.5
START_STOP = 10.0


@dataclass(frozen=True)
class Uncertainty:
    """Fitted after training, to the descriptors of the trained model; void as soon as a weight changes.

    Attributes:
        grade: How far each atom lies outside of the training data.
        energy: Standard deviations of energies, eV; the atoms' vectors add up to that of a structure.
        forces: Standard deviation of each force component by atom, eV/A; a proxy, see docs/grade.md.
        select: Structures of a higher grade are worth labelling.
        stop: Dynamics should not go on above this grade.
        calibration: How thresholds and deviations were found, ready for JSON.
    """

    grade: ExtrapolationGrade
    energy: LaplaceDeviation
    forces: LaplaceDeviation
    select: float = START_SELECT
    stop: float = START_STOP
    calibration: Mapping[str, Any] = field(default_factory=dict)

    def to(self, device: str | torch.device) -> "Uncertainty":
        """The same on a device; modules move in place."""
        for module in (self.grade, self.energy, self.forces):
            module.to(device)
        return self

    def tensors(self) -> dict[str, Tensor]:
        """All numbers of the fit by name."""
        parts = {"grade": self.grade, "energy": self.energy, "forces": self.forces}
        return {
            f"{part}.{name}": tensor.detach().cpu().contiguous()
            for part, module in parts.items()
            for name, tensor in module.state_dict().items()
        }

    def settings(self) -> dict[str, Any]:
        """Thresholds and calibration, ready for JSON."""
        return {"select": self.select, "stop": self.stop, "calibration": dict(self.calibration)}

    @classmethod
    def restore(cls, tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> "Uncertainty":
        """Rebuild from what `tensors` and `settings` gave."""
        grade = {
            name.removeprefix("grade."): tensor
            for name, tensor in tensors.items()
            if name.startswith("grade.")
        }
        return cls(
            grade=ExtrapolationGrade.from_state(grade),
            energy=LaplaceDeviation(tensors["energy.roots"]),
            forces=LaplaceDeviation(tensors["forces.roots"]),
            **settings,
        )
