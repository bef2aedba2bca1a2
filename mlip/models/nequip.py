"""NequIP: E(3)-equivariant message passing on atoms and edges. Read from top to bottom.

Source: Batzner et al. 2022 (10.1038/s41467-022-29939-5), in nequip 0.19's mathematics; see docs/models.md.
"""

from dataclasses import dataclass

import torch
from e3nn import o3
from torch import Tensor, nn

from mlip.errors import ConfigError
from mlip.nn.gate import Gate
from mlip.nn.linear import EquivariantLinear, SelfConnection
from mlip.nn.mlp import ScalarMLP
from mlip.nn.radial import BesselBasis
from mlip.nn.spherical import SphericalHarmonics
from mlip.nn.tensor_product import EdgeTensorProduct, find_paths


@dataclass(frozen=True)
class NequIPConfig:
    """Numbers that define the architecture; names as in nequip.

    Attributes:
        r_max: Cutoff radius in A.
        num_layers: Rounds of message passing.
        l_max: Highest rotation order of features and harmonics.
        parity: Whether features of both parities are kept.
        num_features: Channels per irrep: one number, or one per l from 0 to l_max.
        type_embed_num_features: Length of the species embedding; null takes the scalars' channels.
        radial_mlp_depth: Hidden layers of the radial perceptron.
        radial_mlp_width: Width of them.
        num_bessels: Radial basis functions.
        bessel_trainable: Whether their frequencies are trained.
        polynomial_cutoff_p: Exponent of the cutoff envelope.
        pair_potential: `zbl` adds nuclear repulsion below the shortest distance of each pair in the training
            data, where the model would extrapolate; null adds nothing.

    Raises:
        ConfigError: A number is out of its range.
    """

    r_max: float = 5.0
    num_layers: int = 4
    l_max: int = 1
    parity: bool = True
    num_features: int | list[int] = 32
    type_embed_num_features: int | None = None
    radial_mlp_depth: int = 1
    radial_mlp_width: int = 128
    num_bessels: int = 8
    bessel_trainable: bool = False
    polynomial_cutoff_p: int = 6
    pair_potential: str | None = None

    def __post_init__(self) -> None:
        positive = ("r_max", "num_layers", "radial_mlp_width", "num_bessels")
        for name in positive:
            if not getattr(self, name) > 0:
                raise ConfigError(f"found model.{name}={getattr(self, name)}; expected a positive number")
        if not 0 <= self.l_max <= 4:
            raise ConfigError(f"found model.l_max={self.l_max}; expected 0 to 4")
        width = self.type_embed_num_features
        if width is not None and width < 1:
            raise ConfigError(f"found model.type_embed_num_features={width}; expected 1 or more, or null")
        if self.radial_mlp_depth < 0:
            raise ConfigError(f"found model.radial_mlp_depth={self.radial_mlp_depth}; expected 0 or more")
        if self.polynomial_cutoff_p < 2:
            raise ConfigError(
                f"found model.polynomial_cutoff_p={self.polynomial_cutoff_p}; "
                "expected at least 2, for smooth forces"
            )
        if self.pair_potential not in (None, "zbl"):
            raise ConfigError(f"found model.pair_potential={self.pair_potential}; expected zbl or null")
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
        num_species: Number T of species.
        avg_num_neighbors: Mean neighbours within r_max in the training data; scales the messages.
        energy_scales: (T,) eV per unit of the readout, float64.
        energy_shifts: (T,) energies of isolated atoms in eV, float64.
        dtype: Of weights and features; geometry and the sum of energies are always float64.
    """

    energy_scales: Tensor
    energy_shifts: Tensor

    def __init__(
        self,
        config: NequIPConfig,
        num_species: int,
        avg_num_neighbors: float,
        energy_scales: Tensor,
        energy_shifts: Tensor,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        scalars = config.features_per_l[0]
        embedding_dim = config.type_embed_num_features or scalars
        self.species_embedding = nn.Parameter(torch.randn(num_species, embedding_dim, dtype=dtype))
        self.harmonics = SphericalHarmonics(config.l_max, dtype)
        self.radial_basis = BesselBasis(
            config.r_max, config.num_bessels, config.bessel_trainable, config.polynomial_cutoff_p, dtype
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
                avg_num_neighbors,
                self_connection=k > 0,  # none in the first layer: an isolated atom keeps its energy
                dtype=dtype,
            )
            self.layers.append(layer)
            features = layer.irreps_out
        self.readout = ScalarMLP([scalars, 1], dtype)
        self.register_buffer("energy_scales", energy_scales.to(torch.float64))
        self.register_buffer("energy_shifts", energy_shifts.to(torch.float64))

    def forward(self, edge_vec: Tensor, species: Tensor, edge_index: Tensor) -> Tensor:
        """Atomic energies (N,) in eV, float64.

        Args:
            edge_vec: (E, 3) from centre to neighbour, A, float64.
            species: (N,) index into the potential's species.
            edge_index: (2, E) centre and neighbour.
        """
        lengths = torch.linalg.vector_norm(edge_vec, dim=1)
        harmonics = self.harmonics(edge_vec, lengths)
        radial = self.radial_basis(lengths)
        features = self.species_embedding.index_select(0, species)
        for layer in self.layers:
            features = layer(features, harmonics, radial, self.species_embedding, species, edge_index)
        energy = self.readout(features).squeeze(-1).to(torch.float64)
        return (
            self.energy_shifts.index_select(0, species) + self.energy_scales.index_select(0, species) * energy
        )


class NequIPLayer(nn.Module):
    """One round of message passing: mix, convolve over neighbours, mix, add the self-connection, gate."""

    def __init__(
        self,
        irreps_in: o3.Irreps,
        hidden: o3.Irreps,
        harmonics: o3.Irreps,
        config: NequIPConfig,
        embedding_dim: int,
        avg_num_neighbors: float,
        self_connection: bool,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.gate = Gate(hidden)
        self.irreps_out = self.gate.irreps_out
        self.message_scale = avg_num_neighbors**-0.5
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
        edge_index: Tensor,
    ) -> Tensor:
        """Map features (N, irreps_in.dim) to (N, irreps_out.dim)."""
        mixed = self.linear_before(features) * self.message_scale
        summed = self.tensor_product(mixed, harmonics, self.radial_mlp(radial), edge_index)
        updated = self.linear_after(summed)
        if self.self_connection is not None:
            updated = updated + self.self_connection(features, species_embedding, species)
        return self.gate(updated)


def _reachable(features: o3.Irreps, harmonics: o3.Irreps, hidden: o3.Irreps) -> o3.Irreps:
    """The hidden irreps that some tensor-product path can fill."""
    filled = {path.irrep for path in find_paths(features, harmonics, hidden)}
    return o3.Irreps([(mul, ir) for mul, ir in hidden if ir in filled])
