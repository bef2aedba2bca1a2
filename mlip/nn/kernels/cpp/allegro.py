"""Allegro's kernels on the CPU as compiled C++."""

import torch
from torch import Tensor, nn

from mlip.nn.contraction import EnvironmentProduct
from mlip.nn.edge_embedding import BesselEmbedding, SplineEmbedding, pair_of
from mlip.nn.kernels.cpp.generate_environment import generate_environment
from mlip.nn.kernels.cpp.load import load_kernel
from mlip.nn.kernels.edges import Edges

PAIRED = """#include "paired_loops.h"

extern "C" const vitreous::PairedKernel<Real> {name} = vitreous::PairedLoops<Real>::kernel;
"""


class CompiledEnvironmentProduct(nn.Module):
    """What `EnvironmentProduct` computes.

    Raises:
        ConfigError: There is no compiler, or it failed.
    """

    def __init__(self, reference: EnvironmentProduct) -> None:
        super().__init__()
        self.weights = reference.weights  # as in the file of weights
        self.channels = reference.channels
        self.only_scalars = reference.dim_out == 1
        self.kernel = load_kernel(
            lambda name: generate_environment(
                reference.coupling,
                reference.dim_in,
                reference.dim_out,
                reference.channels,
                reference.of_harmonics,
                name,
            ),
            reference.coupling.dtype,
        )

    def forward(
        self, features: Tensor, weights: Tensor, harmonics: Tensor, neighbor_scale: Tensor, edges: Edges
    ) -> tuple[Tensor, Tensor]:
        """What `EnvironmentProduct` gives, of edges that are sorted by their centre."""
        paths = self.weights.expand(self.weights.shape[0], self.channels)
        result, scalars = torch.ops.vitreous.environment(
            features, weights, harmonics, paths, neighbor_scale, edges.start, self.kernel
        )
        return scalars if self.only_scalars else result, scalars


# With more, the matrices of all pairs of species take longer than those of a small structure's edges.
MANY_SPECIES = 16


def compile_embedding(reference: BesselEmbedding) -> nn.Module:
    """The module that computes a `BesselEmbedding` fastest, which may be itself.

    Raises:
        ConfigError: There is no compiler, or it failed.
    """
    few = reference.centre_embedding.shape[0] <= MANY_SPECIES
    return CompiledBesselEmbedding(reference) if few else reference


class CompiledBesselEmbedding(nn.Module):
    """What `BesselEmbedding` computes: the vector of a pair of species is in the linear map of its edges.

    Raises:
        ConfigError: There is no compiler, or it failed.
    """

    def __init__(self, reference: BesselEmbedding) -> None:
        super().__init__()
        self.radial_basis = reference.radial_basis
        self.radial_linear = reference.radial_linear
        self.centre_embedding = reference.centre_embedding
        self.neighbor_embedding = reference.neighbor_embedding
        self.kernel = load_kernel(lambda name: PAIRED.format(name=name), reference.centre_embedding.dtype)

    def forward(self, edge_vec: Tensor, edges: Edges, inverse_cutoffs: Tensor, species: Tensor) -> Tensor:
        """Scalars (E, dim); arguments as those of `BesselEmbedding`."""
        num_species = self.centre_embedding.shape[0]
        centre = self.centre_embedding.unsqueeze(1).expand(-1, num_species, -1)
        neighbor = self.neighbor_embedding.unsqueeze(0).expand(num_species, -1, -1)
        of_pair = torch.cat([centre, neighbor], dim=2).view(num_species * num_species, 1, -1)
        basis = self.radial_basis(edge_vec, edges.row_edge, inverse_cutoffs)
        matrices = self.radial_linear.matrices()[0] * of_pair
        return torch.ops.vitreous.paired(basis, matrices, pair_of(species, edges, num_species), self.kernel)


class CompiledSplineEmbedding(nn.Module):
    """What `SplineEmbedding` computes.

    Raises:
        ConfigError: There is no compiler, or it failed.
    """

    def __init__(self, reference: SplineEmbedding) -> None:
        super().__init__()
        self.bumps, self.num_species = reference.bumps, reference.num_species
        self.weight = reference.weight
        self.kernel = load_kernel(lambda name: PAIRED.format(name=name), reference.weight.dtype)

    def forward(self, edge_vec: Tensor, edges: Edges, inverse_cutoffs: Tensor, species: Tensor) -> Tensor:
        """Scalars (E, dim); arguments as those of `SplineEmbedding`."""
        pair = pair_of(species, edges, self.num_species)
        return torch.ops.vitreous.paired(
            self.bumps(edge_vec, inverse_cutoffs), self.weight, pair, self.kernel
        )
