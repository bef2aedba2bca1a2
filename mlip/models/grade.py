"""The extrapolation grade: how far an atom's descriptors lie outside of what training spanned.

The readout is linear in the descriptors, e_i = shift + scale * (w . h_i), so D-optimality is exact for it: an
atom of grade 1 or less is an interpolation between the training atoms of the active set, with coefficients of
at most 1. Fitted by `mlip.models.grade_fit`.

Source: Podryabinkin & Shapeev 2017 (10.1016/j.commatsci.2017.08.031); Lysogorskiy et al. 2023 (arXiv
2212.08716).
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class ExtrapolationGrade(nn.Module):
    """Grade of each atom, g_i = max(|h_i M_z|_inf, |h_i R_z| / r_z), with z the species of the atom.

    The first term is the D-optimality grade within the directions that training spanned; the second catches
    directions that it never did. A species that training has not is infinitely far away.

    Args:
        maps: (T, F, F) M_z: from descriptors to coefficients of the active set; zero columns beyond the rank.
        projectors: (T, F, F) R_z: onto the directions that training never spanned.
        residual_scales: (T,) r_z: the largest |h R_z| of training, above the resolution of the fit.
        num_atoms: (T,) training atoms of each species.

    All are float64, whatever the dtype of the model.
    """

    maps: Tensor
    projectors: Tensor
    residual_scales: Tensor
    num_atoms: Tensor
    trained_species: list[int]

    def __init__(self, maps: Tensor, projectors: Tensor, residual_scales: Tensor, num_atoms: Tensor) -> None:
        super().__init__()
        self.register_buffer("maps", maps)
        self.register_buffer("projectors", projectors)
        self.register_buffer("residual_scales", residual_scales)
        self.register_buffer("num_atoms", num_atoms)
        self.trained_species = torch.nonzero(num_atoms).view(-1).tolist()

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> "ExtrapolationGrade":
        """Rebuild from what `state_dict` gave."""
        return cls(state["maps"], state["projectors"], state["residual_scales"], state["num_atoms"])

    def forward(self, descriptors: Tensor, species: Tensor) -> Tensor:
        """Grades (N,), float64, outside of any gradient.

        Args:
            descriptors: (N, F) of a force field's prediction.
            species: (N,) index into the potential's species.
        """
        features = descriptors.detach().to(torch.float64)
        grades = torch.full_like(features[:, 0], float("inf"))
        for z in self.trained_species:
            rows = torch.nonzero(species == z).view(-1)
            of_species = features.index_select(0, rows)
            inside = (of_species @ self.maps[z]).abs().amax(dim=1)
            outside = torch.linalg.vector_norm(of_species @ self.projectors[z], dim=1)
            grades = grades.index_copy(0, rows, torch.maximum(inside, outside / self.residual_scales[z]))
        return grades
