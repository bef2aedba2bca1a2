"""From an architecture's name and numbers to a model, and back."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from mlip.errors import PotentialError
from mlip.models.nequip import NequIP, NequIPConfig
from mlip.nn.derivatives import ForceField

ARCHITECTURES = {"nequip": (NequIPConfig, NequIP)}


def build_force_field(
    config: NequIPConfig,
    num_species: int,
    avg_num_neighbors: float,
    energy_scales: Sequence[float],
    energy_shifts: Sequence[float],
    dtype: torch.dtype,
    pair_potential: nn.Module | None = None,
) -> ForceField:
    """A model with fresh weights that gives energy, forces and virial.

    Args:
        config: The architecture.
        num_species: Number T of species.
        avg_num_neighbors: Mean neighbours within r_max.
        energy_scales: (T,) eV.
        energy_shifts: (T,) eV.
        dtype: Of weights and features.
        pair_potential: Energies that are added to the model's, such as `ZBL`.
    """
    model = ARCHITECTURES[name_of(config)][1](
        config,
        num_species,
        avg_num_neighbors,
        torch.tensor(energy_scales, dtype=torch.float64),
        torch.tensor(energy_shifts, dtype=torch.float64),
        dtype,
    )
    return ForceField(model, pair_potential)


def name_of(config: NequIPConfig) -> str:
    """The name under which an architecture is written into files."""
    return next(name for name, (kind, _) in ARCHITECTURES.items() if isinstance(config, kind))


def config_to_dict(config: NequIPConfig) -> dict[str, Any]:
    """Name and numbers of an architecture, ready for JSON."""
    return {"model": name_of(config), **asdict(config)}


def config_from_dict(content: dict[str, Any]) -> NequIPConfig:
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
