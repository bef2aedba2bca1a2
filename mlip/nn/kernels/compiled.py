"""A force field compiled by Inductor: for machines where none of our own kernels can be used.

Source: nequip 0.19's `CompileGraphModel`, for the way to training.
"""

import logging
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call
from torch.fx import GraphModule
from torch.fx.experimental import _config as symbolic_shapes

from mlip.errors import ConfigError
from mlip.native.builder import find_compiler
from mlip.nn.derivatives import ForceField, Prediction
from mlip.nn.tracing import sample_inputs, trace

logger = logging.getLogger(__name__)

# Two atoms that see each other in a structure of their own, after all others: compilers make a program of its
# own for a size of 0 or 1 (one structure, one atom, no edge), and with these two no size is.
_COMPANION = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)


class CompiledForceField(ForceField):
    """The same energies, forces and gradients as the force field that it shares its modules with.

    Compiled at the first call of training and at the first of evaluation, for any sizes.

    Args:
        reference: Whose modules it takes; they may be trained or moved to another device afterwards, by
            either.
    """

    def __init__(self, reference: ForceField) -> None:
        super().__init__(reference.model, reference.pair_potential)
        self.train(reference.training)
        self._programs: dict[tuple[Any, ...], Callable[..., tuple[Tensor, ...]]] = {}

    def forward(
        self,
        positions: Tensor,
        species: Tensor,
        edge_index: Tensor,
        edge_shift: Tensor,
        cell: Tensor,
        batch: Tensor,
        num_local: int | None = None,
    ) -> Prediction:
        """Predict a batch; arguments and result as those of `ForceField`, but all energies count."""
        inputs = _with_companion(positions, species, edge_index, edge_shift, cell, batch)
        weights = dict(self.named_parameters())
        key = self.training, positions.device, tuple(weights)  # adapters come and go
        if key not in self._programs:
            logger.info(
                "compiling the model for %s, once in this process: this takes minutes",
                "training" if self.training else "evaluation",
            )
            self._programs[key] = torch.compile(
                self._trace(weights, positions.device), dynamic=True, fullgraph=True
            )
        # Any sizes: two that are equal in the first call, too, and how many atoms a species has.
        sizes = symbolic_shapes.patch(  # type: ignore[attr-defined]  # torch adds it at import
            use_duck_shape=False, backed_size_oblivious=True
        )
        dynamic = torch._dynamo.config.patch(capture_dynamic_output_shape_ops=True)
        with torch.set_grad_enabled(self.training), sizes, dynamic:
            found = Prediction(*self._programs[key](*inputs, *weights.values()))
        atoms = len(species)
        return Prediction(
            found.energy[: len(cell)],
            found.atomic_energies[:atoms],
            found.forces[:atoms],
            found.virial[: len(cell)],
            found.descriptors[:atoms],
            found.edge_gradient[: edge_index.shape[1]],
        )

    def __getstate__(self) -> dict[str, Any]:
        """Copies compile for themselves: programs are no data."""
        return self.__dict__ | {"_programs": {}}

    def _trace(self, weights: Mapping[str, Tensor], device: torch.device) -> GraphModule:
        """The reference as a graph of its inputs, followed by its weights."""
        reference = ForceField(self.model, self.pair_potential)
        reference.training = self.training
        inputs = sample_inputs(device)

        def predict(*tensors: Tensor) -> tuple[Tensor, ...]:
            given = dict(zip(weights, tensors[len(inputs) :], strict=True))
            prediction: Prediction = functional_call(reference, given, tensors[: len(inputs)])
            return tuple(prediction)

        return trace(predict, [*inputs, *weights.values()])


def require_inductor(device: torch.device) -> None:
    """Refuse a device for which Inductor cannot compile here.

    Raises:
        ConfigError: There is no C++ compiler, or on CUDA no Triton.
    """
    if find_compiler() is None:
        raise ConfigError(
            "found kernel=compiled, but no C++ compiler; expected g++ (or CXX=...): install it, "
            "or set kernel=reference"
        )
    if device.type == "cuda" and find_spec("triton") is None:
        raise ConfigError(
            f"found kernel=compiled on {device}, but no triton; pip install triton, or set kernel=reference"
        )


def _with_companion(
    positions: Tensor, species: Tensor, edge_index: Tensor, edge_shift: Tensor, cell: Tensor, batch: Tensor
) -> tuple[Tensor, ...]:
    """A batch and one more structure: two atoms and their two edges."""
    first = len(species)
    pair = torch.tensor([first, first + 1], device=edge_index.device)
    return (
        torch.cat([positions, _COMPANION.to(positions.device)]),
        torch.cat([species, torch.zeros_like(pair)]),
        torch.cat([edge_index, torch.stack([pair, pair.flip(0)])], dim=1),
        torch.cat([edge_shift, edge_shift.new_zeros(2, 3)]),
        torch.cat([cell, cell.new_zeros(1, 3, 3)]),
        torch.cat([batch, torch.full_like(pair, len(cell))]),
    )
