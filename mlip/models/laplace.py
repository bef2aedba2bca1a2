"""Last-layer Laplace approximation: the spread of predictions over the readouts that the data allow.

Energies are linear in the last weights w, e_i = shift + s_z (w . h_i), so the posterior of w is a Gaussian
whose precision is the Hessian L of the training loss in w, known exactly: with f the sum of s_z h_i over a
structure, Var[E] = a^2 f^T (L + c 1)^-1 f. The likelihood of held-out errors chooses a and c.

Source: Bigi, Chong, Ceriotti, Grasselli 2024 (arXiv 2403.02251).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mlip.models.grade_fit import DescribedAtoms, rows_by_species

# Regularisers tried, in units of the mean eigenvalue of the precision. Frames near the training data hardly
# tell them apart, but larger ones make the deviation blind to distance: measured in docs/grade.md.
REGULARISERS = tuple(10.0**k for k in range(-10, -4))


class LaplaceDeviation(nn.Module):
    """Vectors whose lengths are standard deviations; those of the atoms of a structure may be added first.

    Args:
        roots: (T, F, F) float64: per species z, U_z such that the variance is |h U_z|^2.
    """

    roots: Tensor

    def __init__(self, roots: Tensor) -> None:
        super().__init__()
        self.register_buffer("roots", roots)

    def forward(self, descriptors: Tensor, species: Tensor) -> Tensor:
        """Vectors (N, F), float64, outside of any gradient.

        Args:
            descriptors: (N, F) of a force field's prediction.
            species: (N,) index into the potential's species.
        """
        features = descriptors.detach().to(torch.float64)
        vectors = torch.zeros_like(features)
        for z in range(self.roots.shape[0]):
            rows = torch.nonzero(species == z).view(-1)
            vectors = vectors.index_copy(0, rows, features.index_select(0, rows) @ self.roots[z])
        return vectors


@dataclass(frozen=True)
class Precisions:
    """What the training data say of the last weights.

    Attributes:
        energy: (F, F) sum over structures of f f^T, f the mean over atoms of s_z h_i: the Hessian of the
            squared errors of energies per atom.
        atoms: (T, F, F) mean over the atoms of each species of h h^T.
    """

    energy: Tensor
    atoms: Tensor


def accumulate_precisions(batches: Iterable[DescribedAtoms], energy_scales: Tensor) -> Precisions:
    """Go through the training data once.

    Args:
        batches: Some structures at a time.
        energy_scales: (T,) s_z of the model, eV.
    """
    num_species = len(energy_scales)
    energy, atoms = torch.zeros(1, dtype=torch.float64), torch.zeros(num_species, 1, 1, dtype=torch.float64)
    energy, atoms = energy.to(energy_scales.device), atoms.to(energy_scales.device)
    num_atoms = torch.zeros(num_species, dtype=torch.float64, device=energy_scales.device)
    for batch in batches:
        means = structure_features(batch, energy_scales)
        energy = energy + means.T @ means
        grams = torch.zeros((num_species, *energy.shape), dtype=torch.float64, device=energy.device)
        for z, rows in rows_by_species(batch, num_species):
            grams[z] = rows.T @ rows
        atoms = atoms + grams
        num_atoms += torch.bincount(batch.species, minlength=num_species)
    return Precisions(energy, atoms / num_atoms.clamp_min(1.0).view(-1, 1, 1))


def structure_features(atoms: DescribedAtoms, energy_scales: Tensor) -> Tensor:
    """Means (B, F) over the atoms of each structure of s_z h_i, eV: what its energy per atom is linear in."""
    scaled = atoms.descriptors.detach().to(torch.float64) * energy_scales[atoms.species].view(-1, 1)
    num_atoms = torch.bincount(atoms.batch)
    sums = scaled.new_zeros((len(num_atoms), scaled.shape[1])).index_add(0, atoms.batch, scaled)
    return sums / num_atoms.view(-1, 1)


@dataclass(frozen=True)
class Calibration:
    """How wide a posterior is, so that held-out errors are likeliest.

    Attributes:
        scale: a, in the unit of the error where features are in that unit.
        regulariser: c, in units of the mean eigenvalue of the precision.
        negative_log_likelihood: Mean per error component, without the constant log(2 pi) / 2.
        num_errors: Error components it was found with.
    """

    scale: float
    regulariser: float
    negative_log_likelihood: float
    num_errors: int


def calibrate(
    precisions: Tensor, features: Tensor, kinds: Tensor, squared_errors: Tensor, components: int
) -> Calibration:
    """Choose scale and regulariser by maximum likelihood; given the regulariser, the best scale is exact.

    Errors whose features are zero say nothing and are left out; with no others the scale is not a number.

    Args:
        precisions: (K, F, F).
        features: (n, F) held-out.
        kinds: (n,) which precision holds for each.
        squared_errors: (n,) summed over the components of each.
        components: Of each error: 1 for energies, 3 for forces.
    """
    is_usable = features.square().sum(dim=1) > 0.0
    features, kinds, squared_errors = features[is_usable], kinds[is_usable], squared_errors[is_usable]
    if len(features) == 0:
        return Calibration(math.nan, REGULARISERS[0], math.nan, 0)
    found = []
    for regulariser in REGULARISERS:
        deviation = LaplaceDeviation(regularised_roots(precisions, regulariser))
        leverages = deviation(features, kinds).square().sum(dim=1)
        ratios = squared_errors / (components * leverages)
        variance = ratios.mean().clamp_min(torch.finfo(torch.float64).tiny)
        likelihood = 0.5 * float((variance * leverages).log().mean() + (ratios / variance).mean())
        found.append(Calibration(float(variance.sqrt()), regulariser, likelihood, components * len(features)))
    return min(found, key=lambda each: each.negative_log_likelihood)


def regularised_roots(precisions: Tensor, regulariser: float) -> Tensor:
    """U (K, F, F) with U U^T = (L + c 1)^-1 for each precision L, c in units of the mean eigenvalue of L.

    A precision of zero, of what was never seen, counts as one of mean eigenvalue 1.
    """
    eigenvalues, vectors = torch.linalg.eigh(precisions)
    mean = eigenvalues.mean(dim=-1, keepdim=True)
    floor = regulariser * torch.where(mean > 0.0, mean, torch.ones_like(mean))
    return vectors * (eigenvalues.clamp_min(0.0) + floor).rsqrt().unsqueeze(-2)
