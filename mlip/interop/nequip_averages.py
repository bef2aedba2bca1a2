"""The weights that nequip would evaluate with: averages over the training, where it kept some."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mlip.errors import PotentialError

_EMA = "ema.ema_weight_"
_SCHEDULE_FREE = "schedulefree_optimizer_state_dict"
# Tensors of nequip's and e3nn's modules that are no parameters.
_BUFFERS = ("output_mask", "atomic_numbers", "w3j", "lower", "upper")
# Tensors that are parameters if an argument of the model says so.
_MAYBE_TRAINED = {
    "bessel_weights": "bessel_trainable",
    "scales": "per_type_energy_scales_trainable",
    "shifts": "per_type_energy_shifts_trainable",
}


def evaluation_weights(
    checkpoint: Mapping[str, Any], arguments: Mapping[str, Any]
) -> tuple[dict[str, Tensor], str]:
    """Choose the weights as nequip's `evaluation_model` does.

    Args:
        checkpoint: The content of a Lightning checkpoint.
        arguments: Those of the function that built its model.

    Returns:
        Tensors by their names in the dictionary of models, and in words which they are.

    Raises:
        PotentialError: The averages do not belong to the model.
    """
    everything = checkpoint["state_dict"]
    model = {
        name.removeprefix("model."): tensor
        for name, tensor in everything.items()
        if name.startswith("model.") and isinstance(tensor, Tensor)
    }
    averages = [tensor for name, tensor in everything.items() if name.startswith(_EMA)]
    names = _parameter_names(model, arguments)
    if averages:
        return _exponential_average(model, names, averages, everything.get("ema._extra_state"))
    if _SCHEDULE_FREE in checkpoint:
        return _schedule_free_average(model, names, checkpoint[_SCHEDULE_FREE])
    return model, "those of the last step"


def _parameter_names(model: Mapping[str, Tensor], arguments: Mapping[str, Any]) -> list[str]:
    """Names in the order of torch's `parameters()`, in which averages are numbered."""
    embedded = arguments.get("radial_chemical_embed")
    settings = {**(embedded if isinstance(embedded, Mapping) else {}), **arguments}

    def is_parameter(name: str, tensor: Tensor) -> bool:
        last = name.rsplit(".", 1)[-1]
        if last in _MAYBE_TRAINED and tensor.numel():
            return bool(settings.get(_MAYBE_TRAINED[last], False))
        return tensor.numel() > 0 and last not in _BUFFERS and not last.startswith("_")

    return [name for name, tensor in model.items() if is_parameter(name, tensor)]


def _exponential_average(
    model: dict[str, Tensor], names: list[str], averages: list[Tensor], about: Any
) -> tuple[dict[str, Tensor], str]:
    """Put the weights of nequip's `EMAWeights` in place."""
    kept = about if isinstance(about, Mapping) else {}
    if not kept.get("is_holding_ema_weights", True):
        raise PotentialError(
            "found a checkpoint saved in the middle of a validation, its averages and weights swapped; "
            "expected one saved after it"
        )
    _require_same_shapes(model, names, averages)
    decay = f" of decay {kept['decay']}" if "decay" in kept else ""
    return model | dict(zip(names, averages, strict=True)), f"the exponential moving average{decay}"


def _schedule_free_average(
    model: dict[str, Tensor], names: list[str], optimizer: Any
) -> tuple[dict[str, Tensor], str]:
    """Do what `eval()` of a schedule-free optimizer does: x = y + (1 - 1 / beta) (z - y).

    Source: Defazio et al. 2024 (arXiv 2405.15682), eq. 2, solved for x.
    """
    groups = optimizer["param_groups"]
    if len(groups) != 1 or len(groups[0]["params"]) != len(names):
        raise PotentialError(
            f"found a schedule-free optimizer with {len(groups)} groups of parameters that do not match the "
            f"model's {len(names)}; expected one group of all"
        )
    (group,) = groups
    if group["train_mode"]:
        beta = group["betas"][0] if "betas" in group else group["momentum"]
        stepped = {
            i: optimizer["state"][i]["z"] for i in group["params"] if "z" in optimizer["state"].get(i, {})
        }
        _require_same_shapes(model, [names[i] for i in stepped], list(stepped.values()))
        model = model | {
            names[i]: model[names[i]].lerp(z.to(model[names[i]].dtype), 1.0 - 1.0 / beta)
            for i, z in stepped.items()
        }
    return model, "the average of a schedule-free optimizer"


def _require_same_shapes(model: Mapping[str, Tensor], names: list[str], averages: list[Tensor]) -> None:
    if [model[name].shape for name in names] != [average.shape for average in averages]:
        raise PotentialError(
            f"found {len(averages)} averaged weights that do not match the {len(names)} of the model; "
            "expected one of the same shape for each: the file was altered, or this version cannot read it"
        )
