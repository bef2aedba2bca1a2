"""Weights of nequip's NequIP under the names that they have in ours.

Both hold the same numbers in the same order (tests/models, tests/interop): only names and outer shapes
differ. Names are those inside nequip's `SequentialGraphNetwork`, that is behind `model.func.` in a bare model
and behind `model.sole_model.model.func.` in a Lightning checkpoint.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from mlip.errors import PotentialError
from mlip.models.nequip import NequIPConfig


def nequip_weights(state: Mapping[str, Tensor], config: NequIPConfig) -> dict[str, Tensor]:
    """Rename NequIP's weights.

    Args:
        state: Tensors of nequip's model by their names without prefix; types in the order of our species.
        config: The architecture that they belong to.

    Returns:
        The state dict of our `ForceField`.

    Raises:
        PotentialError: A weight is missing.
    """
    embedding = take(state, "type_embed.embed_module.weight")
    weights = {
        "model.species_embedding": embedding,
        "model.radial_basis.frequencies": take(state, "bessel_encode.bessel_weights").view(-1),
    }
    for layer in range(config.num_layers):
        theirs, ours = f"layer{layer}_convnet.conv", f"model.layers.{layer}"
        weights[f"{ours}.linear_before.weight"] = take(state, f"{theirs}.linear_1.weight")
        weights[f"{ours}.linear_after.weight"] = take(state, f"{theirs}.linear_2.weight")
        if layer > 0:  # the first layer has no self-connection: an isolated atom keeps its energy
            weights[f"{ours}.self_connection.weight"] = take(state, f"{theirs}.sc.weight")
        weights |= perceptron_weights(state, f"{theirs}.edge_mlp", f"{ours}.radial_mlp")
    nonlinearity = config.readout_mlp_nonlinearity
    weights |= perceptron_weights(state, "per_atom_energy_readout.mlp_module", "model.readout", nonlinearity)
    return weights | scale_shift_weights(state, len(embedding))


def perceptron_weights(
    state: Mapping[str, Tensor], theirs: str, ours: str, nonlinearity: str | None = "silu"
) -> dict[str, Tensor]:
    """Rename the weights of one of nequip's `ScalarMLPFunction`s to those of our `ScalarMLP`.

    Without a nonlinearity theirs are called `mlp.weights.0`, `mlp.weights.1`, ...; else `mlp.0.weight`,
    `mlp.2.weight`, ..., also where the nonlinearity is the text "None": an identity, but followed by the
    factor sqrt(2) of a nonlinearity, which our weights then take in.

    Args:
        state: As in `nequip_weights`.
        theirs: Name of the perceptron there.
        ours: Name of the perceptron here.
        nonlinearity: Of our perceptron.

    Raises:
        PotentialError: There is no such perceptron.
    """
    found = {
        int(word): tensor.detach()
        for name, tensor in state.items()
        if name.startswith(f"{theirs}.mlp.")
        for word in name.removeprefix(f"{theirs}.mlp.").split(".")
        if word.isdigit()
    }
    if not found:
        raise _missing(f"{theirs}.mlp.0.weight", state)
    gain = 2.0**0.5 if nonlinearity is None and f"{theirs}.mlp.2.weight" in state else 1.0
    return {
        f"{ours}.weights.{layer}": found[index] * (gain if layer else 1.0)
        for layer, index in enumerate(sorted(found))
    }


def scale_shift_weights(state: Mapping[str, Tensor], num_species: int) -> dict[str, Tensor]:
    """Scales and shifts of atomic energies, one per species; nequip holds one for all, one each, or none.

    Args:
        state: As in `nequip_weights`.
        num_species: Number T of species.

    Returns:
        `model.scale_shift.scales` and `.shifts`, (T,) eV, float64.

    Raises:
        PotentialError: They are missing, or there are neither one nor T of them.
    """
    weights = {}
    for name, neutral in (("scales", 1.0), ("shifts", 0.0)):
        theirs = f"per_type_energy_scale_shift.{name}"
        values = take(state, theirs).reshape(-1).to(torch.float64)
        if values.numel() == 0:  # nequip's null
            values = torch.tensor([neutral], dtype=torch.float64)
        if values.numel() not in (1, num_species):
            raise PotentialError(
                f"found {values.numel()} numbers in {theirs} of a model of {num_species} species; "
                "expected one for all or one each: the file was altered"
            )
        weights[f"model.scale_shift.{name}"] = values.expand(num_species).clone()
    return weights


def take(state: Mapping[str, Tensor], name: str) -> Tensor:
    """One tensor of nequip's.

    Raises:
        PotentialError: There is none of that name.
    """
    if name not in state:
        raise _missing(name, state)
    return state[name].detach()


def _missing(name: str, state: Mapping[str, Tensor]) -> PotentialError:
    return PotentialError(
        f"found no weight {name} among the {len(state)} tensors of the model; expected the names of "
        "nequip 0.7 to 0.19: save the checkpoint again with such a version"
    )
