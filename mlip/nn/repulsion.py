"""A repulsive floor: closed shells near the cutoff, nuclei below them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mlip.nn.pair_potential import PairPotential
from mlip.nn.zbl import COULOMB, ZBL

# Range of the repulsion of closed shells in A, the same for all alkali halides (Born & Mayer 1932).
SHELL_RANGE = 0.345


class Repulsion(PairPotential):
    """ZBL plus the repulsion of closed shells, which ZBL, made for fast ions, has not where a bond begins.

    With depth = (cutoff - r) / rho the shells of a pair below its cutoff cost

        E = e^2 rho / cutoff^2 (exp(depth) - 1 - depth - depth^2 / 2):

    Born and Mayer's exp(-r / rho) without the part that would reach out to the cutoff, so that energy, force
    and curvature start from zero there. The strength is the one that at the cutoff balances the attraction of
    two opposite unit charges, as in a salt at rest: 0.6 eV at 0.8 and 19 eV at 0.5 of a cutoff of 2.4 A. The
    nuclei make the energy diverge at r = 0.

    Source: Born, Mayer, Z. Phys. 75, 1 (1932), 10.1007/BF01340511, for the exponential and its range.
    """

    def __init__(self, numbers: Sequence[int], cutoffs: Tensor) -> None:
        super().__init__(numbers, cutoffs)
        self.nuclei = ZBL(numbers, cutoffs)
        self.shell_range, self.coulomb = SHELL_RANGE, COULOMB

    def pair_energy(self, lengths: Tensor, z_i: Tensor, z_j: Tensor, cutoffs: Tensor) -> Tensor:
        """Energy of each pair: that of the nuclei and that of the shells."""
        depth = torch.relu(cutoffs - lengths) / self.shell_range
        strength = self.coulomb * self.shell_range / cutoffs.square()
        shells = strength * (torch.expm1(depth) - depth - 0.5 * depth.square())
        return self.nuclei.pair_energy(lengths, z_i, z_j, cutoffs) + shells
