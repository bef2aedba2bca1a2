"""Allegro: strictly local, equivariant features on pairs of atoms. Read from top to bottom.

Source: Musaelian et al. 2023 (10.1038/s41467-023-36329-y), in nequip-allegro 0.8's mathematics; see
docs/models.md.
"""

from dataclasses import dataclass

import torch
from e3nn import o3
from torch import Tensor, nn

from mlip.errors import ConfigError
from mlip.models.config import ModelConfig
from mlip.models.normalization import Normalization
from mlip.nn.contraction import EnvironmentProduct
from mlip.nn.edge_embedding import BesselEmbedding, SplineEmbedding
from mlip.nn.kernels.edges import Edges, SeparateEdges
from mlip.nn.mlp import Dense, ScalarMLP
from mlip.nn.radial import InverseCutoffs
from mlip.nn.scale_shift import ScaleShift
from mlip.nn.spherical import SphericalHarmonics

EDGE_EMBEDDINGS = ("bessel", "spline")


@dataclass(frozen=True, kw_only=True)
class AllegroConfig(ModelConfig):
    """Numbers that define the architecture; names as in nequip-allegro.

    Attributes:
        num_layers: Tensor products in a row; each raises the body order by one.
        num_scalar_features: Scalars per edge and layer.
        num_tensor_features: Channels of the tensors on edges.
        radial_chemical_embed: `bessel`: a vector of the two species times Bessel functions; `spline`: a curve
            per pair of species.
        radial_chemical_embed_dim: Scalars of that embedding; null takes num_scalar_features.
        num_splines: Bumps that make up a curve of `spline`.
        spline_span: How many of them overlap.
        scalar_embed_mlp_hidden_layers_depth: Hidden layers of the perceptron after the embedding.
        scalar_embed_mlp_hidden_layers_width: Width of them.
        scalar_embed_mlp_nonlinearity: silu, mish, gelu, or null.
        allegro_mlp_hidden_layers_depth: Hidden layers of each layer's perceptron.
        allegro_mlp_hidden_layers_width: Width of them.
        allegro_mlp_nonlinearity: silu, mish, gelu, or null.
        tp_path_channel_coupling: Whether each channel weighs the paths of a tensor product by itself.

    The other attributes are those of `ModelConfig`.

    Raises:
        ConfigError: A number is out of its range.
    """

    num_layers: int = 2
    num_scalar_features: int = 64
    num_tensor_features: int = 16
    radial_chemical_embed: str = "bessel"
    radial_chemical_embed_dim: int | None = None
    num_splines: int = 16
    spline_span: int = 12
    scalar_embed_mlp_hidden_layers_depth: int = 1
    scalar_embed_mlp_hidden_layers_width: int = 64
    scalar_embed_mlp_nonlinearity: str | None = "silu"
    allegro_mlp_hidden_layers_depth: int = 1
    allegro_mlp_hidden_layers_width: int = 64
    allegro_mlp_nonlinearity: str | None = "silu"
    tp_path_channel_coupling: bool = True
    readout_mlp_hidden_layers_depth: int = 1
    readout_mlp_hidden_layers_width: int | None = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_positive("num_scalar_features", "num_tensor_features", "radial_chemical_embed_dim")
        self._require_positive("num_splines", "spline_span")
        for name in ("scalar_embed_mlp", "allegro_mlp"):
            self._require_at_least(0, f"{name}_hidden_layers_depth")
            self._require_positive(f"{name}_hidden_layers_width")
            self._require_nonlinearity(f"{name}_nonlinearity")
        if self.radial_chemical_embed not in EDGE_EMBEDDINGS:
            raise ConfigError(
                f"found model.radial_chemical_embed={self.radial_chemical_embed}; "
                f"expected {' or '.join(EDGE_EMBEDDINGS)}"
            )
        if self.radial_chemical_embed == "bessel" and self.embedding_dim % 2:
            raise ConfigError(
                f"found model.radial_chemical_embed_dim={self.embedding_dim} (null: num_scalar_features); "
                "expected an even number: either species gives half"
            )
        if self.spline_span > self.num_splines:
            raise ConfigError(
                f"found model.spline_span={self.spline_span}; expected at most "
                f"model.num_splines={self.num_splines}"
            )

    @property
    def embedding_dim(self) -> int:
        """Scalars of the radial-chemical embedding."""
        return self.radial_chemical_embed_dim or self.num_scalar_features

    @property
    def harmonics(self) -> o3.Irreps:
        """Irreps of an edge's harmonics and of an atom's environment."""
        return o3.Irreps.spherical_harmonics(self.l_max)

    @property
    def tensor_irreps(self) -> list[o3.Irreps]:
        """Irreps of the edges' tensors before the first layer and after each: num_layers + 1 entries.

        All up to l_max with `parity`, else those of natural parity, (-1)^l; without what no product reaches
        and what leads to no scalar in the end.
        """
        allowed = [
            o3.Irrep(degree, p)
            for degree in range(self.l_max + 1)
            for p in ((1, -1) if self.parity else ((-1) ** degree,))
        ]
        track = [[ir for _, ir in self.harmonics]]
        for k in range(self.num_layers):
            wanted = allowed if k < self.num_layers - 1 else [o3.Irrep("0e")]
            track.append([ir for ir in wanted if any(self._leads_to(before, [ir]) for before in track[-1])])
        for k in reversed(range(1, self.num_layers)):
            track[k] = [ir for ir in track[k] if self._leads_to(ir, track[k + 1])]
        return [o3.Irreps([(1, ir) for ir in irreps]) for irreps in track]

    def _leads_to(self, feature: o3.Irrep, wanted: list[o3.Irrep]) -> bool:
        """Whether a product of the feature with the environment holds one of the wanted irreps."""
        return any(ir in wanted for _, harmonic in self.harmonics for ir in feature * harmonic)


