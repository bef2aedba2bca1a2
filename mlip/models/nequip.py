"""NequIP: E(3)-equivariant message passing on atoms and edges. Read from top to bottom.

Source: Batzner et al. 2022 (10.1038/s41467-022-29939-5), in nequip 0.19's mathematics; see docs/models.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from e3nn import o3
from torch import Tensor, nn

from mlip.errors import ConfigError
from mlip.models.config import ModelConfig
from mlip.models.normalization import Normalization
from mlip.nn.gate import Gate
from mlip.nn.kernels.edges import Edges, SeparateEdges
from mlip.nn.linear import EquivariantLinear, SelfConnection
from mlip.nn.mlp import ScalarMLP
from mlip.nn.radial import BesselBasis, InverseCutoffs
from mlip.nn.scale_shift import ScaleShift
from mlip.nn.spherical import SphericalHarmonics
from mlip.nn.tensor_product import EdgeTensorProduct, find_paths


@dataclass(frozen=True, kw_only=True)
class NequIPConfig(ModelConfig):
    """Numbers that define the architecture; names as in nequip.

    Attributes:
        num_layers: Rounds of message passing.
        num_features: Channels per irrep: one number, or one per l from 0 to l_max.
        type_embed_num_features: Length of the species embedding; null takes the scalars' channels.
        radial_mlp_depth: Hidden layers of the radial perceptron.
        radial_mlp_width: Width of them.

    The other attributes are those of `ModelConfig`.

    Raises:
        ConfigError: A number is out of its range.
    """

    num_layers: int = 4
    num_features: int | list[int] = 32
    type_embed_num_features: int | None = None
    radial_mlp_depth: int = 1
    radial_mlp_width: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_positive("radial_mlp_width", "type_embed_num_features")
        self._require_at_least(0, "radial_mlp_depth")
        if len(self.features_per_l) != self.l_max + 1 or min(self.features_per_l) < 1:
            raise ConfigError(
                f"found model.num_features={self.num_features}; expected one positive number, or l_max + 1 = "
                f"{self.l_max + 1} of them"
            )

    @property
    def features_per_l(self) -> list[int]:
        """Channels of each l."""
        if isinstance(self.num_features, int):
            return [self.num_features] * (self.l_max + 1)
        return list(self.num_features)

    @property
    def hidden_irreps(self) -> o3.Irreps:
        """Irreps of the features between layers, before unreachable ones are dropped."""
        return o3.Irreps(
            [
                (mul, (degree, p))
                for degree, mul in enumerate(self.features_per_l)
                for p in ((1, -1) if self.parity else ((-1) ** degree,))
            ]
        )


class NequIP(nn.Module):
    """Atomic energies from edge vectors and species.

    Args:
        config: The architecture.
        normalization: Scales of sums over neighbours and of energies, per species.
        dtype: Of weights and features; geometry and the sum of energies are always float64.
    """

    def __init__(self, config: NequIPConfig, normalization: Normalization, dtype: torch.dtype) -> None:
        super().__init__()
        scalars = config.features_per_l[0]
        embedding_dim = config.type_embed_num_features or scalars
        num_species = len(normalization.energy_shifts)
        self.species_embedding = nn.Parameter(torch.randn(num_species, embedding_dim, dtype=dtype))
        self.edges = SeparateEdges(may_share=True)
        self.harmonics = SphericalHarmonics(config.l_max, dtype)
        self.inverse_cutoffs = InverseCutoffs(normalization.edge_cutoffs)
        self.radial_basis = BesselBasis(
            config.num_bessels,
            config.bessel_trainable,
            config.polynomial_cutoff_p,
            prefactor=2.0 * math.pi / config.r_max**2,
            dtype=dtype,
        )
        self.layers = nn.ModuleList()
        features = o3.Irreps([(embedding_dim, "0e")])
        for k in range(config.num_layers):
            last = k == config.num_layers - 1
            hidden = o3.Irreps([(scalars, "0e")]) if last else config.hidden_irreps
            layer = NequIPLayer(
                features,
                _reachable(features, self.harmonics.irreps, hidden),
                self.harmonics.irreps,
                config,
                embedding_dim,
                normalization.avg_num_neighbors,
                self_connection=k > 0,  # none in the first layer: an isolated atom keeps its energy
                dtype=dtype,
            )
            self.layers.append(layer)
            features = layer.irreps_out
        width = config.readout_mlp_hidden_layers_width or scalars
        widths = [scalars, *[width] * config.readout_mlp_hidden_layers_depth, 1]
        self.readout = ScalarMLP(widths, dtype, config.readout_mlp_nonlinearity)
        self.scale_shift = ScaleShift(
            normalization.energy_scales,
            normalization.energy_shifts,
            config.per_type_energy_scales_trainable,
            config.per_type_energy_shifts_trainable,
        )

    def forward(self, edge_vec: Tensor, species: Tensor, edge_index: Tensor) -> tuple[Tensor, Tensor]:
        """Atomic energies (N,) in eV, float64, and the descriptors (N, F) they are linear in.

        Args:
            edge_vec: (E, 3) from centre to neighbour, A, float64.
            species: (N,) index into the potential's species.
            edge_index: (2, E) centre and neighbour.
        """
        edges = self.edges(edge_index, edge_vec, species.shape[0])
        harmonics = self.harmonics(edge_vec)
        radial = self.radial_basis(edge_vec, edges.row_edge, self.inverse_cutoffs(species, edges))
        features = self.species_embedding.index_select(0, species)
        for layer in self.layers:
            features = layer(features, harmonics, radial, self.species_embedding, species, edges)
        descriptors = self.readout.penultimate(features)
        return self.scale_shift(self.readout.output(descriptors).squeeze(-1), species), descriptors


class NequIPLayer(nn.Module):
    """One round of message passing: mix, convolve over neighbours, mix, add the self-connection, gate."""

    message_scale: Tensor

    def __init__(
        self,
        irreps_in: o3.Irreps,
        hidden: o3.Irreps,
        harmonics: o3.Irreps,
        config: NequIPConfig,
        embedding_dim: int,
        avg_num_neighbors: Sequence[float],
        self_connection: bool,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.gate = Gate(hidden)
        self.irreps_out = self.gate.irreps_out
        message_scale = torch.tensor(avg_num_neighbors, dtype=torch.float64).rsqrt().to(dtype)
        self.register_buffer("message_scale", message_scale.unsqueeze(-1), persistent=False)
        self.linear_before = EquivariantLinear(irreps_in, irreps_in, dtype)
        self.tensor_product = EdgeTensorProduct(irreps_in, harmonics, self.gate.irreps_in, dtype)
        width = [config.radial_mlp_width] * config.radial_mlp_depth
        self.radial_mlp = ScalarMLP([config.num_bessels, *width, self.tensor_product.num_weights], dtype)
        self.linear_after = EquivariantLinear(self.tensor_product.irreps_out, self.gate.irreps_in, dtype)
        self.self_connection = (
            SelfConnection(irreps_in, embedding_dim, self.gate.irreps_in, dtype) if self_connection else None
        )

    def forward(
        self,
        features: Tensor,
        harmonics: Tensor,
        radial: Tensor,
        species_embedding: Tensor,
        species: Tensor,
        edges: Edges,
    ) -> Tensor:
        """Map features (N, irreps_in.dim) to (N, irreps_out.dim)."""
        # Scaled by the sender's number of neighbours, before it is sent, as nequip does.
        mixed = self.linear_before(features) * self.message_scale.index_select(0, species)
        summed = self.tensor_product(mixed, harmonics, self.radial_mlp(radial), edges)
        updated = self.linear_after(summed)
        if self.self_connection is not None:
            updated = updated + self.self_connection(features, species_embedding, species)
        return self.gate(updated)


def _reachable(features: o3.Irreps, harmonics: o3.Irreps, hidden: o3.Irreps) -> o3.Irreps:
    """The hidden irreps that some tensor-product path can fill."""
    filled = {path.irrep for path in find_paths(features, harmonics, hidden)}
    return o3.Irreps([(mul, ir) for mul, ir in hidden if ir in filled])
