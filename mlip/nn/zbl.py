"""Screened nuclear repulsion: what keeps atoms apart where training data have nothing to say."""

import math
from collections.abc import Mapping, Sequence

import torch
from ase.data import atomic_numbers, covalent_radii
from torch import Tensor, nn

from mlip.nn.radial import polynomial_cutoff

# Ziegler, Biersack & Littmark 1985, with the numbers of LAMMPS's pair_style zbl; e^2/(4 pi eps0) in eV A.
COULOMB = 14.399645
SCREENING_LENGTH = 0.46850
SCREENING_POWER = 0.23
AMPLITUDES = (0.02817, 0.28022, 0.50986, 0.18175)
DECAYS = (0.20162, 0.40290, 0.94229, 3.19980)
CUTOFF_P = 6


class ZBL(nn.Module):
    """Universal repulsion of Ziegler, Biersack and Littmark, ended smoothly at a cutoff per pair of species.

    Half of each pair's energy goes to either atom.

    Args:
        numbers: (T,) atomic numbers of the species.
        cutoffs: (T, T) distances in A from which a pair of species feels nothing.

    Source: Ziegler, Biersack, Littmark, "The Stopping and Ranges of Ions in Matter", 1985; the constants are
    those of LAMMPS's `pair_style zbl`.
    """

    charges: Tensor
    cutoffs: Tensor

    def __init__(self, numbers: Sequence[int], cutoffs: Tensor) -> None:
        super().__init__()
        self.amplitudes, self.decays = list(AMPLITUDES), list(DECAYS)  # TorchScript reads attributes
        self.coulomb, self.screening_length, self.power = COULOMB, SCREENING_LENGTH, SCREENING_POWER
        self.cutoff_p = CUTOFF_P
        self.register_buffer("charges", torch.tensor(numbers, dtype=torch.float64), persistent=False)
        self.register_buffer("cutoffs", cutoffs.to(torch.float64), persistent=False)

    def forward(self, edge_vec: Tensor, species: Tensor, edge_index: Tensor) -> Tensor:
        """Atomic energies (N,) in eV, float64; arguments as those of a model."""
        centre, neighbor = species.index_select(0, edge_index[0]), species.index_select(0, edge_index[1])
        z_i, z_j = self.charges.index_select(0, centre), self.charges.index_select(0, neighbor)
        lengths = torch.linalg.vector_norm(edge_vec, dim=1)
        cutoffs = self.cutoffs.view(-1).index_select(0, centre * self.charges.shape[0] + neighbor)
        x = lengths * (z_i**self.power + z_j**self.power) / self.screening_length
        screening = torch.zeros_like(x)
        for amplitude, decay in zip(self.amplitudes, self.decays):  # noqa: B905 (TorchScript)
            screening = screening + amplitude * torch.exp(-decay * x)
        envelope = polynomial_cutoff(lengths / cutoffs, self.cutoff_p)
        energies = 0.5 * self.coulomb * z_i * z_j / lengths * screening * envelope
        return torch.zeros(species.shape[0], dtype=torch.float64, device=energies.device).index_add(
            0, edge_index[0], energies
        )


def cutoffs_below_data(
    species: Sequence[str], shortest_distances: Mapping[str, float], r_max: float
) -> tuple[tuple[float, ...], ...]:
    """Cutoffs at the shortest distance of each pair in the training data: there, nothing changes.

    A pair that the data never show within r_max gets the sum of its covalent radii.

    Args:
        species: (T,) chemical symbols.
        shortest_distances: "A-B" -> A, as in `Statistics`.
        r_max: Cutoff radius of the model, A.

    Returns:
        (T, T) symmetric, A.
    """
    radius = {symbol: float(covalent_radii[atomic_numbers[symbol]]) for symbol in species}

    def cutoff(a: str, b: str) -> float:
        seen = min(shortest_distances.get(key, math.inf) for key in (f"{a}-{b}", f"{b}-{a}"))
        return min(seen if math.isfinite(seen) else radius[a] + radius[b], r_max)

    return tuple(tuple(cutoff(a, b) for b in species) for a in species)
