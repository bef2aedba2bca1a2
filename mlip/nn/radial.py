"""Radial basis and cutoff: what the model sees of an edge's length."""

import math

import torch
from torch import Tensor, nn


def polynomial_cutoff(x: Tensor, p: int) -> Tensor:
    """Smooth envelope: 1 at x = 0, zero with its first two derivatives from x = 1 on.

    Args:
        x: Length over cutoff radius, any shape.
        p: Exponent; smaller decays earlier.

    Source: DimeNet, Gasteiger et al. 2020 (arXiv 2003.03123), eq. 8.
    """
    a, b, c = (p + 1.0) * (p + 2.0) / 2.0, p * (p + 2.0), p * (p + 1.0) / 2.0
    envelope = 1.0 - a * x**p + b * x ** (p + 1) - c * x ** (p + 2)
    return envelope * (x < 1.0)


class BesselBasis(nn.Module):
    """Bessel functions of the edge length times the cutoff envelope.

    B_n(r) = sin(n pi x) / (pi x) * envelope(x) * 2 pi / r_max^2 with x = r / r_max.

    Args:
        r_max: Cutoff radius in A.
        num_bessels: Number of functions.
        trainable: Whether the frequencies n are parameters.
        cutoff_p: Exponent of the envelope.
        dtype: Of the result; lengths and frequencies stay float64.

    Source: DimeNet, eq. 7; the prefactor is nequip's.
    """

    def __init__(
        self, r_max: float, num_bessels: int, trainable: bool, cutoff_p: int, dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.r_max = float(r_max)
        self.cutoff_p = cutoff_p
        self.dtype = dtype
        frequencies = torch.arange(1, num_bessels + 1, dtype=torch.float64)
        self.frequencies = nn.Parameter(frequencies, requires_grad=trainable)
        self.prefactor = 2.0 * math.pi / self.r_max**2

    def forward(self, lengths: Tensor) -> Tensor:
        """Map lengths (E,) in A to the basis (E, num_bessels)."""
        x = (lengths / self.r_max).unsqueeze(-1)
        bessel = (torch.sinc(x * self.frequencies) * self.frequencies).to(self.dtype)
        return bessel * (polynomial_cutoff(x, self.cutoff_p) * self.prefactor).to(self.dtype)
