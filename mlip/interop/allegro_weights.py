"""Weights of nequip-allegro's Allegro under the names and in the order that they have in ours.

Weights of harmonics stand channel by channel, (channel, degree), in theirs, degree by degree in ours; weights
of paths are (channel, path) there, (path, channel) here; curves of splines (scalar, bump) and (bump, scalar).
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from mlip.errors import PotentialError
from mlip.interop.nequip_weights import perceptron_weights, scale_shift_weights, take
from mlip.models.allegro import AllegroConfig


def allegro_weights(state: Mapping[str, Tensor], config: AllegroConfig) -> dict[str, Tensor]:
    """Rename and reorder Allegro's weights.

    Args:
        state: Tensors of nequip-allegro's model by their names without prefix (`model.func.` or
            `model.sole_model.model.func.`); types in the order of our species.
        config: The architecture that they belong to.

    Returns:
        The state dict of our `ForceField`.

    Raises:
        PotentialError: A weight is missing or has another shape than the architecture asks for.
    """
    weights, num_species = _embedding_weights(state, config)
    weights |= perceptron_weights(
        state, "scalar_embed_mlp.mlp_module", "model.scalar_embed_mlp", config.scalar_embed_mlp_nonlinearity
    )
    weights |= perceptron_weights(state, "tensor_embed.env_embed_linear", "model.tensor_embed")
    weights |= perceptron_weights(state, "allegro.first_layer_env_embed_projection", "model.projection")
    _degrees_first(weights, "model.tensor_embed.weights.0", config, start=0)
    _degrees_first(weights, "model.projection.weights.0", config, start=config.num_scalar_features)
    for layer in range(config.num_layers):
        ours = f"model.layers.{layer}"
        weights[f"{ours}.tensor_product.weights"] = _path_weights(state, layer, config)
        latent = perceptron_weights(
            state, f"allegro.latents.{layer}", f"{ours}.latent_mlp", config.allegro_mlp_nonlinearity
        )
        if layer < config.num_layers - 1:  # the last layer makes no weights for a next one
            _degrees_first(latent, list(latent)[-1], config, start=config.num_scalar_features)
        weights |= latent
    weights |= perceptron_weights(
        state, "edge_readout.mlp_module", "model.readout", config.readout_mlp_nonlinearity
    )
    return weights | scale_shift_weights(state, num_species)


def _embedding_weights(state: Mapping[str, Tensor], config: AllegroConfig) -> tuple[dict[str, Tensor], int]:
    """Weights of the radial-chemical embedding, and the number T of species."""
    theirs, ours = "radial_chemical_embed", "model.edge_embedding"
    if config.radial_chemical_embed == "spline":
        curves = take(state, f"{theirs}.spline.class_embed.weight")
        curves = _view(curves, (len(curves), config.embedding_dim, config.num_splines), f"{theirs}.spline")
        return {f"{ours}.weight": curves.transpose(1, 2).contiguous()}, round(len(curves) ** 0.5)
    centre = take(state, f"{theirs}.type_embed.center_embed.weight")
    weights = {
        f"{ours}.centre_embedding": centre,
        f"{ours}.neighbor_embedding": take(state, f"{theirs}.type_embed.neighbor_embed.weight"),
        f"{ours}.radial_basis.frequencies": take(state, f"{theirs}.bessel_encode.bessel_weights").view(-1),
    }
    linear = perceptron_weights(state, f"{theirs}.type_embed.basis_linear", f"{ours}.radial_linear")
    return weights | linear, len(centre)


def _path_weights(state: Mapping[str, Tensor], layer: int, config: AllegroConfig) -> Tensor:
    """Weights of a tensor product, (paths, channels), or (paths, 1) where channels share them."""
    name = f"allegro.tps.{layer}.weights"
    channels = config.num_tensor_features if config.tp_path_channel_coupling else 1
    weights = take(state, name)
    # Theirs has no axis for the paths where there is but one, and none for channels that share weights.
    paths = weights.shape[-1] if weights.ndim > int(config.tp_path_channel_coupling) else 1
    return _view(weights, (channels, paths), name).t().contiguous()


def _degrees_first(weights: dict[str, Tensor], name: str, config: AllegroConfig, start: int) -> None:
    """Bring columns of harmonics' weights, from `start` on, from (channel, degree) to (degree, channel)."""
    weight = weights[name]
    num_degrees, channels = config.l_max + 1, config.num_tensor_features
    harmonics = _view(weight[:, start:], (len(weight), channels, num_degrees), name)
    reordered = harmonics.transpose(1, 2).reshape(len(weight), num_degrees * channels)
    weights[name] = torch.cat([weight[:, :start], reordered], dim=1)


def _view(tensor: Tensor, shape: tuple[int, ...], name: str) -> Tensor:
    """Reshape, or say that the file and the architecture do not belong together."""
    try:
        return tensor.reshape(shape)
    except RuntimeError:
        raise PotentialError(
            f"found {tuple(tensor.shape)} for {name}; the model's numbers ask for {shape}: "
            "they do not belong to this file"
        ) from None
