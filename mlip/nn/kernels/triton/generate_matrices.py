"""Triton source of Allegro's products on a GPU: each edge's components times the matrix of its centre.

Channels never mix. A program owns a centre, a chunk of channels and some rows of the matrix, which it holds
in registers while it walks over the centre's edges.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from mlip.nn.kernels.couplings import sum_of

TILE = 128
MAX_CHANNELS = 64
MAX_ENTRIES = 64  # of a matrix, in the registers of a program


@dataclass(frozen=True)
class MatrixShape:
    """Matrices of centres.

    Attributes:
        rows: Components of the result.
        columns: Components of the features.
        channels: Channels.
        entries: (row, column) of all entries that are not always zero.
    """

    rows: int
    columns: int
    channels: int
    entries: tuple[tuple[int, int], ...]

    @property
    def tile(self) -> int:
        """Channels of a tile: a power of two."""
        return min(1 << (self.channels - 1).bit_length(), MAX_CHANNELS)

    @property
    def chunks(self) -> int:
        """Tiles of channels."""
        return -(-self.channels // self.tile)

    def groups(self, transposed: bool) -> list[list[int]]:
        """Rows, or columns if transposed, that one program owns."""
        rows, columns = (self.columns, self.rows) if transposed else (self.rows, self.columns)
        count = -(-rows * columns // MAX_ENTRIES)
        return [list(range(rows))[group::count] for group in range(min(count, rows))]


def generate_triton_matrices(shape: MatrixShape) -> str:
    """The source of the Triton kernels multiply, multiply_transposed and outer.

    Args:
        shape: Of the matrices.
    """
    lines = ["import triton", "import triton.language as tl"]
    for name, transposed in (("multiply", False), ("multiply_transposed", True)):
        groups = shape.groups(transposed)
        for number, group in enumerate(groups):
            lines += _function(name, number, shape, *_multiply(shape, set(group), transposed))
        lines += _entry_point(name, len(groups), shape)
    groups = shape.groups(False)
    for number, group in enumerate(groups):
        lines += _function("outer", number, shape, *_outer(shape, set(group)))
    lines += _entry_point("outer", len(groups), shape)
    return "\n".join([*lines, ""])


def _multiply(
    shape: MatrixShape, group: set[int], transposed: bool
) -> tuple[list[str], list[str], list[str]]:
    entries = [entry for entry in shape.entries if entry[transposed] in group]
    rows, columns = (shape.columns, shape.rows) if transposed else (shape.rows, shape.columns)
    before = [
        f"a{row}_{column} = tl.load({_entry(shape, row, column)}, mask=present, other=0.0)"
        for row, column in entries
    ]
    needed = sorted({entry[not transposed] for entry in entries})
    each = _load_components("f", needed, columns, shape.channels)
    for k in sorted(group):
        terms = [f"a{e[0]}_{e[1]} * f{e[not transposed]}" for e in entries if e[transposed] == k]
        place = f"out + (e * {rows} + {k}) * {shape.channels} + c"
        each.append(f"tl.store({place}, {sum_of(terms) or 'zero'}, mask=here)")
    return before, each, []


def _outer(shape: MatrixShape, group: set[int]) -> tuple[list[str], list[str], list[str]]:
    entries = [entry for entry in shape.entries if entry[0] in group]
    before = [f"a{row}_{column} = zero" for row, column in entries]
    each = _load_components("g", sorted({row for row, _ in entries}), shape.rows, shape.channels)
    each += _load_components("f", sorted({column for _, column in entries}), shape.columns, shape.channels)
    each += [f"a{row}_{column} += g{row} * f{column}" for row, column in entries]
    after = []
    for row, column in entries:
        total = f"tl.sum(a{row}_{column}, axis=0, keep_dims=True)"
        after.append(f"tl.store({_entry(shape, row, column)}, {total}, mask=present)")
    return before, each, after


def _entry(shape: MatrixShape, row: int, column: int) -> str:
    """Where an entry of the node's matrix stands."""
    return (
        f"a + (node * {shape.rows * shape.columns} + {row * shape.columns + column}) * {shape.channels} + c"
    )


def _load_components(name: str, components: Iterable[int], count: int, channels: int) -> list[str]:
    return [
        f"{name}{k} = tl.load({name} + (e * {count} + {k}) * {channels} + c, mask=here, other=0.0)"
        for k in components
    ]


def _pointers(name: str) -> str:
    return "g, f, a" if name == "outer" else "a, f, out"


def _function(
    name: str, number: int, shape: MatrixShape, before: list[str], each: list[str], after: list[str]
) -> list[str]:
    edges = max(TILE // shape.tile, 4)
    inner = [
        f"c = chunk * {shape.tile} + tl.arange(0, {shape.tile})[None, :]",
        f"present = c < {shape.channels}",
        f"zero = tl.zeros(({edges}, {shape.tile}), f.dtype.element_ty)",
        *before,
        f"for at in range(begin, end, {edges}):",
        f"    e = at + tl.arange(0, {edges})[:, None]",
        "    here = (e < end) & present",
        *(f"    {line}" for line in each),
        *after,
    ]
    head = f"def {name}_{number}({_pointers(name)}, node, chunk, begin, end):"
    return ["", "", "@triton.jit", head, *(f"    {line}" for line in inner)]


def _entry_point(name: str, groups: int, shape: MatrixShape) -> list[str]:
    """The kernel that is launched: a program per centre, and per group of rows and chunk of channels."""
    lines = [
        "",
        "",
        "@triton.jit",
        f"def {name}({_pointers(name)}, start):",
        "    node = tl.program_id(0).to(tl.int64)",
        f"    group = tl.program_id(1) // {shape.chunks}",
        f"    chunk = tl.program_id(1) % {shape.chunks}",
        "    begin = tl.load(start + node)",
        "    end = tl.load(start + node + 1)",
    ]
    for number in range(groups):
        lines += [
            f"    if group == {number}:",
            f"        {name}_{number}({_pointers(name)}, node, chunk, begin, end)",
        ]
    return lines
