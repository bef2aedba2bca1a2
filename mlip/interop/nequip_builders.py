"""Functions of nequip that build a model out of another: fine-tuning and its modifiers, unwrapped."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mlip.errors import PotentialError

# Modifiers of nequip that change no number, or numbers that are read from the weights.
_RESCALING = "modify_PerTypeScaleShift"
_HARMLESS = (
    _RESCALING,
    "enable_OpenEquivariance",
    "enable_CuEquivariance",
    "enable_TritonContracter",
    "enable_CuEquivarianceContracter",
    "enable_ForceStressOutput",
    "disable_ForceStressOutput",
)


def unwrap_builders(
    model: Any, folder: Path, read_model: Callable[[Path], Mapping[str, Any]]
) -> Mapping[str, Any]:
    """Follow a model's configuration to the function that built its network.

    Args:
        model: Configuration as in a file of nequip's, the function's name under `_target_`.
        folder: Where the file lies; another file that it names is also looked for there.
        read_model: Gives the arguments of the model in another file.

    Returns:
        Arguments of the network's function; whether scales and shifts are trained as the modifiers say.

    Raises:
        PotentialError: A function or a modifier is unknown, or the other file is not there.
    """
    if not isinstance(model, Mapping) or "_target_" not in model:
        raise PotentialError(
            "found no function in the model's configuration; expected one that nequip builds models with"
        )
    name = builder_name(model)
    if name == "modify":
        arguments = dict(unwrap_builders(model.get("model"), folder, read_model))
        for modifier in model.get("modifiers") or ():
            arguments |= _changes_of(modifier)
        return arguments
    if name in ("ModelFromCheckpoint", "ModelFromPackage"):
        return read_model(_find(str(model.get("checkpoint_path") or model.get("package_path")), folder))
    return model


def builder_name(arguments: Mapping[str, Any]) -> str:
    """The function's name without its module."""
    return str(arguments.get("_target_")).rsplit(".", 1)[-1]


def _changes_of(modifier: Any) -> dict[str, Any]:
    name = modifier.get("modifier") if isinstance(modifier, Mapping) else modifier
    if name not in _HARMLESS:
        raise PotentialError(
            f"found the model modifier {name}; expected none but {', '.join(_HARMLESS)}: "
            "this cannot be imported"
        )
    if name != _RESCALING:
        return {}
    trainable = ("scales_trainable", "shifts_trainable")
    return {f"per_type_energy_{key}": bool(modifier.get(key, False)) for key in trainable}


def _find(name: str, folder: Path) -> Path:
    for path in (Path(name), folder / Path(name).name):
        if path.is_file():
            return path
    raise PotentialError(
        f"found a model fine-tuned from {name}, which holds its settings and is not there; "
        f"expected it there or in {folder}: put it there"
    )
