"""Tensors on edges and their product with the environment of the centre.

Features are (E, component, channel), channels last; components of an irrep stand together, in e3nn's order.
"""

import torch
from e3nn import o3
from torch import Tensor, nn

from mlip.nn.kernels.edges import Edges


def weighted_harmonics(harmonics: Tensor, weights: Tensor, channels: int) -> list[Tensor]:
    """Give every edge channels of its harmonics, each degree with weights of its own.

    Args:
        harmonics: (E, (l_max + 1)^2) spherical harmonics of the edges.
        weights: (E, (l_max + 1) * channels), degree after degree.
        channels: Number U of channels.

    Returns:
        (E, 2 l + 1, U) for each degree l.
    """
    blocks: list[Tensor] = []
    for degree in range(weights.shape[1] // channels):
        components = harmonics.narrow(1, degree * degree, 2 * degree + 1)
        blocks.append(components.unsqueeze(2) * weights.narrow(1, degree * channels, channels).unsqueeze(1))
    return blocks


def sum_environment(
    harmonics: Tensor, weights: Tensor, channels: int, centre: Tensor, num_atoms: int
) -> Tensor:
    """Sum the weighted harmonics of all edges of a centre.

    Args:
        harmonics: (E, D) with D = (l_max + 1)^2.
        weights: (E, (l_max + 1) * channels), degree after degree.
        channels: Number U of channels.
        centre: (E,) atom that an edge belongs to.
        num_atoms: Number N of atoms.

    Returns:
        (N, D, U).
    """
    sums: list[Tensor] = []
    for block in weighted_harmonics(harmonics, weights, channels):
        zeros = torch.zeros(num_atoms, block.shape[1], channels, dtype=block.dtype, device=block.device)
        sums.append(zeros.index_add(0, centre, block))
    return torch.cat(sums, dim=1)


class EnvironmentProduct(nn.Module):
    """Tensor product of the features of each edge with the environment of its centre, channel by channel.

    A path couples one irrep of the features and one of the environment to one of the result, by sqrt(2 l + 1)
    times the Wigner 3j symbol and a learnt weight:

        out_k = sum over paths p of w_p * sum over i, j of C_p[j, k, i] * environment_j * features_i.

    All edges of an atom see the same environment, so the sums over p and j are done once per atom; an edge
    then multiplies its features by the matrix of its centre.

    Args:
        irreps_in: Irreps of the features, multiplicity 1 each.
        irreps_environment: Irreps of harmonics and environment, multiplicity 1 each.
        irreps_out: Irreps of the result, multiplicity 1 each.
        channels: Number U of channels.
        path_channel_coupling: Whether each channel has weights of its own.
        dtype: Of weights and features.
        of_harmonics: Whether the features are harmonics too, and given as their weights.

    Source: Musaelian et al. 2023 (10.1038/s41467-023-36329-y); nequip-allegro 0.8 `Contracter`.
    """

    coupling: Tensor

    def __init__(
        self,
        irreps_in: o3.Irreps,
        irreps_environment: o3.Irreps,
        irreps_out: o3.Irreps,
        channels: int,
        path_channel_coupling: bool,
        dtype: torch.dtype,
        of_harmonics: bool = False,
    ) -> None:
        super().__init__()
        self.channels, self.of_harmonics = channels, of_harmonics
        self.dim_in, self.dim_out = irreps_in.dim, irreps_out.dim
        coupling = _coupling(irreps_in, irreps_environment, irreps_out)
        self.register_buffer("coupling", coupling.to(dtype), persistent=False)
        bound = 3**0.5  # unit variance of a uniform distribution
        shape = (len(coupling), channels if path_channel_coupling else 1)
        self.weights = nn.Parameter(torch.empty(shape, dtype=dtype).uniform_(-bound, bound))

    def forward(
        self, features: Tensor, weights: Tensor, harmonics: Tensor, neighbor_scale: Tensor, edges: Edges
    ) -> tuple[Tensor, Tensor]:
        """Sum the environments, and multiply the features by them.

        Args:
            features: (E, D_in * U), or their weights (E, (l_max + 1) * U) where they are harmonics.
            weights: (E, (l_max + 1) * U) of the harmonics in the environment.
            harmonics: (E, (l_max + 1)^2).
            neighbor_scale: (N,) factor of each environment.
            edges: Sorted by their centre or not.

        Returns:
            (E, D_out * U), and its first component (E, U), where scalars stand.
        """
        num_edges, num_atoms = harmonics.shape[0], neighbor_scale.shape[0]
        centre = edges.edge_index[0]
        environment = sum_environment(harmonics, weights, self.channels, centre, num_atoms)
        environment = environment * neighbor_scale.view(num_atoms, 1, 1)
        if self.of_harmonics:
            tensors = torch.cat(weighted_harmonics(harmonics, features, self.channels), dim=1)
        else:
            tensors = features.view(num_edges, self.dim_in, self.channels)
        product = self.product(tensors, environment, centre)
        return product.view(num_edges, self.dim_out * self.channels), product.select(1, 0)

    def product(self, features: Tensor, environment: Tensor, centre: Tensor) -> Tensor:
        """Map features (E, D_in, U), environment (N, D_env, U) and centre (E,) to (E, D_out, U)."""
        matrices = self.centre_matrices(environment)
        # Row by row: an edge never holds the whole matrix of its centre.
        rows: list[Tensor] = []
        for k in range(self.dim_out):
            row = matrices.select(1, k).index_select(0, centre)
            rows.append((row * features).sum(dim=1))
        return torch.stack(rows, dim=1)

    def centre_matrices(self, environment: Tensor) -> Tensor:
        """Matrices (N, D_out, D_in, U) that the environments (N, D_env, U) make of all paths."""
        num_paths, dim_environment, size = self.coupling.shape
        weights = self.weights.expand(num_paths, self.channels)
        mixed = (weights.t() @ self.coupling.view(num_paths, dim_environment * size)).view(
            self.channels, dim_environment, size
        )
        matrices = torch.bmm(environment.permute(2, 0, 1), mixed).permute(1, 2, 0).contiguous()
        return matrices.view(environment.shape[0], self.dim_out, self.dim_in, self.channels)


def _coupling(irreps_in: o3.Irreps, irreps_environment: o3.Irreps, irreps_out: o3.Irreps) -> Tensor:
    """(P, D_env, D_out * D_in) coefficients of all paths, ordered by result, features, environment."""
    paths = []
    for (_, ir_out), out in zip(irreps_out, irreps_out.slices(), strict=True):
        for (_, ir_in), into in zip(irreps_in, irreps_in.slices(), strict=True):
            for (_, ir_env), env in zip(irreps_environment, irreps_environment.slices(), strict=True):
                if ir_out in ir_in * ir_env:
                    path = torch.zeros(irreps_environment.dim, irreps_out.dim, irreps_in.dim)
                    path = path.to(torch.float64)
                    w3j = o3.wigner_3j(ir_in.l, ir_env.l, ir_out.l, dtype=torch.float64)
                    path[env, out, into] = ir_out.dim**0.5 * w3j.permute(1, 2, 0)
                    paths.append(path.flatten(1))
    return torch.stack(paths)
