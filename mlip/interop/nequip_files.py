"""Checkpoints of `nequip-train` and packages of `nequip-package`, read without running anything in them."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor

from mlip.errors import PotentialError
from mlip.inputs import resolve_input
from mlip.interop.inert_pickle import Inert, read_pickle
from mlip.interop.nequip_averages import evaluation_weights
from mlip.interop.nequip_builders import unwrap_builders

READ = (
    "a checkpoint of nequip-train (.ckpt) or a package of nequip-package (.nequip.zip), of nequip 0.7 to 0.19"
)
# Where the network stands in nequip's `ModuleDict` of models, of which only one can be read.
_NETWORK = "sole_model.model.func."
_CHECKPOINT, _PACKAGE = "/data.pkl", "/model/package_metadata.txt"
_OTHER_FILES = {
    "/potential.json": "a .mlip potential, which needs no import: give it as potential=",
    "/constants.pkl": "a TorchScript file: give the checkpoint that nequip-compile made it of",
    "/archive_format": "a compiled file: give the checkpoint that nequip-compile made it of",
}


@dataclass(frozen=True)
class NequIPFile:
    """What stands in a file of nequip's.

    Attributes:
        arguments: Those of the function that built the model, its name under `_target_`.
        state: Tensors of the network by their names in it.
        weights: Which weights these are, in words.
        loss: Configuration of the loss; empty if unknown.
        versions: Of the packages that made it: name -> version.
        epoch: Of the training, where it is known.
    """

    arguments: Mapping[str, Any]
    state: Mapping[str, Tensor]
    weights: str
    loss: Mapping[str, Any]
    versions: Mapping[str, str]
    epoch: int | None = None


def read_nequip_file(path: str | Path) -> NequIPFile:
    """Read a checkpoint or a package.

    Raises:
        DataError: There is no such file.
        PotentialError: It is something else, damaged, or of a version that cannot be read.
    """
    file = resolve_input(path)
    if not zipfile.is_zipfile(file):
        raise PotentialError(
            f"found {file}, which is damaged or no file of nequip 0.7 or newer; expected {READ}: "
            "copy it again, or train it with such a version"
        )
    try:
        with zipfile.ZipFile(file) as archive:
            return _read_archive(archive, file)
    except zipfile.BadZipFile as error:
        raise PotentialError(f"found {file} damaged ({error}); expected {READ}: copy it again") from None


def _read_archive(archive: zipfile.ZipFile, file: Path) -> NequIPFile:
    names = archive.namelist()
    for name in names:
        for ending, what in _OTHER_FILES.items():
            if f"/{name}".endswith(ending):
                raise PotentialError(f"found {file}, {what}; expected {READ}")
    for ending, read in ((_PACKAGE, _read_package), (_CHECKPOINT, _read_checkpoint)):
        for name in names:
            if name.endswith(ending):
                return read(archive, name.removesuffix(ending))
    raise PotentialError(f"found {file}, a zip file with {names[0] if names else 'nothing'}; expected {READ}")


def _read_checkpoint(archive: zipfile.ZipFile, folder: str) -> NequIPFile:
    content = read_pickle(archive, f"{folder}{_CHECKPOINT}", f"{folder}/data/{{}}")
    file = archive.filename
    if not isinstance(content, Mapping) or "hyper_parameters" not in content or "state_dict" not in content:
        raise PotentialError(
            f"found {file}, saved by torch without the settings of its model (nequip before 0.7 kept them in "
            f"config.yaml); expected {READ}: train it again with such a version"
        )
    settings = content["hyper_parameters"]
    info = settings.get("info_dict") if isinstance(settings, Mapping) else None
    if not isinstance(info, Mapping) or "model" not in settings:
        raise PotentialError(
            f"found {file}, a Lightning checkpoint without nequip's info_dict; expected {READ}: "
            "give a checkpoint that nequip-train wrote"
        )
    arguments = unwrap_builders(settings["model"], Path(file or "").parent, _model_of_file)
    state, weights = evaluation_weights(content, arguments)
    return NequIPFile(
        arguments=arguments,
        state=_network(state, file),
        weights=weights,
        loss=settings.get("loss") or {},
        versions=_versions(info.get("versions"), file),
        epoch=content.get("epoch"),
    )


def _read_package(archive: zipfile.ZipFile, folder: str) -> NequIPFile:
    try:
        config = yaml.safe_load(archive.read(f"{folder}/model/config.yaml"))
        metadata = yaml.safe_load(archive.read(f"{folder}{_PACKAGE}"))
        training = config["training_module"]
        arguments = unwrap_builders(training["model"], Path(archive.filename or "").parent, _model_of_file)
    except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise PotentialError(
            f"found {archive.filename}, a package without the settings of its model ({error}); "
            f"expected {READ}: give the checkpoint that it was made of"
        ) from None
    model = read_pickle(archive, f"{folder}/model/eager_model.pkl", f"{folder}/.data/{{}}.storage")
    return NequIPFile(
        arguments=arguments,
        state=_network(_tensors_of(model), archive.filename),
        weights="those that nequip packaged",
        loss=training.get("loss") or {},
        versions=_versions(metadata.get("versions"), archive.filename),
    )


def _model_of_file(path: Path) -> Mapping[str, Any]:
    """Arguments of the model in another file, which a fine-tuned one names."""
    return read_nequip_file(path).arguments


def _network(state: Mapping[str, Tensor], file: str | None) -> dict[str, Tensor]:
    """The tensors of the one model that nequip trained, by their names in its network."""
    others = sorted({name.split(".")[0] for name in state} - {_NETWORK.split(".")[0]})
    network = {name.removeprefix(_NETWORK): t for name, t in state.items() if name.startswith(_NETWORK)}
    if others or not network:
        raise PotentialError(
            f"found {file} with {'the models ' + ', '.join(others) if others else 'no model'} in it; "
            "expected the one model of an ordinary training"
        )
    return network


def _tensors_of(module: Any, prefix: str = "") -> dict[str, Tensor]:
    """The state dict of a pickled module."""
    if not isinstance(module, Inert) or not isinstance(module.state, Mapping):
        return {}
    state = module.state
    own = {**(state.get("_parameters") or {}), **(state.get("_buffers") or {})}
    transient = state.get("_non_persistent_buffers_set") or ()
    tensors = {
        f"{prefix}{name}": tensor
        for name, tensor in own.items()
        if isinstance(tensor, Tensor) and name not in transient
    }
    for name, child in (state.get("_modules") or {}).items():
        tensors |= _tensors_of(child, f"{prefix}{name}.")
    return tensors


def _versions(found: Any, file: str | None) -> dict[str, str]:
    """Versions of the packages that wrote a file.

    Raises:
        PotentialError: nequip is older than what is read.
    """
    versions = {str(k): str(v) for k, v in found.items()} if isinstance(found, Mapping) else {}
    if parse_version(versions.get("nequip")) < (0, 7):
        raise PotentialError(
            f"found {file} of nequip {versions.get('nequip', 'without version')}; expected {READ}: "
            "train it again with such a version"
        )
    return versions


def parse_version(text: str | None) -> tuple[int, ...]:
    """`0.19.1` as (0, 19); (0, 0) for none."""
    numbers = [int(word) if word.isdigit() else 0 for word in str(text or "0").split(".")[:2]]
    return tuple(numbers + [0] * (2 - len(numbers)))
