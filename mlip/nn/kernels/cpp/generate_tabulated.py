"""C++ of an interaction whose weights stand in a table: interpolated where they are used, never stored."""

from collections.abc import Sequence

from mlip.nn.kernels.couplings import Block, Form, Matrix, columns_of, couple, rows_of, sum_of
from mlip.nn.kernels.cpp.generate_interaction import (
    function,
    over_channels,
    results,
    set_entries,
    times,
    to_harmonics,
)
from mlip.nn.tensor_product import PathLayout

# Components of the result that are summed in registers at a time.
COMPONENTS = 16


def generate_tabulated(paths: Sequence[PathLayout], features: int, result: int, name: str) -> str:
    """The source of an interaction's compiled kernel.

    Args:
        paths: All paths; those of one input irrep in a row.
        features: Width of a row of features.
        result: Width of a row of the result.
        name: Of the exported symbol, a `vitreous::TabulatedKernel<Real>`; `Real` is given to the compiler.
    """
    forms, blocks = couple(paths)
    harmonics = paths[0].coupling.shape[0]
    lines = [
        '#include "tabulated_loops.h"',
        "",
        "namespace {",
        "using namespace vitreous;",
        "using T = Real;",
        "using V = Vector<T>;",
        "",
        "struct Layer {",
        f"static constexpr int features = {features}, harmonics = {harmonics}, result = {result};",
        f"static constexpr int weights = {sum(p.mul for p in paths)}, entries = {len(forms)};",
        *function("void set_entries(const V* y, V* m)", set_entries(forms)),
        "template <class Edges>",
        *function(
            "void forward(const Edges& edges, const T* x, T* out)",
            [line for block in blocks for part in _parts(block) for line in _forward(part)],
        ),
        "template <class Edges>",
        *function(
            "void backward(const Edges& edges, int k, const T* x, const T* g, T* gx, V* sums)",
            _backward(blocks, forms, harmonics),
        ),
        "};",
        "}  // namespace",
        "",
        f'extern "C" const TabulatedKernel<T> {name} = TabulatedLoops<Layer, T>::kernel;',
        "",
    ]
    return "\n".join(lines)


def _parts(block: Block) -> list[Block]:
    """Cut the paths of an input irrep so that the results of a part fit into registers."""
    parts: list[Block] = []
    left = 0
    for path, matrix in block:
        needed = path.coupling.shape[1]
        if needed > left:
            parts.append([])
            left = max(COMPONENTS, needed)
        parts[-1].append((path, matrix))
        left -= needed
    return parts


def _features(path: PathLayout) -> list[str]:
    return [
        f"const V x{a} = c.load(x + {path.feature_start + a * path.mul});"
        for a in range(path.coupling.shape[2])
    ]


def _weights(path: PathLayout) -> str:
    return f"const auto w = edges.weights(c, k, {path.weight_start}, {path.mul});"


def _forward(part: Block) -> list[str]:
    """Sum the messages of all edges of a group, some paths at a time."""
    path, _ = part[0]
    places = {
        (p, k): path.result_start + k * path.result_stride
        for p, (path, _) in enumerate(part)
        for k in range(path.coupling.shape[1])
    }
    body = [f"V o{p}_{k} = c.load(out + {at});" for (p, k), at in places.items()]
    body += ["for (int k = 0; k < edges.count; ++k) {", "const auto m = edges.entries_of(k);"]
    body += [f"const T* row = x + edges.neighbor[k] * features + {path.feature_start};"]
    body += [f"const V x{a} = c.load(row + {a * path.mul});" for a in range(path.coupling.shape[2])]
    for p, (layout, matrix) in enumerate(part):
        body.append(f"{{ {_weights(layout)} const V wp = w.value();")
        for k, row in rows_of(matrix).items():
            body.append(f"o{p}_{k} += wp * ({sum_of(times(e, f'x{a}') for a, e in row)});")
        body.append("}")
    body.append("}")
    body += [f"c.store(out + {at}, o{p}_{k});" for (p, k), at in places.items()]
    return over_channels(part, body)


def _backward(blocks: list[Block], forms: dict[Form, int], harmonics: int) -> list[str]:
    """Gradients of one edge: with u = M^T g, gx = w u and gw = x u; those of forms go to the harmonics."""
    lines = ["const auto m = edges.entries_of(k);"]
    lines += [f"V gy{b} = {{}};" for b in range(harmonics)] + ["V gt = {};"]
    for block in blocks:
        first, _ = block[0]
        components = range(first.coupling.shape[2])
        body = _features(first) + [f"V gx{a} = {{}};" for a in components]
        for path, matrix in block:
            body += _path_backward(path, matrix, forms)
        body += [f"c.add(gx + {first.feature_start + a * first.mul}, gx{a});" for a in components]
        lines += over_channels(block, body)
    return lines + [f"sums[{b}] = gy{b};" for b in range(harmonics)] + [f"sums[{harmonics}] = gt;"]


def _path_backward(path: PathLayout, matrix: Matrix, forms: dict[Form, int]) -> list[str]:
    lines = [f"{{ {_weights(path)} const V wp = w.value(); V gw = {{}};", *results(path, "g", "g")]
    for a, column in columns_of(matrix).items():
        lines.append(f"const V u{a} = {sum_of(times(e, f'g{k}') for k, e in column)}, y{a} = wp * x{a};")
        lines.append(f"gx{a} += wp * u{a}; gw += x{a} * u{a};")
    return [*lines, "gt += w.slope() * gw;", *to_harmonics(matrix, forms, "y", "gy"), "}"]
