"""Triton source of one interaction on a GPU: its couplings unrolled over tiles of edges and channels.

A program owns a node and a part: one input irrep and a chunk of its channels. It walks over the node's edges, a
tile of them at a time, and sums in registers: nothing is added to memory twice, so results never depend on the
order in which programs run. Sums over the edges that leave a node read them through `start`, sums over those
that arrive through `incoming`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from mlip.nn.kernels.couplings import Block, Entry, Form, couple, rows_of, sum_of
from mlip.nn.tensor_product import PathLayout

# Numbers of a tile: one per thread of the four warps that Triton gives a program, or two.
TILE = 128
MAX_CHANNELS = 64
MAX_EDGES = 32


@dataclass(frozen=True)
class _Layer:
    """Widths of the rows, and the linear forms of the harmonics."""

    features: int
    harmonics: int
    weights: int
    result: int
    parts: int
    forms: dict[Form, int]


@dataclass
class _Body:
    """Lines of a part before, in and after the loop over edges."""

    before: list[str] = field(default_factory=list)
    each: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Kernel:
    """A kernel: its name, its pointers, whether it walks the edges that arrive, and what its parts do."""

    name: str
    pointers: tuple[str, ...]
    arriving: bool
    body: Callable[[_Layer, Block], _Body]


def count_parts(paths: Sequence[PathLayout]) -> int:
    """Programs per node."""
    return sum(_chunks(block) for block in couple(paths)[1])


def generate_triton(paths: Sequence[PathLayout], features: int, result: int) -> str:
    """The source of an interaction's Triton kernels: forward, backward_*, second_*.

    Args:
        paths: All paths; those of one input irrep in a row.
        features: Width of a row of features.
        result: Width of a row of the result.
    """
    forms, blocks = couple(paths)
    layer = _Layer(
        features,
        paths[0].coupling.shape[0],
        sum(path.mul for path in paths),
        result,
        sum(map(_chunks, blocks)),
        forms,
    )
    lines = ["import triton", "import triton.language as tl"]
    for kernel in _KERNELS:
        first = 0
        for number, block in enumerate(blocks):
            lines += _part(kernel, layer, number, block, first)
            first += _chunks(block)
        lines += _entry_point(kernel, blocks)
    return "\n".join([*lines, ""])


def _channels(block: Block) -> int:
    """Channels of a tile: a power of two."""
    return min(1 << (block[0][0].mul - 1).bit_length(), MAX_CHANNELS)


def _edges(block: Block) -> int:
    return min(max(TILE // _channels(block), 4), MAX_EDGES)


def _chunks(block: Block) -> int:
    return -(-block[0][0].mul // _channels(block))


def _entry_point(kernel: _Kernel, blocks: list[Block]) -> list[str]:
    """The kernel that is launched: one program per node and part."""
    bounds = "incoming_start" if kernel.arriving else "start"
    lines = [
        "",
        "",
        "@triton.jit",
        f"def {kernel.name}({', '.join((*kernel.pointers, bounds))}):",
        "    node = tl.program_id(0).to(tl.int64)",
        "    part = tl.program_id(1)",
        f"    begin = tl.load({bounds} + node)",
        f"    end = tl.load({bounds} + node + 1)",
    ]
    last = 0
    for number, block in enumerate(blocks):
        last += _chunks(block)
        condition = "else:" if number == len(blocks) - 1 else f"if part < {last}:"
        prefix = "el" if number and condition != "else:" else ""
        call = f"{kernel.name}_{number}({', '.join(kernel.pointers)}, node, part, begin, end)"
        lines += [f"    {call}"] if len(blocks) == 1 else [f"    {prefix}{condition}", f"        {call}"]
    return lines


def _part(kernel: _Kernel, layer: _Layer, number: int, block: Block, first: int) -> list[str]:
    """The function of all parts of one input irrep."""
    body = kernel.body(layer, block)
    channels, edges, mul = _channels(block), _edges(block), block[0][0].mul
    walk = ["inside = at + lane < end"]
    if kernel.arriving:
        walk += [
            "e = tl.load(incoming + at + lane, mask=inside, other=0)",
            f"at_g = tl.load(centre + e, mask=inside, other=0) * {layer.result} + c",
        ]
    else:
        walk += [
            "e = at + lane",
            f"at_x = tl.load(neighbor + e, mask=inside, other=0) * {layer.features} + c",
        ]
    walk += [
        "here = inside & present",
        f"at_y = e * {layer.harmonics}",
        f"at_w = e * {layer.weights} + c",
    ]
    inner = [
        f"c = (part - {first}) * {channels} + tl.arange(0, {channels})[None, :]",
        f"present = c < {mul}",
        f"lane = tl.arange(0, {edges})[:, None]",
        f"zero = tl.zeros(({edges}, {channels}), w.dtype.element_ty)",
        f"at_node = node * {layer.features if kernel.arriving else layer.result} + c",
        *body.before,
        f"for at in range(begin, end, {edges}):",
        *(f"    {line}" for line in walk + body.each),
        *body.after,
    ]
    head = f"def {kernel.name}_{number}({', '.join(kernel.pointers)}, node, part, begin, end):"
    return ["", "", "@triton.jit", head, *(f"    {line}" for line in inner)]


def _components(block: Block) -> range:
    return range(block[0][0].coupling.shape[2])


def _results(block: Block) -> Iterable[tuple[str, int, list[tuple[int, Entry]]]]:
    """All components of the result that a block feeds: a label, their place in a row, their entries."""
    for number, (path, matrix) in enumerate(block):
        for k, row in rows_of(matrix).items():
            yield f"{number}_{k}", path.result_start + k * path.result_stride, row


def _combine(row: list[tuple[int, Entry]], forms: str, vector: str) -> list[str]:
    return [f"{entry.sign}{forms}{entry.form} * {vector}{a}" for a, entry in row]


def _load_features(block: Block, name: str) -> list[str]:
    path, _ = block[0]
    return [
        f"{name}{a} = tl.load({name} + at_x + {path.feature_start + a * path.mul}, mask=here, other=0.0)"
        for a in _components(block)
    ]


def _load_weights(block: Block, name: str) -> list[str]:
    return [
        f"{name}{number} = tl.load({name} + at_w + {path.weight_start}, mask=here, other=0.0)"
        for number, (path, _) in enumerate(block)
    ]


def _load_gradients(block: Block, at: str, mask: str) -> list[str]:
    """Gradients g of the result: of the node, once, or of the centre of each edge."""
    return [f"g{k} = tl.load(g + {at} + {place}, mask={mask}, other=0.0)" for k, place, _ in _results(block)]


def _used_forms(layer: _Layer, block: Block) -> dict[Form, int]:
    used = {entry.form for _, matrix in block for entry in matrix.values()}
    return {form: index for form, index in layer.forms.items() if index in used}


def _load_forms(layer: _Layer, block: Block, harmonics: str, forms: str) -> list[str]:
    """Load the harmonics that a block needs and combine them to its forms, one per edge."""
    used = _used_forms(layer, block)
    return [
        f"{harmonics}{b} = tl.load({harmonics} + at_y + {b}, mask=inside, other=0.0)"
        for b in sorted({b for form in used for b, _ in form})
    ] + [
        f"{forms}{index} = {sum_of(f'{value!r} * {harmonics}{b}' for b, value in form)}"
        for form, index in used.items()
    ]


def _store_harmonics(layer: _Layer, block: Block, name: str, gradients: dict[int, list[str]]) -> list[str]:
    """Sum the gradients of the forms over channels into this part's gradients of the harmonics."""
    lines = [f"gm{form} = {sum_of(terms)}" for form, terms in gradients.items()]
    terms: dict[int, list[str]] = defaultdict(list)
    for form, index in _used_forms(layer, block).items():
        for b, value in form:
            terms[b].append(f"{value!r} * gm{index}")
    place = f"{name} + (e * {layer.parts} + part) * {layer.harmonics}"
    for b in range(layer.harmonics):
        total = sum_of(terms[b]) if terms[b] else "zero"
        lines.append(f"tl.store({place} + {b}, tl.sum({total}, axis=1, keep_dims=True), mask=inside)")
    return lines


