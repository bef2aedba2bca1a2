"""A model's kernels on the CPU as compiled C++: generated for its numbers, built once, as torch operators.

Differentiable twice.
"""

import hashlib
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn

from mlip.native.builder import ensure_built
from mlip.native.kernels import generated, operators
from mlip.native.library import NativeLibrary
from mlip.nn.kernels.edges import Edges
from mlip.nn.kernels.generate_edges import generate_harmonics, generate_radial
from mlip.nn.kernels.generate_interaction import generate_interaction
from mlip.nn.radial import BesselBasis
from mlip.nn.spherical import SphericalHarmonics
from mlip.nn.tensor_product import EdgeTensorProduct

REALS = {torch.float32: "float", torch.float64: "double"}

# Source and numbers of the kernels that this process loaded, by name: a deployed file carries them.
_sources: dict[str, tuple[str, str]] = {}


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


class CompiledHarmonics(nn.Module):
    """What `SphericalHarmonics` computes.

    Raises:
        ConfigError: There is no compiler, or it failed.
    """

    scale: Tensor

    def __init__(self, reference: SphericalHarmonics) -> None:
        super().__init__()
        self.irreps = reference.irreps
        self.dtype = reference.dtype
        self.kernel = load_kernel(lambda name: generate_harmonics(reference.matrices, name), reference.dtype)
        self.register_buffer("scale", torch.ones(1, dtype=torch.float64), persistent=False)

    def forward(self, edge_vec: Tensor) -> Tensor:
        """Harmonics (E, (l_max + 1)^2) of edge vectors (E, 3)."""
        return torch.ops.vitreous.edge_function(edge_vec, None, self.scale, self.kernel, self.dtype)


class CompiledRadial(nn.Module):
    """What `BesselBasis` computes, its frequencies not being trained.

    Raises:
        ConfigError: There is no compiler, or it failed.
    """

    def __init__(self, reference: BesselBasis) -> None:
        super().__init__()
        self.frequencies = reference.frequencies  # as in the file of weights
        self.dtype = reference.dtype
        self.kernel = load_kernel(
            lambda name: generate_radial(
                len(reference.frequencies), reference.cutoff_p, reference.prefactor, name
            ),
            reference.dtype,
        )

    def forward(self, edge_vec: Tensor, edge: Tensor, inverse_cutoffs: Tensor) -> Tensor:
        """Map edge vectors (E, 3), the edge (R,) of each row and 1 / A (R,) or (1,) to (R, num_bessels)."""
        return torch.ops.vitreous.edge_function(edge_vec, edge, inverse_cutoffs, self.kernel, self.dtype)


class CompiledTensorProduct(nn.Module):
    """What `EdgeTensorProduct` computes.

    Raises:
        ConfigError: There is no compiler, or it failed.
    """

    def __init__(self, reference: EdgeTensorProduct) -> None:
        super().__init__()
        self.kernel = load_kernel(
            lambda name: generate_interaction(
                reference.layouts, reference.irreps_in.dim, reference.irreps_out.dim, name
            ),
            reference.coupling.dtype,
        )

    def forward(self, features: Tensor, harmonics: Tensor, weights: Tensor, edges: Edges) -> Tensor:
        """Messages summed at each centre; arguments as of `EdgeTensorProduct`, rows of weights shared."""
        return torch.ops.vitreous.interaction(
            features, harmonics, weights, edges.start, edges.edge_index[1], edges.weight_row, self.kernel
        )


def load_kernel(generate: Callable[[str], str], dtype: torch.dtype) -> str:
    """Generate, build and load a kernel; the name by which the operators find it.

    Args:
        generate: From the name of the kernel's symbol to its source.
        dtype: Of its numbers.

    Raises:
        ConfigError: There is no compiler, or it failed.
    """
    digest = hashlib.sha256(generate("kernel").encode()).hexdigest()[:16]
    name = f"kernel_{digest}_{REALS[dtype]}"
    _sources[name] = generate(name), REALS[dtype]
    load_operators()
    library = generated(*_sources[name], torch.ops.vitreous.cpu_targets()[0])
    torch.ops.vitreous.load_kernel(str(ensure_built(library)), name)
    return name


def kernel_libraries(model: nn.Module, target: str) -> dict[str, NativeLibrary]:
    """The libraries, by name, of the kernels that a model's modules call.

    Args:
        model: Whose modules were made in this process.
        target: The instructions they may use; see `mlip.native.kernels.generated`.
    """
    values = (value for module in model.modules() for value in vars(module).values())
    names = sorted({value for value in values if isinstance(value, str) and value in _sources})
    return {name: generated(*_sources[name], target) for name in names}


@cache
def load_operators() -> None:
    """Build the operators if the cache lacks them, and register them with torch; once per process.

    Raises:
        ConfigError: There is no compiler, or it failed.
    """
    torch.ops.load_library(str(ensure_built(operators())))