class Allegro(nn.Module):
    """Atomic energies from edge vectors and species.

    Each edge ij has scalars and tensors. They start from the two atoms alone and, layer by layer, learn of
    the other neighbours of i: never of atoms further away than r_max.

    Args:
        config: The architecture.
        normalization: Scales of sums over neighbours and of energies, per species.
        dtype: Of weights and features; geometry and the sum of energies are always float64.
    """

    neighbor_scale: Tensor

    def __init__(self, config: AllegroConfig, normalization: Normalization, dtype: torch.dtype) -> None:
        super().__init__()
        self.num_scalars, self.channels = config.num_scalar_features, config.num_tensor_features
        self.num_weights = num_weights = len(config.harmonics) * self.channels
        num_species = len(normalization.energy_shifts)
        self.edges = SeparateEdges(may_share=False)
        self.harmonics = SphericalHarmonics(config.l_max, dtype)
        self.inverse_cutoffs = InverseCutoffs(normalization.edge_cutoffs)
        self.edge_embedding = _edge_embedding(config, num_species, dtype)
        self.scalar_embed_mlp = _perceptron(
            config, "scalar_embed_mlp", config.embedding_dim, self.num_scalars, dtype
        )
        self.tensor_embed = ScalarMLP([self.num_scalars, num_weights], dtype)
        self.projection = ScalarMLP([self.num_scalars, self.num_scalars + num_weights], dtype)
        self.dense = Dense(None, dtype)
        self.layers = nn.ModuleList(AllegroLayer(config, k, dtype) for k in range(config.num_layers))
        read_out = self.num_scalars * (config.num_layers + 1)
        self.readout = _perceptron(config, "readout_mlp", read_out, 1, dtype)
        neighbor_scale = torch.tensor(normalization.avg_num_neighbors, dtype=torch.float64).rsqrt().to(dtype)
        self.register_buffer("neighbor_scale", neighbor_scale, persistent=False)
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
        neighbor_scale = self.neighbor_scale.index_select(0, species)

        # What the two atoms of an edge say alone: scalars, and harmonics weighted by them.
        inverse_cutoffs = self.inverse_cutoffs(species, edges)
        embedding = self.edge_embedding(edge_vec, edges, inverse_cutoffs, species)
        hidden, to_two_body, _ = self.scalar_embed_mlp.latents([embedding], [], self.num_scalars)
        projection = to_two_body @ self.projection.matrices()[0]
        to_weights = projection.narrow(1, self.num_scalars, self.num_weights)
        read = self.dense(
            [hidden],
            torch.cat([to_two_body @ self.tensor_embed.matrices()[0], to_weights], dim=1),
            [self.num_weights, self.num_weights],
            False,
        )
        tensors, weights = read[0], read[1]

        # Each layer reads all scalars so far and adds its own. Scalars are linear in the activations before
        # them, and what reads them starts with a linear map: one matrix for both reads the activations.
        activations, to_scalars = [hidden], [projection.narrow(1, 0, self.num_scalars)]
        for layer in self.layers:
            tensors, hidden, to_next, weights = layer(
                activations, to_scalars, tensors, weights, harmonics, neighbor_scale, edges
            )
            activations.append(hidden)
            to_scalars.append(to_next)

        # Energies of edges, summed at their centre. The last map is linear: it acts as well after the sum.
        read_out = self.readout.penultimate_of(activations, to_scalars)
        descriptors = torch.zeros(
            species.shape[0], read_out.shape[1], dtype=read_out.dtype, device=read_out.device
        ).index_add(0, edge_index[0], read_out)
        # 1 / sqrt(2): the derivative by a position takes the edge ij as well as ji.
        descriptors = descriptors * (0.5**0.5 * neighbor_scale).unsqueeze(1)
        return self.scale_shift(self.readout.output(descriptors).squeeze(-1), species), descriptors


