"""C++ of functions of edge vectors: spherical harmonics, Bessel functions times the envelope.

Each is one formula; the loops around it evaluate it with numbers that carry derivatives (`dual.h`).
"""

import math
from collections.abc import Iterable, Sequence
from itertools import combinations_with_replacement

from torch import Tensor

from mlip.nn.kernels.couplings import ZERO, sum_of
from mlip.nn.kernels.cpp.generate_interaction import function


def generate_harmonics(coefficients: Sequence[Tensor], name: str) -> str:
    """The source of the spherical harmonics of edges.

    Args:
        coefficients: Per degree l: (monomials, 2 l + 1); monomials in the order of
            `combinations_with_replacement`.
        name: Of the exported symbol, a `vitreous::EdgeFunctionKernel<Real>`.
    """
    lines = []
    at = 0
    for degree, matrix in enumerate(coefficients):
        monomials = list(combinations_with_replacement("xyz", degree))
        for column in matrix.t().tolist():
            terms = [
                (round(value, 14), monomial)
                for value, monomial in zip(column, monomials, strict=True)
                if abs(value) > ZERO
            ]
            lines.append(f"f[{at}] = {sum_of(_monomial(*term) for term in terms)};")
            at += 1
    return _edge_function(
        [
            "const S square = vec[0] * vec[0] + vec[1] * vec[1] + vec[2] * vec[2];",
            "const S inverse_length = inverse(square_root(square));",
            "const S x = vec[0] * inverse_length, y = vec[1] * inverse_length, z = vec[2] * inverse_length;",
            *lines,
        ],
        at,
        name,
    )


def _monomial(value: float, axes: Sequence[str]) -> str:
    return " * ".join((repr(value), *axes)) if axes else f"0.0 * x + {value!r}"


def generate_radial(num_bessels: int, cutoff_p: int, prefactor: float, name: str) -> str:
    """The source of Bessel functions times the envelope; see `mlip.nn.radial.BesselBasis`.

    Args:
        num_bessels: Number of functions, of frequencies 1, 2, ...
        cutoff_p: Exponent of the envelope.
        prefactor: Constant factor.
        name: Of the exported symbol, a `vitreous::EdgeFunctionKernel<Real>`.
    """
    p = float(cutoff_p)
    a, b, c = (p + 1.0) * (p + 2.0) / 2.0, p * (p + 2.0), p * (p + 1.0) / 2.0
    lines = [
        "const S length = square_root(vec[0] * vec[0] + vec[1] * vec[1] + vec[2] * vec[2]);",
        "const S inside = below_one(scale * length);",
        # Beyond the cutoff, where the envelope is zero, the series would diverge: there x is kept at 0.5.
        "const S x = inside * (scale * length) + 0.5 * (-1.0 * inside + 1.0);",
        f"const S power = {' * '.join(['x'] * cutoff_p)};",
        f"const S envelope = inside * (power * (x * ({-c!r} * x + {b!r}) + {-a!r}) + 1.0);",
        f"const S factor = {prefactor / math.pi!r} * (envelope * inverse(x));",
        "const S twice_cos = 2.0 * cos_pi(x);",
        "S before = 0.0 * x, now = sin_pi(x);",
        f"for (int n = 0; n < {num_bessels}; ++n) {{",
        "f[n] = factor * now;",
        "const S next = twice_cos * now - before;",  # sin((n + 1) t) = 2 cos t sin(n t) - sin((n - 1) t)
        "before = now;",
        "now = next;",
        "}",
    ]
    return _edge_function(lines, num_bessels, name)


def generate_lengths(name: str) -> str:
    """The source of relative lengths.

    Args:
        name: Of the exported symbol, a `vitreous::EdgeFunctionKernel<Real>`.
    """
    length = "square_root(vec[0] * vec[0] + vec[1] * vec[1] + vec[2] * vec[2])"
    return _edge_function([f"f[0] = scale * {length};"], 1, name)


def _edge_function(body: Iterable[str], width: int, name: str) -> str:
    lines = [
        '#include "edge_function_loops.h"',
        "",
        "namespace {",
        "using namespace vitreous;",
        "",
        "struct Formula {",
        f"static constexpr int width = {width};",
        "template <class S>",
        *function("void evaluate(const S* vec, [[maybe_unused]] const S& scale, S* f)", body),
        "};",
        "}  // namespace",
        "",
        f'extern "C" const EdgeFunctionKernel<Real> {name} = EdgeFunctionLoops<Formula, Real>::kernel;',
        "",
    ]
    return "\n".join(lines)
