"""Radial functions in a table: for inference, what a perceptron makes of an edge's length as cubic pieces.

A perceptron that sees nothing but x = r / cutoff is a set of curves of x. They are evaluated once, in
float64, at equidistant knots; in between runs the cubic polynomial that has their values and slopes at both
ends, so that energies are smooth to the first derivative and forces are exactly theirs.
"""

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import torch
from torch import Tensor, nn

from mlip.errors import ConfigError
from mlip.nn.kernels.edges import SeparateEdges
from mlip.nn.mlp import ScalarMLP
from mlip.nn.radial import BesselBasis
from mlip.nn.tensor_product import EdgeTensorProduct

PIECES = 512  # between x = 0 and 1; errors fall with the fourth power, but 1024 leave the processor's cache


class RelativeLengths(nn.Module):
    """x = r / cutoff of edges, in the place of a `BesselBasis`."""

    def forward(self, edge_vec: Tensor, edge: Tensor, inverse_cutoffs: Tensor) -> Tensor:
        """Map edge vectors (E, 3), the edge (R,) of each row and 1 / A (R,) or (1,) to (R, 1), float64."""
        lengths = torch.linalg.vector_norm(edge_vec.index_select(0, edge), dim=1)
        return (lengths * inverse_cutoffs).unsqueeze(-1)


class RadialTable(nn.Module):
    """Curves of x as cubic Hermite pieces, zero from x = 1 on; in the place of a radial `ScalarMLP`.

    Args:
        coefficients: (pieces + 1, 4, W) of 1, t, t^2, t^3, where t runs from 0 to 1 over a piece; the last
            piece, beyond x = 1, holds zeros. Powers of t, and no values and slopes at knots: in float32 their
            derivative loses no digits to differences of nearby numbers.
    """

    coefficients: Tensor

    def __init__(self, coefficients: Tensor) -> None:
        super().__init__()
        self.pieces = coefficients.shape[0] - 1
        self.register_buffer("coefficients", coefficients, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map relative lengths (R, 1), float64, to weights (R, W)."""
        position = torch.where(x < 1.0, x, torch.ones_like(x)) * self.pieces
        piece = position.detach().floor().to(torch.int64)
        t = (position - piece).to(self.coefficients.dtype)
        piece = piece.squeeze(-1)
        weights = self.coefficients[:, 3].index_select(0, piece)
        for power in (2, 1, 0):
            weights = self.coefficients[:, power].index_select(0, piece) + t * weights
        return weights

    def by_path(self, product: EdgeTensorProduct) -> Tensor:
        """Coefficients (pieces + 1, 4 W) as fused products read them: path after path, (4, mul) each."""
        of_paths = self.coefficients.split([path.mul for path in product.layouts], dim=2)
        return torch.cat([coefficients.flatten(1) for coefficients in of_paths], dim=1)


def tabulate(model: nn.Module) -> None:
    """Exchange radial basis and perceptrons of a model, in place, for tables; it can be trained no more.

    Args:
        model: With reference modules.

    Raises:
        ConfigError: The model's perceptrons see more than an edge's length.
    """
    layers = [module for module in model.modules() if type(getattr(module, "radial_mlp", None)) is ScalarMLP]
    if not layers:
        raise ConfigError(
            f"found radial=table for {type(model).__name__}; expected NequIP, whose radial functions see "
            "lengths alone; leave radial out"
        )
    basis = cast(BesselBasis, model.get_submodule("radial_basis"))
    for layer in layers:
        layer.radial_mlp = tabulate_radial(basis, cast(ScalarMLP, layer.radial_mlp))
    model.set_submodule("radial_basis", RelativeLengths())


def fuse_tables(model: nn.Module, fuse: Callable[[EdgeTensorProduct, RadialTable], nn.Module]) -> None:
    """Let a model's products, in place, look up weights by themselves wherever they come from a table.

    Args:
        model: With reference modules.
        fuse: From a product and the table of its weights to a module that does the work of both.

    Raises:
        ConfigError: A kernel cannot be compiled.
    """
    layers = [
        module for module in model.modules() if type(getattr(module, "radial_mlp", None)) is RadialTable
    ]
    if not layers:
        return
    with ThreadPoolExecutor() as pool:  # compilers run side by side
        products = list(pool.map(lambda layer: fuse(layer.tensor_product, layer.radial_mlp), layers))
    for layer, product in zip(layers, products, strict=True):
        layer.tensor_product, layer.radial_mlp = product, nn.Identity()  # lengths pass through
    for module in model.modules():
        if type(module) is SeparateEdges:
            module.may_share = False  # there are no weights to share


def tabulate_radial(basis: BesselBasis, perceptron: ScalarMLP, pieces: int = PIECES) -> RadialTable:
    """The table of one perceptron, evaluated in float64.

    Args:
        basis: What the perceptron sees.
        perceptron: From the basis to W weights.
        pieces: Number of cubic pieces between x = 0 and 1.
    """
    dtype = perceptron.weights[0].dtype
    basis, perceptron = copy.deepcopy(basis).double(), copy.deepcopy(perceptron).double()
    basis.dtype = torch.float64
    knots = torch.linspace(0.0, 1.0, pieces + 1, dtype=torch.float64, device=basis.frequencies.device)
    with torch.no_grad():
        values = torch.func.jvp(
            lambda x: perceptron(basis.at(x.unsqueeze(-1))), (knots,), (torch.full_like(knots, 1.0 / pieces),)
        )
    at_knots, slopes = values[0], values[1]
    start, slope, end_slope, rise = at_knots[:-1], slopes[:-1], slopes[1:], at_knots.diff(dim=0)
    coefficients = torch.stack(
        [start, slope, 3.0 * rise - 2.0 * slope - end_slope, slope + end_slope - 2.0 * rise]
    )
    beyond = torch.zeros_like(coefficients[:, :1])
    return RadialTable(torch.cat([coefficients, beyond], dim=1).transpose(0, 1).contiguous().to(dtype))