class AllegroLayer(nn.Module):
    """One layer: sum an environment at each centre, multiply the edges' tensors by it, update the scalars.

    Args:
        config: The architecture.
        index: Which layer, from 0.
        dtype: Of weights and features.
    """

    def __init__(self, config: AllegroConfig, index: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.channels = config.num_tensor_features
        irreps_in, irreps_out = config.tensor_irreps[index : index + 2]
        self.tensor_product = EnvironmentProduct(
            irreps_in,
            config.harmonics,
            irreps_out,
            self.channels,
            config.tp_path_channel_coupling,
            dtype,
            of_harmonics=index == 0,
        )
        last = index == config.num_layers - 1
        num_weights = 0 if last else len(config.harmonics) * self.channels
        self.num_scalars = num_scalars = config.num_scalar_features
        self.latent_mlp = _perceptron(
            config, "allegro_mlp", num_scalars * (index + 1) + self.channels, num_scalars + num_weights, dtype
        )

    def forward(
        self,
        activations: list[Tensor],
        to_scalars: list[Tensor],
        tensors: Tensor,
        weights: Tensor,
        harmonics: Tensor,
        neighbor_scale: Tensor,
        edges: Edges,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Update tensors and scalars.

        Args:
            activations: (E, H_k) of every layer before, and of what came before the first.
            to_scalars: (H_k, S) what makes scalars of them.
            tensors: (E, D U), irreps as `config.tensor_irreps` says, scalars first; in the first layer
                weights (E, (l_max + 1) U) of the harmonics.
            weights: (E, (l_max + 1) U) of the harmonics in the environment.
            harmonics: (E, (l_max + 1)^2).
            neighbor_scale: (N,) one over the root of the mean number of neighbours.
            edges: The edges.

        Returns:
            Next tensors (E, D' U), one more of activations and to_scalars, and weights of the next
            environment (E, (l_max + 1) U), without columns after the last layer.
        """
        tensors, invariants = self.tensor_product(tensors, weights, harmonics, neighbor_scale, edges)
        features = activations + [invariants]  # noqa: RUF005 (TorchScript)
        hidden, to_next, weights = self.latent_mlp.latents(features, to_scalars, self.num_scalars)
        return tensors, hidden, to_next, weights


def _perceptron(config: AllegroConfig, name: str, dim_in: int, dim_out: int, dtype: torch.dtype) -> ScalarMLP:
    """One of the perceptrons whose hidden layers the config sets."""
    width = getattr(config, f"{name}_hidden_layers_width") or dim_in
    hidden = [width] * getattr(config, f"{name}_hidden_layers_depth")
    return ScalarMLP([dim_in, *hidden, dim_out], dtype, getattr(config, f"{name}_nonlinearity"))


def _edge_embedding(config: AllegroConfig, num_species: int, dtype: torch.dtype) -> nn.Module:
    """The radial-chemical embedding that the config names."""
    if config.radial_chemical_embed == "spline":
        return SplineEmbedding(
            num_species, config.embedding_dim, config.num_splines, config.spline_span, dtype
        )
    return BesselEmbedding(
        num_species,
        config.embedding_dim,
        config.num_bessels,
        config.bessel_trainable,
        config.polynomial_cutoff_p,
        dtype,
    )
