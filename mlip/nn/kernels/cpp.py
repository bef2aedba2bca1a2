"""The interaction on the CPU by compiled C++: generated for its paths, built at first use, loaded as operators."""

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch
from torch import Tensor, nn

from mlip.native.builder import ensure_built
from mlip.native.kernels import interaction, operators
from mlip.nn.kernels.edges import Edges
from mlip.nn.kernels.generate import generate_interaction
from mlip.nn.tensor_product import EdgeTensorProduct

REALS = {torch.float32: "float", torch.float64: "double"}


class SharedEdges(nn.Module):
    """Edges sorted by centre; an edge and its reverse may share a row of weights.

    Args:
        share: Whether they do: a weight depends on the length alone, and cutoffs are symmetric.
    """

    def __init__(self, share: bool) -> None:
        super().__init__()
        self.share = share

    def forward(self, edge_index: Tensor, edge_vec: Tensor, num_atoms: int) -> Edges:
        """Describe the edges (2, E), sorted by centre, with vectors (E, 3)."""
        start, weight_row, row_edge = torch.ops.vitreous.index_edges(
            edge_index, edge_vec, num_atoms, self.share
        )
        return Edges(edge_index, start, weight_row, row_edge)


class CompiledTensorProduct(nn.Module):
    """What `EdgeTensorProduct` computes, by a kernel generated for its paths.

    Differentiable twice, on the CPU.

    Args:
        reference: What it replaces.

    Raises:
        ConfigError: There is no compiler, or it failed.
    """

    def __init__(self, reference: EdgeTensorProduct) -> None:
        super().__init__()
        self.kernel = load_kernel(reference)

    def forward(self, features: Tensor, harmonics: Tensor, weights: Tensor, edges: Edges) -> Tensor:
        """Messages summed at each centre; arguments as those of `EdgeTensorProduct`, a row of weights each."""
        return torch.ops.vitreous.interaction(
            features, harmonics, weights, edges.start, edges.index[1], edges.weight_row, self.kernel
        )


def load_kernel(module: EdgeTensorProduct) -> str:
    """Build and load the kernel of an interaction; the name by which the operators find it.

    Raises:
        ConfigError: There is no compiler, or it failed.
    """
    real = REALS[module.coupling.dtype]
    layouts = repr([(*vars(path).values(), path.coupling.tolist()) for path in module.layouts])
    name = f"interaction_{hashlib.sha256(layouts.encode()).hexdigest()[:16]}_{real}"
    source = generate_interaction(module.layouts, module.irreps_in.dim, module.irreps_out.dim, name)
    load_operators()
    torch.ops.vitreous.load_kernel(str(ensure_built(interaction(source, real))), name)
    return name


def build_kernels(modules: Iterable[EdgeTensorProduct]) -> list[CompiledTensorProduct]:
    """Compiled products for all of a model's, built side by side."""
    load_operators()
    with ThreadPoolExecutor() as pool:
        return list(pool.map(CompiledTensorProduct, modules))


@cache
def load_operators() -> None:
    """Build the operators if the cache lacks them, and register them with torch; once per process.

    Raises:
        ConfigError: There is no compiler, or it failed.
    """
    torch.ops.load_library(str(ensure_built(operators())))
