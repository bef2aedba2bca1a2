"""A message-passing model in several processes, each with the atoms of one part of space.

An atom's messages come from neighbours that may belong to another process. Before each layer but the first,
whose features follow from species, their features are fetched from where they are known; in the derivative
their gradients go the way back. The operator that does so knows its partner, the pair style of LAMMPS;
without one it changes nothing.
"""

import torch
from torch import Tensor, nn

from mlip.models.nequip import NequIP, NequIPLayer
from mlip.nn.derivatives import ForceField
from mlip.nn.kernels.cpp.load import load_operators
from mlip.nn.kernels.edges import Edges


class ExchangingLayer(nn.Module):
    """A layer of a NequIP, after the features of other processes' atoms are fetched."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(
        self,
        features: Tensor,
        harmonics: Tensor,
        radial: Tensor,
        species_embedding: Tensor,
        species: Tensor,
        edges: Edges,
    ) -> Tensor:
        """What the layer gives; arguments as those of `NequIPLayer`."""
        fetched = torch.ops.vitreous.exchange(features)
        result: Tensor = self.layer(fetched, harmonics, radial, species_embedding, species, edges)
        return result


def describe_reach(force_field: ForceField) -> dict[str, str]:
    """Metadata by which the pair styles know on which other atoms the energy of an atom depends.

    Returns:
        `vitreous_layers`: how many edges away they may be; `vitreous_exchanged_bytes`: of an atom's largest
        row of features that another process needs, 0 for a strictly local model.
    """
    model = force_field.model
    layers, size = 1, 0
    if isinstance(model, NequIP):
        layers = len(model.layers)
        widths = [layer.irreps_out.dim for layer in model.layers if isinstance(layer, NequIPLayer)][:-1]
        size = max(widths, default=0) * model.species_embedding.element_size()
    return {"vitreous_layers": str(layers), "vitreous_exchanged_bytes": str(size)}


def distribute(force_field: ForceField) -> ForceField:
    """Let a force field run in several processes; it is changed. A strictly local one runs as it is.

    Args:
        force_field: With modules of `kernel=reference` or `kernel=cpp`.

    Raises:
        ConfigError: There is no compiler for the operators.
    """
    load_operators()
    model = force_field.model
    if isinstance(model, NequIP):
        model.layers = nn.ModuleList([model.layers[0], *map(ExchangingLayer, model.layers[1:])])
    return force_field
