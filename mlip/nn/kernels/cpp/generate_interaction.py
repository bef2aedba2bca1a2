"""C++ of one interaction: its couplings unrolled into arithmetic on vectors of channels."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from mlip.nn.kernels.couplings import Block, Entry, Form, Matrix, columns_of, couple, rows_of, sum_of
from mlip.nn.tensor_product import PathLayout


def generate_interaction(paths: Sequence[PathLayout], features: int, result: int, name: str) -> str:
    """The source of an interaction's compiled kernel.

    Args:
        paths: All paths; those of one input irrep in a row.
        features: Width of a row of features.
        result: Width of a row of the result.
        name: Of the exported symbol, a `vitreous::InteractionKernel<Real>`; `Real` is given to the compiler.
    """
    forms, blocks = couple(paths)
    harmonics = paths[0].coupling.shape[0]
    lines = [
        '#include "interaction_loops.h"',
        "",
        "namespace {",
        "using namespace vitreous;",
        "using T = Real;",
        "using V = Vector<T>;",
        "",
        "struct Layer {",
        f"static constexpr int features = {features}, harmonics = {harmonics}, result = {result};",
        f"static constexpr int weights = {sum(p.mul for p in paths)}, entries = {len(forms)};",
        *function("void set_entries(const T* y, T* m)", set_entries(forms)),
        *function(
            "void forward(const T* x, const T* m, const T* w, T* out)",
            [line for block in blocks for line in _forward(block)],
        ),
        "template <bool add>",
        *function(
            "void backward(const T* x, const T* m, const T* w, const T* g, T* gx, T* gy, T* gw)",
            _with_harmonics("gy", harmonics, [line for block in blocks for line in _backward(block, forms)]),
        ),
        "template <bool add, bool by_harmonics>",
        *function(
            "void second(const T* x, const T* m, const T* w, const T* g, const T* hx, const T* hm, "
            "const T* hw, T* dx, [[maybe_unused]] T* dy, T* dw, T* dg)",
            _with_harmonics(
                "dy",
                harmonics,
                [line for block in blocks for line in _second(block, forms)],
                "if constexpr (by_harmonics) ",
            ),
        ),
        "};",
        "}  // namespace",
        "",
        f'extern "C" const InteractionKernel<T> {name} = InteractionLoops<Layer, T>::kernel;',
        "",
    ]
    return "\n".join(lines)


def function(head: str, body: Iterable[str]) -> list[str]:
    """Lines of a static inline function."""
    return [f"static inline {head} {{", *body, "}"]


def set_entries(forms: dict[Form, int]) -> list[str]:
    """Statements that compute the forms m from harmonics y."""
    return [
        f"m[{index}] = {sum_of(f'T({value!r}) * y[{b}]' for b, value in form)};"
        for form, index in forms.items()
    ]


def over_channels(block: Block, body: Iterable[str]) -> list[str]:
    """Repeat statements for all channels of the block's input irrep, vector `c` by vector."""
    return [f"over_channels<T, {block[0][0].mul}>([&](auto c) {{", *body, "});"]


def _loads(block: Block, names: dict[str, str]) -> list[str]:
    """Load all components of the input irrep: variable prefix -> row."""
    path, _ = block[0]
    return [
        f"const V {prefix}{a} = c.load({row} + {path.feature_start + a * path.mul});"
        for a in range(path.coupling.shape[2])
        for prefix, row in names.items()
    ]


def times(entry: Entry, vector: str, forms: str = "m") -> str:
    """An entry of a coupling matrix times a vector of channels."""
    return f"{entry.sign}{forms}[{entry.form}] * {vector}"


def _forward(block: Block) -> list[str]:
    body = _loads(block, {"x": "x"})
    for path, matrix in block:
        body.append(f"{{ const V wp = c.load(w + {path.weight_start});")
        for k, row in rows_of(matrix).items():
            at = path.result_start + k * path.result_stride
            body.append(f"c.add(out + {at}, wp * ({sum_of(times(e, f'x{a}') for a, e in row)}));")
        body.append("}")
    return over_channels(block, body)


def _with_harmonics(name: str, harmonics: int, body: list[str], condition: str = "") -> list[str]:
    """Sum the gradients of the harmonics in registers, and their lanes at the end."""
    return [
        *(f"[[maybe_unused]] V {name}{b} = {{}};" for b in range(harmonics)),
        *body,
        f"{condition}{{",
        *(f"{name}[{b}] = sum_of_lanes<T>({name}{b});" for b in range(harmonics)),
        "}",
    ]


