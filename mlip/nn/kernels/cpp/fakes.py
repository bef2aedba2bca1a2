"""Shapes of what the compiled operators return, for those who trace a model with symbolic sizes.

Only for inference: operators and their first derivatives. How wide results are, the kernels know: they are
asked by a call without any atoms and edges.
"""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from mlip.nn.kernels.cpp.load import load_operators


@cache
def register_fakes() -> None:
    """Let the operators be traced; once per process.

    Raises:
        ConfigError: The operators cannot be compiled.
    """
    load_operators()
    for name, function in FAKES.items():
        torch.library.register_fake(f"vitreous::{name}", function)


def _index_edges(
    edge_index: Tensor, edge_vec: Tensor, num_atoms: int, share: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Where rows are shared, their number is known only at run time."""
    num_edges = edge_index.shape[1]
    num_rows = torch.library.get_ctx().new_dynamic_size() if share else num_edges
    sizes = (num_atoms + 1, num_edges, num_rows)
    start, weight_row, row_edge = (edge_index.new_empty(size) for size in sizes)
    return start, weight_row, row_edge


def _edge_function(
    vec: Tensor, edge: Tensor | None, scale: Tensor, kernel: str, dtype: torch.dtype
) -> Tensor:
    with _disable_current_modes():
        one = torch.ones(1, dtype=torch.float64)
        none = torch.empty(0, 3, dtype=torch.float64)
        width = torch.ops.vitreous.edge_function(none, None, one, kernel, dtype).shape[1]
    return vec.new_empty((vec if edge is None else edge).shape[0], width, dtype=dtype)


def _interaction(
    x: Tensor, y: Tensor, w: Tensor, start: Tensor, neighbor: Tensor, weight_row: Tensor, kernel: str
) -> Tensor:
    with _disable_current_modes():
        edges = (_starts(), _integers(), _integers())
        result = torch.ops.vitreous.interaction(_no_rows(x), _no_rows(y), _no_rows(w), *edges, kernel)
    return x.new_empty(x.shape[0], result.shape[1])


def _tabulated_interaction(
    x: Tensor, y: Tensor, length: Tensor, table: Tensor, start: Tensor, neighbor: Tensor, kernel: str
) -> Tensor:
    with _disable_current_modes():
        numbers = (_no_rows(x), _no_rows(y), _no_rows(length), torch.zeros(table.shape, dtype=table.dtype))
        result = torch.ops.vitreous.tabulated_interaction(*numbers, _starts(), _integers(), kernel)
    return x.new_empty(x.shape[0], result.shape[1])


def _environment(
    x: Tensor, w: Tensor, y: Tensor, paths: Tensor, scale: Tensor, start: Tensor, kernel: str
) -> tuple[Tensor, Tensor]:
    with _disable_current_modes():
        numbers = (_no_rows(x), _no_rows(w), _no_rows(y), torch.zeros(paths.shape, dtype=paths.dtype))
        results = torch.ops.vitreous.environment(*numbers, _no_rows(scale), _starts(), kernel)
    result, scalars = (x.new_empty(x.shape[0], each.shape[1]) for each in results)
    return result, scalars


def _dense(x: list[Tensor], w: Tensor, widths: list[int], activated: bool, kernel: str) -> list[Tensor]:
    before_activation = [w.shape[1]] if activated else []
    return [w.new_empty(x[0].shape[0], width) for width in (*widths, *before_activation)]


def _dense_backward(
    g: list[Tensor], x: list[Tensor], w: Tensor, z: Tensor, activated: bool, kernel: str, by_w: bool
) -> list[Tensor]:
    return [*map(_like, x), _like(w) if by_w else w.new_empty(0)]


def _like(tensor: Tensor) -> Tensor:
    return tensor.new_empty(tensor.shape)


def _no_rows(tensor: Tensor) -> Tensor:
    """A tensor of numbers, as wide, without rows."""
    return torch.empty((0, *tensor.shape[1:]), dtype=tensor.dtype)


def _starts() -> Tensor:
    """First edges of no centres."""
    return torch.zeros(1, dtype=torch.int64)


def _integers() -> Tensor:
    return torch.empty(0, dtype=torch.int64)


FAKES: dict[str, Callable[..., object]] = {
    "index_edges": _index_edges,
    "edge_function": _edge_function,
    "edge_function_backward": lambda g, vec, *_: _like(vec),
    "interaction": _interaction,
    "interaction_backward": lambda g, x, y, w, *_: (_like(x), _like(y), _like(w)),
    "tabulated_interaction": _tabulated_interaction,
    "tabulated_interaction_backward": lambda g, x, y, length, *_: (_like(x), _like(y), _like(length)),
    "node_linear": lambda x, species, w, w_back, blocks, blocks_back, result, kernel: x.new_empty(
        x.shape[0], result
    ),
    "environment": _environment,
    "environment_backward": lambda g, s, x, w, y, paths, *_: (_like(x), _like(w), _like(y), _like(paths)),
    "dense": _dense,
    "dense_backward": _dense_backward,
    "paired": lambda x, matrices, *_: x.new_empty(x.shape[0], matrices.shape[2]),
    "paired_backward": lambda g, x, matrices, pair, kernel, by_m: (
        _like(x),
        _like(matrices) if by_m else matrices.new_empty(0),
    ),
}
