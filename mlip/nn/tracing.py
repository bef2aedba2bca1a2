"""A force field as one graph of tensor operations, its gradient unrolled: what compilers start from."""

from collections.abc import Callable, Sequence

import torch
from ase import Atoms
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.experimental import _config as symbolic_shapes
from torch.fx.experimental.proxy_tensor import make_fx

from mlip.data.graph import build_graph, collate


def trace(function: Callable[..., tuple[Tensor, ...]], inputs: Sequence[Tensor]) -> GraphModule:
    """Trace a function together with the gradients that it takes, for any sizes.

    Compilers cannot see through the gradient that makes the forces; in the traced graph it is a row of plain
    operations like all others, which may be differentiated once more.

    Args:
        function: Of tensors.
        inputs: To trace it with; a size that may be another one later must be neither 0 nor 1 here.

    Returns:
        The graph; tensors that the function owns are its constants.
    """
    # Two inputs that happen to have the same size here may differ later; torch adds `patch` at import.
    any_sizes = symbolic_shapes.patch(use_duck_shape=False)  # type: ignore[attr-defined]
    with torch.enable_grad(), any_sizes:
        return make_fx(function, tracing_mode="symbolic", _allow_non_fake_inputs=True)(*inputs)


def sample_inputs(device: torch.device) -> tuple[Tensor, ...]:
    """What a `ForceField` is called with: two structures of different sizes, of the first species."""
    pair = Atoms("H2", positions=[[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]], cell=[2.5, 9.0, 9.0], pbc=True)
    trimer = Atoms("H3", positions=[[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.9, 0.0, 0.0]])
    return collate([build_graph(atoms, 3.0, ("H",)) for atoms in (pair, trimer)]).to(device).inputs