def results(path: PathLayout, prefix: str, row: str) -> list[str]:
    """Load the path's components of a row like the result."""
    return [
        f"const V {prefix}{k} = c.load({row} + {path.result_start + k * path.result_stride});"
        for k in range(path.coupling.shape[1])
    ]


def to_harmonics(matrix: Matrix, forms: Iterable[Form], inputs: str, name: str) -> list[str]:
    """Add, for entries m_ka, the gradients inputs_a g_k to those of the harmonics."""
    products: dict[int, list[str]] = defaultdict(list)
    for (k, a), entry in matrix.items():
        products[entry.form].append(f"{entry.sign}{inputs}{a} * g{k}")
    of_form = list(forms)
    lines = []
    for form, terms in products.items():
        lines.append(f"{{ const V s = {sum_of(terms)};")
        lines += [f"{name}{b} += T({value!r}) * s;" for b, value in of_form[form]]
        lines.append("}")
    return lines


def _backward(block: Block, forms: Iterable[Form]) -> list[str]:
    """With u = M^T g: gx = w u, gw = x u, and w x_a g_k for the entries m_ka."""
    first, _ = block[0]
    components = range(first.coupling.shape[2])
    body = _loads(block, {"x": "x"})
    body += [f"V gx{a} = {{}};" for a in components]
    for path, matrix in block:
        body += [f"{{ const V wp = c.load(w + {path.weight_start}); V gwp = {{}};", *results(path, "g", "g")]
        for a, column in columns_of(matrix).items():
            body.append(f"const V u{a} = {sum_of(times(e, f'g{k}') for k, e in column)}, y{a} = wp * x{a};")
            body.append(f"gx{a} += wp * u{a}; gwp += x{a} * u{a};")
        body += to_harmonics(matrix, forms, "y", "gy")
        body += _store("gw", "gwp", path)
    body += [f"c.add(gx + {first.feature_start + a * first.mul}, gx{a});" for a in components]
    return over_channels(block, body)


def _second(block: Block, forms: Iterable[Form]) -> list[str]:
    """Gradients of <hx, gx> + <hy, gy> + <hw, gw>; q is hx, H are the matrices of hy.

    With u = M^T g, v = H^T g, p = w q + hw x and y = w x: dx = w v + hw u, dw = q u + x v, dg = M p + H y,
    and p_a g_k for the entries m_ka.
    """
    first, _ = block[0]
    components = range(first.coupling.shape[2])
    body = _loads(block, {"x": "x", "q": "hx"})
    body += [f"V dx{a} = {{}};" for a in components]
    for path, matrix in block:
        at = path.weight_start
        body.append(f"{{ const V wp = c.load(w + {at}), hp = c.load(hw + {at}); V dwp = {{}};")
        body += results(path, "g", "g")
        for a, column in columns_of(matrix).items():
            body.append(f"const V u{a} = {sum_of(times(e, f'g{k}') for k, e in column)};")
            body.append(f"const V v{a} = {sum_of(times(e, f'g{k}', 'hm') for k, e in column)};")
            body.append(f"const V p{a} = wp * q{a} + hp * x{a}, y{a} = wp * x{a};")
            body.append(f"dx{a} += wp * v{a} + hp * u{a}; dwp += q{a} * u{a} + x{a} * v{a};")
        for k, row in rows_of(matrix).items():
            both = [term for a, e in row for term in (times(e, f"p{a}"), times(e, f"y{a}", "hm"))]
            body.append(f"c.add(dg + {path.result_start + k * path.result_stride}, {sum_of(both)});")
        body += ["if constexpr (by_harmonics) {", *to_harmonics(matrix, forms, "p", "dy"), "}"]
        body += _store("dw", "dwp", path)
    body += [f"c.add(dx + {first.feature_start + a * first.mul}, dx{a});" for a in components]
    return over_channels(block, body)


def _store(row: str, name: str, path: PathLayout) -> list[str]:
    """Set or add the gradient of a path's weights, and close its scope."""
    return [
        f"if constexpr (add) c.add({row} + {path.weight_start}, {name});",
        f"else c.store({row} + {path.weight_start}, {name}); }}",
    ]
