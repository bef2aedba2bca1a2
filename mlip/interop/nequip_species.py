"""Rows of nequip's tensors that belong to types of atoms, in the order of our species."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

_PER_TYPE = (
    "type_embed.embed_module.weight",
    "radial_chemical_embed.type_embed.center_embed.weight",
    "radial_chemical_embed.type_embed.neighbor_embed.weight",
    "per_type_energy_scale_shift.scales",
    "per_type_energy_scale_shift.shifts",
)
_PER_PAIR_OF_TYPES = ("radial_chemical_embed.spline.class_embed.weight",)


def sort_types(state: Mapping[str, Tensor], order: Sequence[int]) -> dict[str, Tensor]:
    """Reorder the rows of every tensor that has one for each type, or for each pair of types.

    Args:
        state: Tensors of nequip's model by their names without prefix.
        order: (T,) index among nequip's types of each of our species.
    """
    num_types = len(order)
    rows = torch.tensor(order)
    pairs = (rows[:, None] * num_types + rows[None, :]).view(-1)
    index_of = dict.fromkeys(_PER_TYPE, rows) | dict.fromkeys(_PER_PAIR_OF_TYPES, pairs)
    return {
        name: tensor[index_of[name]] if name in index_of and len(tensor) == len(index_of[name]) else tensor
        for name, tensor in state.items()
    }
