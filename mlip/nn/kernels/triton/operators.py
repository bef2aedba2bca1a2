"""The interaction as torch operators on a GPU: generated Triton kernels, differentiable twice.

`triton_op` shows AOTInductor the kernels behind the operators, so that they go into a `.pt2`.
With TRITON_INTERPRET=1 in the environment before triton is imported, all runs on the CPU, slowly.
"""

from typing import Any

import torch
from torch import Tensor
from torch.library import triton_op

from mlip.nn.kernels.triton.layers import find_layer, launch


@triton_op("vitreous_triton::interaction", mutates_args=())
def interaction(
    x: Tensor,
    y: Tensor,
    w: Tensor,
    centre: Tensor,
    neighbor: Tensor,
    start: Tensor,
    incoming: Tensor,
    incoming_start: Tensor,
    kernel: str,
) -> Tensor:
    """Messages (N, result) summed at each centre.

    Args:
        x: (N, features) features.
        y: (E, S) harmonics.
        w: (E, weights) radial weights.
        centre: (E,) sorted.
        neighbor: (E,)
        start: (N + 1,) first edge of each centre.
        incoming: (E,) edges in the order of their neighbours.
        incoming_start: (N + 1,) first of them of each neighbour.
        kernel: Name of the kernels, from `load_layer`.
    """
    layer = find_layer(kernel)
    x, y, w = x.contiguous(), y.contiguous(), w.contiguous()
    out = x.new_empty(x.shape[0], layer.result)
    launch(layer.kernels.forward, (x.shape[0], layer.parts), x, y, w, neighbor, out, start)
    return out


@triton_op("vitreous_triton::interaction_backward", mutates_args=())
def interaction_backward(
    g: Tensor,
    x: Tensor,
    y: Tensor,
    w: Tensor,
    centre: Tensor,
    neighbor: Tensor,
    start: Tensor,
    incoming: Tensor,
    incoming_start: Tensor,
    kernel: str,
    of_features: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of <g, interaction> by x, which are zeros unless `of_features`, y and w."""
    layer = find_layer(kernel)
    g, x, y, w = g.contiguous(), x.contiguous(), y.contiguous(), w.contiguous()
    grid = (x.shape[0], layer.parts)
    gx, gw = torch.zeros_like(x), torch.empty_like(w)
    gy = y.new_empty(y.shape[0], layer.parts, y.shape[1])
    launch(layer.kernels.backward_edges, grid, g, x, y, w, neighbor, gy, gw, start)
    if of_features:
        launch(layer.kernels.backward_nodes, grid, g, y, w, centre, incoming, gx, incoming_start)
    return gx, gy.sum(dim=1), gw


@triton_op("vitreous_triton::interaction_second", mutates_args=())
def interaction_second(
    hx: Tensor,
    hy: Tensor,
    hw: Tensor,
    g: Tensor,
    x: Tensor,
    y: Tensor,
    w: Tensor,
    centre: Tensor,
    neighbor: Tensor,
    start: Tensor,
    incoming: Tensor,
    incoming_start: Tensor,
    kernel: str,
    of_features: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of <hx, gx> + <hy, gy> + <hw, gw> by g, x, which are zeros unless `of_features`, y and w."""
    layer = find_layer(kernel)
    g, x, y, w = g.contiguous(), x.contiguous(), y.contiguous(), w.contiguous()
    hx, hy, hw = hx.contiguous(), hy.contiguous(), hw.contiguous()
    grid = (x.shape[0], layer.parts)
    dg, dx, dw = torch.empty_like(g), torch.zeros_like(x), torch.empty_like(w)
    dy = y.new_empty(y.shape[0], layer.parts, y.shape[1])
    launch(layer.kernels.second_edges, grid, g, x, y, w, hx, hy, hw, neighbor, dg, dy, dw, start)
    if of_features:
        launch(layer.kernels.second_nodes, grid, g, y, w, hy, hw, centre, incoming, dx, incoming_start)
    return dg, dx, dy.sum(dim=1), dw


@interaction.register_fake
def _(x: Tensor, y: Tensor, w: Tensor, *rest: Tensor | str | bool) -> Tensor:
    return x.new_empty(x.shape[0], find_layer(str(rest[-1])).result)


@interaction_backward.register_fake
def _(
    g: Tensor, x: Tensor, y: Tensor, w: Tensor, *rest: Tensor | str | bool
) -> tuple[Tensor, Tensor, Tensor]:
    return _like(x), _like(y), _like(w)


@interaction_second.register_fake
def _(
    hx: Tensor, hy: Tensor, hw: Tensor, g: Tensor, x: Tensor, y: Tensor, w: Tensor, *rest: Tensor | str | bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return _like(g), _like(x), _like(y), _like(w)


def _like(tensor: Tensor) -> Tensor:
    return tensor.new_empty(tensor.shape)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:-1])
    ctx.kernel = inputs[-1]


def _first(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    of_features = ctx.needs_input_grad[0]
    gx, gy, gw = interaction_backward(g, *ctx.saved_tensors, ctx.kernel, of_features)
    return gx if of_features else None, gy, gw, *[None] * 6


def _save_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(*inputs[:-2])
    ctx.kernel = inputs[-2]


def _second(ctx: Any, hx: Tensor, hy: Tensor, hw: Tensor) -> tuple[Tensor | None, ...]:
    of_features = ctx.needs_input_grad[1]
    dg, dx, dy, dw = interaction_second(hx, hy, hw, *ctx.saved_tensors, ctx.kernel, of_features)
    return dg, dx if of_features else None, dy, dw, *[None] * 7


interaction.register_autograd(_first, setup_context=_save)
interaction_backward.register_autograd(_second, setup_context=_save_backward)
