"""Arguments of nequip's model builders as our configurations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ase.data import atomic_numbers

from mlip.errors import ConfigError, PotentialError
from mlip.interop.nequip_builders import builder_name
from mlip.models.allegro import AllegroConfig
from mlip.models.config import ModelConfig
from mlip.models.nequip import NequIPConfig
from mlip.settings import build_settings

NEQUIP_BUILDERS = ("NequIPGNNModel", "NequIPGNNEnergyModel", "PresetNequIPGNNModel")
ALLEGRO_BUILDERS = ("AllegroModel", "AllegroEnergyModel")

# nequip 0.19, nequip/model/nequip_models.py.
_PRESET = {
    "parity": False,
    "type_embed_num_features": 32,
    "radial_mlp_depth": 1,
    "radial_mlp_width": 128,
}
_PRESETS = {
    "S": {"num_layers": 2, "l_max": 1, "num_features": [128, 64]},
    "M": {"num_layers": 4, "l_max": 2, "num_features": [128, 64, 32]},
    "L": {"num_layers": 6, "l_max": 3, "num_features": [128, 64, 32, 32]},
    "XL": {"num_layers": 6, "l_max": 4, "num_features": [320, 96, 64, 32, 32]},
}
# Arguments that leave the network's numbers alone, or that are read elsewhere.
_NOT_OF_THE_NETWORK = (
    "_target_",
    "seed",
    "model_dtype",
    "type_names",
    "compile_mode",
    "do_derivatives",
    "pair_potential",
)
# Arguments that we have no words for, and what they must be.
_ONLY = {
    "categorical_graph_field_embed": None,
    "convnet_sc": True,
    "convnet_resnet": False,
    "learnable_shift": False,
    "convnet_nonlinearity_type": "gate",
    "convnet_nonlinearity_scalars": {"e": "silu", "o": "tanh"},
    "convnet_nonlinearity_gates": {"e": "silu", "o": "tanh"},
    "weight_individual_irreps": True,
    "forward_normalize": True,
}
# Two-body embeddings of nequip-allegro, and the arguments of each.
_EMBEDDINGS = {
    "TwoBodyBesselScalarEmbed": ("bessel", ("num_bessels", "bessel_trainable", "polynomial_cutoff_p")),
    "TwoBodySplineScalarEmbed": ("spline", ("num_splines", "spline_span")),
}


@dataclass(frozen=True)
class NequIPTypes:
    """nequip's types of atoms, and the order in which we have them.

    Attributes:
        species: Chemical symbols, sorted by atomic number.
        order: Index of each species among nequip's types.
    """

    species: tuple[str, ...]
    order: tuple[int, ...]


def read_types(arguments: Mapping[str, Any]) -> NequIPTypes:
    """Sort nequip's types by atomic number.

    Raises:
        PotentialError: They are not chemical symbols, each once.
    """
    names = [str(name) for name in arguments.get("type_names") or ()]
    strange = [name for name in names if name not in atomic_numbers or name == "X"]
    if strange or not names or len(set(names)) != len(names):
        raise PotentialError(
            f"found type_names {', '.join(names) or 'empty'}; expected chemical symbols, each once"
            + (f": {', '.join(strange)} cannot be told from its name" if strange else "")
        )
    order = sorted(range(len(names)), key=lambda index: atomic_numbers[names[index]])
    return NequIPTypes(tuple(names[index] for index in order), tuple(order))


def read_config(arguments: Mapping[str, Any]) -> ModelConfig:
    """The architecture that nequip's arguments describe.

    Args:
        arguments: Those of the function that built the model, its name under `_target_`; `read_types` has
            found its types to be chemical symbols.

    Raises:
        PotentialError: An argument describes what our models cannot be.
    """
    kind, settings = _kind_and_settings(arguments)
    known = {field.name for field in fields(kind)}
    numbers: dict[str, Any] = {}
    for name, value in settings.items():
        if name in _NOT_OF_THE_NETWORK:
            continue
        if name in known:
            numbers[name] = _plain(name, value, arguments["type_names"])
        else:
            _require_usual(name, value)
    for name in ("r_max", "avg_num_neighbors"):
        if numbers.get(name) is None:
            raise PotentialError(
                f"found no {name} in the model's settings; expected it: the file was altered"
            )
    numbers["pair_potential"] = _pair_potential(arguments)
    try:
        return build_settings(kind, numbers, "model")
    except ConfigError as error:
        raise PotentialError(f"cannot import the model: {error}") from None


def _kind_and_settings(arguments: Mapping[str, Any]) -> tuple[type[ModelConfig], dict[str, Any]]:
    """Which architecture a function builds, and its arguments with our names."""
    builder = builder_name(arguments)
    if builder in NEQUIP_BUILDERS:
        return NequIPConfig, _with_preset(arguments)
    if builder in ALLEGRO_BUILDERS:
        return AllegroConfig, _with_embedding(arguments)
    raise PotentialError(
        f"found a model built by {arguments.get('_target_')}; expected one of "
        f"{', '.join((*NEQUIP_BUILDERS, *ALLEGRO_BUILDERS))}"
    )


def _require_usual(name: str, value: Any) -> None:
    """Refuse an argument that we have no words for, unless it says what our models are anyway."""
    if name not in _ONLY:
        raise PotentialError(
            f"found {name}={value} in the model's settings; expected none of that name: "
            "this version cannot import it"
        )
    if value != _ONLY[name]:
        raise PotentialError(
            f"found {name}={value} in the model's settings; expected {_ONLY[name]}: this cannot be imported"
        )


def _pair_potential(arguments: Mapping[str, Any]) -> str | None:
    """Our name of the model's pair potential."""
    pair = arguments.get("pair_potential")
    if pair is None:
        return None
    name = builder_name(pair)
    expected = {
        "polynomial_cutoff_p": (pair.get("polynomial_cutoff_p", 6), 6),
        "units": (pair.get("units"), "metal"),
        "chemical_species": (list(pair.get("chemical_species") or ()), list(arguments["type_names"])),
    }
    if name != "ZBL":
        raise PotentialError(
            f"found the pair_potential {name}; expected ZBL or none: this version has no other of nequip's"
        )
    for key, (found, wanted) in expected.items():
        if found != wanted:
            raise PotentialError(f"found pair_potential.{key}={found}; expected {wanted}: cannot be imported")
    return "zbl"


