"""Triton source of one interaction on a GPU: its couplings unrolled over tiles of edges and channels."""

from collections import defaultdict
from collections.abc import Callable, Sequence

from mlip.nn.kernels.couplings import Block, sum_of
from mlip.nn.kernels.triton.frame import Body, Kernel, Layer, generate_kernels
from mlip.nn.kernels.triton.lines import (
    combine,
    components,
    load_features,
    load_forms,
    load_gradients,
    results,
    store_features,
    store_harmonics,
    store_sums,
)
from mlip.nn.tensor_product import PathLayout


def generate_triton(paths: Sequence[PathLayout], features: int, result: int) -> str:
    """The source of an interaction's Triton kernels: forward, backward_*, second_*.

    Args:
        paths: All paths; those of one input irrep in a row.
        features: Width of a row of features.
        result: Width of a row of the result.
    """
    return generate_kernels(KERNELS, paths, features, result)


def _load_weights(layer: Layer, block: Block, *names: str) -> list[str]:
    return [f"at_w = e * {layer.weights} + c"] + [
        f"{name}{number} = tl.load({name} + at_w + {path.weight_start}, mask=here, other=0.0)"
        for name in names
        for number, (path, _) in enumerate(block)
    ]


def _store_weights(block: Block, name: str, terms: dict[int, list[str]]) -> list[str]:
    return [
        f"tl.store({name} + at_w + {path.weight_start}, {sum_of(terms[number])}, mask=here)"
        for number, (path, _) in enumerate(block)
    ]


def forward(layer: Layer, block: Block, weights: list[str]) -> Body:
    """Sum messages, with weights that the given lines set."""
    body = Body([f"out{k} = zero" for k, _, _, _ in results(block)])
    body.each += load_forms(layer, block, "y", "m") + load_features(block, "x") + weights
    for k, p, _, row in results(block):
        body.each.append(f"out{k} += w{p} * ({sum_of(combine(row, 'm', 'x'))})")
    body.after += store_sums((f"out{k}", "out", place) for k, _, place, _ in results(block))
    return body


def backward_edges(
    layer: Layer, block: Block, weights: list[str], store: Callable[[dict[int, list[str]]], list[str]]
) -> Body:
    """Gradients of harmonics and weights.

    Args:
        layer: The layer.
        block: An input irrep's paths.
        weights: Lines that set the weights.
        store: From each path's terms of the gradient of its weights to the lines that store it.
    """
    body = Body(load_gradients(block, "at_node", "present"))
    body.each += load_forms(layer, block, "y", "m") + load_features(block, "x") + weights
    gradients: dict[int, list[str]] = defaultdict(list)
    by_weight: dict[int, list[str]] = defaultdict(list)
    for k, p, _, row in results(block):
        body.each.append(f"wg{k} = w{p} * g{k}")
        by_weight[p].append(f"g{k} * ({sum_of(combine(row, 'm', 'x'))})")
        for a, entry in row:
            gradients[entry.form].append(f"{entry.sign}wg{k} * x{a}")
    body.each += store(by_weight) + store_harmonics(layer, block, "gy", gradients)
    return body


def backward_nodes(layer: Layer, block: Block, weights: list[str]) -> Body:
    """Gradients of features, gathered from the edges that arrive, with weights that the given lines set."""
    body = Body([f"gx{a} = zero" for a in components(block)])
    body.each += load_forms(layer, block, "y", "m") + weights
    body.each += load_gradients(block, "at_g", "here")
    for k, p, _, row in results(block):
        body.each.append(f"wg{k} = w{p} * g{k}")
        body.each += [f"gx{a} += {entry.sign}m{entry.form} * wg{k}" for a, entry in row]
    body.after += store_features(block, "gx")
    return body


def _second_edges(layer: Layer, block: Block) -> Body:
    body = Body(
        load_gradients(block, "at_node", "present") + [f"dg{k} = zero" for k, _, _, _ in results(block)]
    )
    body.each += load_forms(layer, block, "y", "m") + load_forms(layer, block, "hy", "hm")
    body.each += load_features(block, "x") + load_features(block, "hx")
    body.each += _load_weights(layer, block, "w", "hw")
    gradients: dict[int, list[str]] = defaultdict(list)
    by_weight: dict[int, list[str]] = defaultdict(list)
    for k, p, _, row in results(block):
        both = combine(row, "m", "hx") + combine(row, "hm", "x")
        body.each += [
            f"s{k} = {sum_of(both)}",
            f"dg{k} += w{p} * s{k} + hw{p} * ({sum_of(combine(row, 'm', 'x'))})",
            f"wg{k} = w{p} * g{k}",
            f"hg{k} = hw{p} * g{k}",
        ]
        by_weight[p].append(f"g{k} * s{k}")
        for a, entry in row:
            gradients[entry.form] += [f"{entry.sign}wg{k} * hx{a}", f"{entry.sign}hg{k} * x{a}"]
    body.each += _store_weights(block, "dw", by_weight) + store_harmonics(layer, block, "dy", gradients)
    body.after += store_sums((f"dg{k}", "dg", place) for k, _, place, _ in results(block))
    return body


def _second_nodes(layer: Layer, block: Block) -> Body:
    body = Body([f"dx{a} = zero" for a in components(block)])
    body.each += load_forms(layer, block, "y", "m") + load_forms(layer, block, "hy", "hm")
    body.each += _load_weights(layer, block, "w", "hw")
    body.each += load_gradients(block, "at_g", "here")
    for k, p, _, row in results(block):
        body.each += [f"wg{k} = w{p} * g{k}", f"hg{k} = hw{p} * g{k}"]
        for a, entry in row:
            both = (f"{entry.sign}hm{entry.form} * wg{k}", f"{entry.sign}m{entry.form} * hg{k}")
            body.each.append(f"dx{a} += {sum_of(both)}")
    body.after += store_features(block, "dx")
    return body


KERNELS = (
    Kernel(
        "forward",
        ("x", "y", "w", "neighbor", "out"),
        False,
        lambda layer, block: forward(layer, block, _load_weights(layer, block, "w")),
    ),
    Kernel(
        "backward_edges",
        ("g", "x", "y", "w", "neighbor", "gy", "gw"),
        False,
        lambda layer, block: backward_edges(
            layer, block, _load_weights(layer, block, "w"), lambda terms: _store_weights(block, "gw", terms)
        ),
    ),
    Kernel(
        "backward_nodes",
        ("g", "y", "w", "centre", "incoming", "gx"),
        True,
        lambda layer, block: backward_nodes(layer, block, _load_weights(layer, block, "w")),
    ),
    Kernel(
        "second_edges",
        ("g", "x", "y", "w", "hx", "hy", "hw", "neighbor", "dg", "dy", "dw"),
        False,
        _second_edges,
    ),
    Kernel(
        "second_nodes",
        ("g", "y", "w", "hy", "hw", "centre", "incoming", "dx"),
        True,
        _second_nodes,
    ),
)