def _store_sums(sums: Iterable[tuple[str, str, int]]) -> list[str]:
    """Store sums over edges: (variable, pointer, place in the node's row)."""
    return [
        f"tl.store({pointer} + at_node + {place}, tl.sum({variable}, axis=0, keep_dims=True), mask=present)"
        for variable, pointer, place in sums
    ]


def _store_features(block: Block, name: str) -> list[str]:
    path, _ = block[0]
    return _store_sums((f"{name}{a}", name, path.feature_start + a * path.mul) for a in _components(block))


def _forward(layer: _Layer, block: Block) -> _Body:
    body = _Body([f"out{k} = zero" for k, _, _ in _results(block)])
    body.each += _load_forms(layer, block, "y", "m") + _load_features(block, "x") + _load_weights(block, "w")
    for k, _, row in _results(block):
        body.each.append(f"out{k} += w{_path_of(k)} * ({sum_of(_combine(row, 'm', 'x'))})")
    body.after += _store_sums((f"out{k}", "out", place) for k, place, _ in _results(block))
    return body


def _path_of(label: str) -> str:
    return label.partition("_")[0]


def _backward_edges(layer: _Layer, block: Block) -> _Body:
    body = _Body(_load_gradients(block, "at_node", "present"))
    body.each += _load_forms(layer, block, "y", "m") + _load_features(block, "x") + _load_weights(block, "w")
    gradients: dict[int, list[str]] = defaultdict(list)
    by_weight: dict[str, list[str]] = defaultdict(list)
    for k, _, row in _results(block):
        body.each.append(f"wg{k} = w{_path_of(k)} * g{k}")
        by_weight[_path_of(k)].append(f"g{k} * ({sum_of(_combine(row, 'm', 'x'))})")
        for a, entry in row:
            gradients[entry.form].append(f"{entry.sign}wg{k} * x{a}")
    body.each += _store_weights(block, "gw", by_weight) + _store_harmonics(layer, block, "gy", gradients)
    return body


