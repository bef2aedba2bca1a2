"""Low-rank adapters: weights that change by a product of two thin matrices while they are trained."""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from mlip.nn.linear import EquivariantLinear, SelfConnection
from mlip.nn.mlp import ScalarMLP

# Rows and columns of each matrix in a weight, one after the other.
Matrices = list[tuple[int, int]]


class LowRankChange(nn.Module):
    """W -> W + change, the change of each matrix in W being left @ right of a given rank.

    `right` starts as zeros: at first W is what it was, to the last bit. A matrix with no more numbers than
    its two factors would have is changed as a whole: its `left` is the identity and stays.

    Args:
        weight: W; the matrices lie one after the other in it.
        matrices: Their rows and columns.
        rank: Columns of `left`.

    Source: Hu et al. 2022, LoRA (arXiv 2106.09685), eq. 3.
    """

    def __init__(self, weight: Tensor, matrices: Matrices, rank: int) -> None:
        super().__init__()
        self.left, self.right = nn.ParameterList(), nn.ParameterList()
        for rows, columns in matrices:
            if rank * (rows + columns) < rows * columns:
                left = nn.Parameter(torch.randn(rows, rank).to(weight) * rank**-0.5)
            else:
                left = nn.Parameter(torch.eye(rows).to(weight), requires_grad=False)
            self.left.append(left)
            self.right.append(nn.Parameter(torch.zeros(left.shape[1], columns).to(weight)))

    def forward(self, weight: Tensor) -> Tensor:
        """The changed weight, of the same shape."""
        changes = [(left @ right).view(-1) for left, right in zip(self.left, self.right, strict=True)]
        return weight + torch.cat(changes).view_as(weight)


def add_adapters(model: nn.Module, rank: int) -> None:
    """Give each trainable weight matrix of a model a low-rank change, and train nothing else of it.

    Matrices are those of perceptrons, of equivariant linear maps (one per irrep: channels mix, components do
    not, so the sum is as equivariant as the parts) and of self-connections.

    Args:
        model: Changed in place; parameters that take no gradient get no adapter.
        rank: Of the changes.
    """
    weights = [
        (owner, name, matrices)
        for module in model.modules()
        for owner, name, matrices in _weights_of(module)
        if getattr(owner, name).requires_grad
    ]
    model.requires_grad_(False)
    for owner, name, matrices in weights:
        change = LowRankChange(getattr(owner, name), matrices, rank)
        parametrize.register_parametrization(owner, name, change)


def merge_adapters(model: nn.Module) -> None:
    """Make the changed weights ordinary ones; a model without adapters stays as it is."""
    for module in list(model.modules()):
        if parametrize.is_parametrized(module):
            for name in list(module.parametrizations):  # type: ignore[arg-type]
                parametrize.remove_parametrizations(module, name, leave_parametrized=True)


def _weights_of(module: nn.Module) -> list[tuple[nn.Module, str, Matrices]]:
    """Owner, name and matrices of each weight that a module itself holds."""
    if isinstance(module, ScalarMLP):
        return [
            (module.weights, str(layer), [(weight.shape[0], weight.shape[1])])
            for layer, weight in enumerate(module.weights)
        ]
    if isinstance(module, EquivariantLinear | SelfConnection):
        attributes = module.num_attributes if isinstance(module, SelfConnection) else 1
        blocks = sorted((start, n_in, n_out) for _, n_in, n_out, _, start in module.blocks if n_in > 0)
        return [(module, "weight", [(n_in * attributes, n_out) for _, n_in, n_out in blocks])]
    return []
