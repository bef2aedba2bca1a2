"""C++ of one interaction: its couplings unrolled into multiplications and additions of vectors of channels."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from mlip.nn.kernels.couplings import Block, Entry, Form, couple, rows_of, sum_of
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
        *function("void entries_backward(const T* gm, T* gy)", _entries_backward(forms, harmonics)),
        *function(
            "void forward(const T* x, const T* m, const T* w, T* out)",
            [line for block in blocks for line in _forward(block)],
        ),
        "template <bool add>",
        *function(
            "void backward(const T* x, const T* m, const T* w, const T* g, T* gx, V* gm, T* gw)",
            [line for block in blocks for line in _backward(block)],
        ),
        "template <bool add>",
        *function(
            "void second(const T* x, const T* m, const T* w, const T* g, const T* hx, const T* hm, const T* hw, "
            "T* dx, V* dm, T* dw, T* dg)",
            [line for block in blocks for line in _second(block)],
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


def _entries_backward(forms: dict[Form, int], harmonics: int) -> list[str]:
    terms: dict[int, list[str]] = defaultdict(list)
    for form, index in forms.items():
        for b, value in form:
            terms[b].append(f"T({value!r}) * gm[{index}]")
    return [f"gy[{b}] = {sum_of(terms[b]) if terms[b] else 'T(0)'};" for b in range(harmonics)]


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


def _backward(block: Block) -> list[str]:
    first, _ = block[0]
    components = range(first.coupling.shape[2])
    body = _loads(block, {"x": "x"})
    body += [f"V gx{a} = {{}};" for a in components]
    for path, matrix in block:
        body.append(f"{{ const V wp = c.load(w + {path.weight_start}); V gwp = {{}};")
        for k, row in rows_of(matrix).items():
            at = path.result_start + k * path.result_stride
            body.append(f"{{ const V gk = c.load(g + {at}), wg = wp * gk;")
            body.append(f"gwp += gk * ({sum_of(times(e, f'x{a}') for a, e in row)});")
            for a, entry in row:
                sign = "-" if entry.negative else "+"
                body.append(f"gx{a} {sign}= m[{entry.form}] * wg; gm[{entry.form}] {sign}= wg * x{a};")
            body.append("}")
        body.append(f"if (add) c.add(gw + {path.weight_start}, gwp);")
        body.append(f"else c.store(gw + {path.weight_start}, gwp); }}")
    body += [f"c.add(gx + {first.feature_start + a * first.mul}, gx{a});" for a in components]
    return over_channels(block, body)


def _second(block: Block) -> list[str]:
    first, _ = block[0]
    components = range(first.coupling.shape[2])
    body = _loads(block, {"x": "x", "q": "hx"})
    body += [f"V dx{a} = {{}};" for a in components]
    for path, matrix in block:
        at_w = path.weight_start
        body.append(f"{{ const V wp = c.load(w + {at_w}), hp = c.load(hw + {at_w}); V dwp = {{}};")
        for k, row in rows_of(matrix).items():
            at = path.result_start + k * path.result_stride
            body.append(f"{{ const V gk = c.load(g + {at}), wg = wp * gk, hg = hp * gk;")
            body.append(f"const V t = {sum_of(times(e, f'x{a}') for a, e in row)};")
            both = [term for a, e in row for term in (times(e, f"q{a}"), times(e, f"x{a}", "hm"))]
            body.append(f"const V s = {sum_of(both)};")
            body.append(f"c.add(dg + {at}, wp * s + hp * t); dwp += gk * s;")
            for a, entry in row:
                sign, i = "-" if entry.negative else "+", entry.form
                body.append(f"dx{a} {sign}= hm[{i}] * wg + m[{i}] * hg;")
                body.append(f"dm[{i}] {sign}= wg * q{a} + hg * x{a};")
            body.append("}")
        body.append(f"if (add) c.add(dw + {at_w}, dwp);")
        body.append(f"else c.store(dw + {at_w}, dwp); }}")
    body += [f"c.add(dx + {first.feature_start + a * first.mul}, dx{a});" for a in components]
    return over_channels(block, body)
