"""From an architecture's name and numbers to a model, and back."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from mlip.errors import PotentialError
from mlip.models.allegro import Allegro, AllegroConfig
from mlip.models.config import ModelConfig
from mlip.models.nequip import NequIP, NequIPConfig
from mlip.models.normalization import Normalization
from mlip.nn.derivatives import ForceField
from mlip.nn.short_range import build_pair_potential

ARCHITECTURES: dict[str, tuple[type[ModelConfig], Callable[..., nn.Module]]] = {
    "nequip": (NequIPConfig, NequIP),
    "allegro": (AllegroConfig, Allegro),
}


def build_force_field(
    config: ModelConfig,
    species: Sequence[str],
    normalization: Normalization,
    dtype: torch.dtype,
    pair_cutoffs: Sequence[Sequence[float]] | None = None,
) -> ForceField:
    """A model with fresh weights that gives energy, forces and virial.

    Args:
        config: The architecture.
        species: (T,) chemical symbols, sorted by atomic number.
        normalization: Scales of sums over neighbours and of energies, per species.
        dtype: Of weights and features.
        pair_cutoffs: (T, T) A, where the pair potential that the config names ends; None without one.

    Raises:
        PotentialError: The config names a pair potential without cutoffs, or there are cutoffs of none.
    """
    _, architecture = ARCHITECTURES[name_of(config)]
    pair_potential = None
    if config.pair_potential is not None and pair_cutoffs is not None:
        pair_potential = build_pair_potential(config.pair_potential, species, pair_cutoffs)
    elif config.pair_potential is not None or pair_cutoffs is not None:
        raise PotentialError(
            f"found pair_potential={config.pair_potential} with pair_cutoffs={pair_cutoffs}; "
            "expected both or neither: give the distances where the pair potential ends"
        )
    return ForceField(architecture(config, normalization, dtype), pair_potential)


def name_of(config: ModelConfig) -> str:
    """The name under which an architecture is written into files."""
    return next(name for name, (kind, _) in ARCHITECTURES.items() if isinstance(config, kind))


def config_to_dict(config: ModelConfig) -> dict[str, Any]:
    """Name and numbers of an architecture, ready for JSON."""
    return {"model": name_of(config), **asdict(config)}


def config_from_dict(content: dict[str, Any]) -> ModelConfig:
    """Rebuild an architecture from what `config_to_dict` gave.

    Raises:
        PotentialError: The architecture or one of its numbers is unknown to this version.
    """
    numbers = dict(content)
    name = numbers.pop("model", None)
    if name not in ARCHITECTURES:
        raise PotentialError(
            f"found the architecture '{name}'; this version knows {', '.join(ARCHITECTURES)}"
        )
    try:
        return ARCHITECTURES[name][0](**numbers)
    except TypeError as error:
        raise PotentialError(
            f"found a setting of {name} that this version does not know ({error}); update"
        ) from None
