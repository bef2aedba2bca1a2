"""Triton source of an interaction whose weights are looked up in a table inside the loop over edges.

For inference: an edge brings its length, and no row of weights is ever stored.
"""

from collections.abc import Sequence

from mlip.nn.kernels.couplings import Block, sum_of
from mlip.nn.kernels.triton.frame import Kernel, Layer, generate_kernels
from mlip.nn.kernels.triton.generate_interaction import backward_edges, backward_nodes, forward
from mlip.nn.tensor_product import PathLayout


def generate_triton_tabulated(paths: Sequence[PathLayout], features: int, result: int, pieces: int) -> str:
    """The source of the Triton kernels forward, backward_edges and backward_nodes.

    Args:
        paths: All paths; those of one input irrep in a row.
        features: Width of a row of features.
        result: Width of a row of the result.
        pieces: Pieces of the table between x = 0 and 1, one row each, and a row of zeros for beyond; a row
            holds, path after path, (4, mul) coefficients of 1, t, t^2, t^3, where t runs from 0 to 1.
    """
    kernels = (
        Kernel(
            "forward",
            ("x", "y", "lengths", "table", "neighbor", "out"),
            False,
            lambda layer, block: forward(layer, block, _look_up(layer, block, pieces)),
        ),
        Kernel(
            "backward_edges",
            ("g", "x", "y", "lengths", "table", "neighbor", "gy", "glengths"),
            False,
            lambda layer, block: backward_edges(
                layer,
                block,
                _look_up(layer, block, pieces) + _slopes(block),
                lambda terms: _store_lengths(layer, pieces, terms),
            ),
        ),
        Kernel(
            "backward_nodes",
            ("g", "y", "lengths", "table", "centre", "incoming", "gx"),
            True,
            lambda layer, block: backward_nodes(layer, block, _look_up(layer, block, pieces)),
        ),
    )
    return generate_kernels(kernels, paths, features, result)


def _look_up(layer: Layer, block: Block, pieces: int) -> list[str]:
    """Weights of an edge."""
    lines = [
        f"position = tl.minimum(tl.load(lengths + e, mask=inside, other=1.0), 1.0) * {pieces}.0",
        "piece = tl.floor(position)",
        "t = (position - piece).to(y.dtype.element_ty)",
        f"at_w = piece.to(tl.int64) * {4 * layer.weights} + c",
    ]
    for p, (path, _) in enumerate(block):
        for power in range(4):
            place = 4 * path.weight_start + power * path.mul
            lines.append(f"c{p}_{power} = tl.load(table + at_w + {place}, mask=here, other=0.0)")
        lines.append(f"w{p} = c{p}_0 + t * (c{p}_1 + t * (c{p}_2 + t * c{p}_3))")
    return lines


def _slopes(block: Block) -> list[str]:
    """Derivatives of the weights by t."""
    return [f"dw{p} = c{p}_1 + t * (2.0 * c{p}_2 + 3.0 * (t * c{p}_3))" for p in range(len(block))]


def _store_lengths(layer: Layer, pieces: int, terms: dict[int, list[str]]) -> list[str]:
    """Sum the gradients of all weights, times their slopes, into this part's gradient of the length."""
    along = sum_of(f"dw{p} * ({sum_of(of_path)})" for p, of_path in terms.items())
    return [
        f"by_length = tl.sum({along}, axis=1, keep_dims=True) * {pieces}.0",
        f"tl.store(glengths + e * {layer.parts} + part, by_length, mask=inside)",
    ]
