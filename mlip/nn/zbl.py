"""Screened nuclear repulsion: what keeps atoms apart where training data have nothing to say."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mlip.nn.pair_potential import PairPotential
from mlip.nn.radial import polynomial_cutoff

# Ziegler, Biersack & Littmark 1985, with the numbers of LAMMPS's pair_style zbl; e^2/(4 pi eps0) in eV A.
COULOMB = 14.399645
SCREENING_LENGTH = 0.46850
SCREENING_POWER = 0.23
AMPLITUDES = (0.02817, 0.28022, 0.50986, 0.18175)
DECAYS = (0.20162, 0.40290, 0.94229, 3.19980)
CUTOFF_P = 6


class ZBL(PairPotential):
    """Universal repulsion of Ziegler, Biersack and Littmark, ended smoothly at a cutoff per pair of species.

    Source: Ziegler, Biersack, Littmark, "The Stopping and Ranges of Ions in Matter", 1985; the constants are
    those of LAMMPS's `pair_style zbl`.
    """

    def __init__(self, numbers: Sequence[int], cutoffs: Tensor) -> None:
        super().__init__(numbers, cutoffs)
        self.amplitudes, self.decays = list(AMPLITUDES), list(DECAYS)  # TorchScript reads attributes
        self.coulomb, self.screening_length, self.power = COULOMB, SCREENING_LENGTH, SCREENING_POWER
        self.cutoff_p = CUTOFF_P

    def pair_energy(self, lengths: Tensor, z_i: Tensor, z_j: Tensor, cutoffs: Tensor) -> Tensor:
        """Energy of each pair: the nuclei's Coulomb repulsion, screened, times the envelope."""
        x = lengths * (z_i**self.power + z_j**self.power) / self.screening_length
        screening = torch.zeros_like(x)
        for amplitude, decay in zip(self.amplitudes, self.decays):  # noqa: B905 (TorchScript)
            screening = screening + amplitude * torch.exp(-decay * x)
        envelope = polynomial_cutoff(lengths / cutoffs, self.cutoff_p)
        return self.coulomb * z_i * z_j / lengths * screening * envelope