def _store_weights(block: Block, name: str, terms: dict[str, list[str]]) -> list[str]:
    return [
        f"tl.store({name} + at_w + {path.weight_start}, {sum_of(terms[str(number)])}, mask=here)"
        for number, (path, _) in enumerate(block)
    ]


def _backward_nodes(layer: _Layer, block: Block) -> _Body:
    body = _Body([f"gx{a} = zero" for a in _components(block)])
    body.each += _load_forms(layer, block, "y", "m") + _load_weights(block, "w")
    body.each += _load_gradients(block, "at_g", "here")
    for k, _, row in _results(block):
        body.each.append(f"wg{k} = w{_path_of(k)} * g{k}")
        body.each += [f"gx{a} += {entry.sign}m{entry.form} * wg{k}" for a, entry in row]
    body.after += _store_features(block, "gx")
    return body


def _second_edges(layer: _Layer, block: Block) -> _Body:
    body = _Body(
        _load_gradients(block, "at_node", "present") + [f"dg{k} = zero" for k, _, _ in _results(block)]
    )
    body.each += _load_forms(layer, block, "y", "m") + _load_forms(layer, block, "hy", "hm")
    body.each += _load_features(block, "x") + _load_features(block, "hx")
    body.each += _load_weights(block, "w") + _load_weights(block, "hw")
    gradients: dict[int, list[str]] = defaultdict(list)
    by_weight: dict[str, list[str]] = defaultdict(list)
    for k, _, row in _results(block):
        p = _path_of(k)
        both = _combine(row, "m", "hx") + _combine(row, "hm", "x")
        body.each += [
            f"s{k} = {sum_of(both)}",
            f"dg{k} += w{p} * s{k} + hw{p} * ({sum_of(_combine(row, 'm', 'x'))})",
            f"wg{k} = w{p} * g{k}",
            f"hg{k} = hw{p} * g{k}",
        ]
        by_weight[p].append(f"g{k} * s{k}")
        for a, entry in row:
            gradients[entry.form] += [f"{entry.sign}wg{k} * hx{a}", f"{entry.sign}hg{k} * x{a}"]
    body.each += _store_weights(block, "dw", by_weight) + _store_harmonics(layer, block, "dy", gradients)
    body.after += _store_sums((f"dg{k}", "dg", place) for k, place, _ in _results(block))
    return body


def _second_nodes(layer: _Layer, block: Block) -> _Body:
    body = _Body([f"dx{a} = zero" for a in _components(block)])
    body.each += _load_forms(layer, block, "y", "m") + _load_forms(layer, block, "hy", "hm")
    body.each += _load_weights(block, "w") + _load_weights(block, "hw")
    body.each += _load_gradients(block, "at_g", "here")
    for k, _, row in _results(block):
        p = _path_of(k)
        body.each += [f"wg{k} = w{p} * g{k}", f"hg{k} = hw{p} * g{k}"]
        for a, entry in row:
            both = (f"{entry.sign}hm{entry.form} * wg{k}", f"{entry.sign}m{entry.form} * hg{k}")
            body.each.append(f"dx{a} += {sum_of(both)}")
    body.after += _store_features(block, "dx")
    return body


_KERNELS = (
    _Kernel("forward", ("x", "y", "w", "neighbor", "out"), False, _forward),
    _Kernel("backward_edges", ("g", "x", "y", "w", "neighbor", "gy", "gw"), False, _backward_edges),
    _Kernel("backward_nodes", ("g", "y", "w", "centre", "incoming", "gx"), True, _backward_nodes),
    _Kernel(
        "second_edges",
        ("g", "x", "y", "w", "hx", "hy", "hw", "neighbor", "dg", "dy", "dw"),
        False,
        _second_edges,
    ),
    _Kernel(
        "second_nodes",
        ("g", "y", "w", "hy", "hw", "centre", "incoming", "dx"),
        True,
        _second_nodes,
    ),
)