def _with_preset(arguments: Mapping[str, Any]) -> dict[str, Any]:
    settings = dict(arguments)
    if builder_name(arguments) != "PresetNequIPGNNModel":
        return settings
    preset = str(settings.pop("preset", "")).upper()
    if preset not in _PRESETS:
        raise PotentialError(f"found preset={preset}; expected one of {', '.join(_PRESETS)}")
    return _PRESET | _PRESETS[preset] | settings


def _with_embedding(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Allegro's two-body embedding has arguments of its own, which ours has among the others."""
    settings = dict(arguments)
    embedding = settings.pop("radial_chemical_embed", None)
    name = builder_name(embedding) if isinstance(embedding, Mapping) else embedding
    if name not in _EMBEDDINGS:
        raise PotentialError(
            f"found radial_chemical_embed={name}; expected one of {', '.join(_EMBEDDINGS)}: "
            "this version cannot import it"
        )
    kind, names = _EMBEDDINGS[name]
    strange = sorted(set(embedding) - {"_target_", *names})
    if strange:
        raise PotentialError(
            f"found radial_chemical_embed.{strange[0]}; expected {name} without it: "
            "this version cannot import it"
        )
    own = {key: value for key, value in embedding.items() if key != "_target_"}
    return settings | own | {"radial_chemical_embed": kind}


def _plain(name: str, value: Any, types: Sequence[str]) -> Any:
    """A value as our configurations want it: plain lists and dictionaries, one per species by symbol."""
    if name == "per_type_energy_scales":
        return _by_symbol(name, 1.0 if value is None else value, types)
    if name == "per_type_energy_shifts":
        return _by_symbol(name, 0.0 if value is None else value, types)
    if name == "avg_num_neighbors" and isinstance(value, Mapping):
        return _by_symbol(name, value, types)
    if name == "polynomial_cutoff_p" and isinstance(value, float) and value.is_integer():
        return int(value)
    if name.endswith("_nonlinearity") and value in ("None", "null"):
        return None  # text of YAML's; `perceptron_weights` knows of it
    if isinstance(value, Mapping):
        return {str(key): _plain("", each, types) for key, each in value.items()}
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _by_symbol(name: str, value: Any, types: Sequence[str]) -> dict[str, Any]:
    """One number for all types, one for each by name, or, up to nequip 0.8, one for each in a list."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = dict(zip(types, value, strict=False))
    if not isinstance(value, Mapping):
        return dict.fromkeys(types, value)
    if set(value) != set(types):
        raise PotentialError(
            f"found {name} for {', '.join(value)}; expected one for each of {', '.join(types)}"
        )
    return dict(value)
