"""C++ of one product with environments: its couplings as tables for the loops of `environment_loops.h`."""

from torch import Tensor

from mlip.nn.kernels.couplings import ZERO


def generate_environment(
    coupling: Tensor, features: int, result: int, channels: int, of_harmonics: bool, name: str
) -> str:
    """The source of a compiled product of edges' features with the environment of their centre.

    Args:
        coupling: (P, D_env, D_out * D_in) of all paths, as in `mlip.nn.contraction.EnvironmentProduct`.
        features: Components D_in of the features.
        result: Components D_out of the result.
        channels: Number of channels.
        of_harmonics: Whether features are given as weights of the harmonics.
        name: Of the exported symbol, a `vitreous::EnvironmentKernel<Real>`; `Real` is given to the compiler.
    """
    pairs, terms = _tables(coupling)
    lines = [
        '#include "environment_loops.h"',
        "",
        "namespace {",
        "using namespace vitreous;",
        "",
        "struct Layer {",
        f"static constexpr int channels = {channels}, degrees = {round(coupling.shape[1] ** 0.5)};",
        f"static constexpr int features = {features}, result = {result}, paths = {coupling.shape[0]};",
        f"static constexpr bool of_harmonics = {'true' if of_harmonics else 'false'};",
        f"static constexpr int num_pairs = {len(pairs)};",
        "static constexpr EnvironmentPair pairs[] = {",
        *(f"{{{path}, {component}, {first}}}," for path, component, first in pairs),
        f"{{0, 0, {len(terms)}}}}};",
        "static constexpr EnvironmentTerm<Real> terms[] = {",
        *(f"{{{entry}, Real({value!r})}}," for entry, value in terms),
        "};",
        "};",
        "}  // namespace",
        "",
        f'extern "C" const EnvironmentKernel<Real> {name} = EnvironmentLoops<Layer, Real>::kernel;',
        "",
    ]
    return "\n".join(lines)


def _tables(coupling: Tensor) -> tuple[list[tuple[int, int, int]], list[tuple[int, float]]]:
    """Pairs of a path and a component of the environment, with the first of their terms; and all terms."""
    pairs: list[tuple[int, int, int]] = []
    terms: list[tuple[int, float]] = []
    for path, matrix in enumerate(coupling.tolist()):
        for component, row in enumerate(matrix):
            found = [(entry, round(value, 14)) for entry, value in enumerate(row) if abs(value) > ZERO]
            if found:
                pairs.append((path, component, len(terms)))
                terms += found
    return pairs, terms
