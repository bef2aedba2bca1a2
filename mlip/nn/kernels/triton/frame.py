"""The frame of generated Triton kernels: programs, the walk over edges, and what they load and store.

A program owns a node and a part: one input irrep and a chunk of its channels. It walks over the node's edges,
a tile of them at a time, and sums in registers: nothing is added to memory twice, so results never depend on
the order in which programs run. Sums over the edges that leave a node read them through `start`, sums over
those that arrive through `incoming`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mlip.nn.kernels.couplings import Block, Form, couple
from mlip.nn.tensor_product import PathLayout

# Numbers of a tile: one per thread of the four warps that Triton gives a program, or two.
TILE = 128
MAX_CHANNELS = 64
MAX_EDGES = 32


@dataclass(frozen=True)
class Layer:
    """Widths of the rows, and the linear forms of the harmonics."""

    features: int
    harmonics: int
    weights: int
    result: int
    parts: int
    forms: dict[Form, int]


@dataclass
class Body:
    """Lines of a part before, in and after the loop over edges."""

    before: list[str] = field(default_factory=list)
    each: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Kernel:
    """A kernel: its name, its pointers, whether it walks the edges that arrive, and what its parts do."""

    name: str
    pointers: tuple[str, ...]
    arriving: bool
    body: Callable[[Layer, Block], Body]


def count_parts(paths: Sequence[PathLayout]) -> int:
    """Programs per node."""
    return sum(_chunks(block) for block in couple(paths)[1])


def generate_kernels(
    kernels: Sequence[Kernel], paths: Sequence[PathLayout], features: int, result: int
) -> str:
    """The source of Triton kernels.

    Args:
        kernels: What they compute.
        paths: All paths; those of one input irrep in a row.
        features: Width of a row of features.
        result: Width of a row of the result.
    """
    forms, blocks = couple(paths)
    layer = Layer(
        features,
        paths[0].coupling.shape[0],
        sum(path.mul for path in paths),
        result,
        sum(map(_chunks, blocks)),
        forms,
    )
    lines = ["import triton", "import triton.language as tl"]
    for kernel in kernels:
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


def _entry_point(kernel: Kernel, blocks: list[Block]) -> list[str]:
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


def _part(kernel: Kernel, layer: Layer, number: int, block: Block, first: int) -> list[str]:
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
    ]
    inner = [
        f"c = (part - {first}) * {channels} + tl.arange(0, {channels})[None, :]",
        f"present = c < {mul}",
        f"lane = tl.arange(0, {edges})[:, None]",
        f"zero = tl.zeros(({edges}, {channels}), y.dtype.element_ty)",
        f"at_node = node * {layer.features if kernel.arriving else layer.result} + c",
        *body.before,
        f"for at in range(begin, end, {edges}):",
        *(f"    {line}" for line in walk + body.each),
        *body.after,
    ]
    head = f"def {kernel.name}_{number}({', '.join(kernel.pointers)}, node, part, begin, end):"
    return ["", "", "@triton.jit", head, *(f"    {line}" for line in inner)]
