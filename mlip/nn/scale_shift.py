"""From what a network reads out to energies: a scale and a shift per species."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ScaleShift(nn.Module):
    """e = shift + scale * x with the numbers of the atom's species, in float64.

    Args:
        scales: (T,) eV.
        shifts: (T,) energies of isolated atoms, eV.
        scales_trainable: Whether the scales are parameters.
        shifts_trainable: Whether the shifts are parameters.

    Source: nequip 0.19 `PerTypeScaleShift`.
    """

    def __init__(
        self, scales: Sequence[float], shifts: Sequence[float], scales_trainable: bool, shifts_trainable: bool
    ) -> None:
        super().__init__()
        self.scales = nn.Parameter(torch.tensor(scales, dtype=torch.float64), scales_trainable)
        self.shifts = nn.Parameter(torch.tensor(shifts, dtype=torch.float64), shifts_trainable)

    def forward(self, x: Tensor, species: Tensor) -> Tensor:
        """Map (N,) to atomic energies (N,) in eV, float64."""
        scales, shifts = self.scales.index_select(0, species), self.shifts.index_select(0, species)
        return shifts + scales * x.to(torch.float64)
