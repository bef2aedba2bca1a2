"""Which modules of a model compiled ones take the place of."""

from collections.abc import Callable

from torch import nn

from mlip.nn.contraction import EnvironmentProduct
from mlip.nn.edge_embedding import BesselEmbedding, SplineEmbedding
from mlip.nn.kernels.cpp.allegro import (
    CompiledEnvironmentProduct,
    CompiledSplineEmbedding,
    compile_embedding,
)
from mlip.nn.kernels.cpp.dense import CompiledDense
from mlip.nn.kernels.cpp.interaction import (
    CompiledHarmonics,
    CompiledTensorProduct,
    SharedEdges,
    compile_radial,
)
from mlip.nn.kernels.cpp.tabulated import CompiledLengths
from mlip.nn.kernels.edges import SeparateEdges
from mlip.nn.mlp import Dense
from mlip.nn.radial import BesselBasis
from mlip.nn.radial_table import RelativeLengths
from mlip.nn.spherical import SphericalHarmonics
from mlip.nn.tensor_product import EdgeTensorProduct

COMPILED: dict[type[nn.Module], Callable[..., nn.Module]] = {
    EdgeTensorProduct: lambda module, _: CompiledTensorProduct(module),
    EnvironmentProduct: lambda module, _: CompiledEnvironmentProduct(module),
    BesselEmbedding: lambda module, _: compile_embedding(module),
    SplineEmbedding: lambda module, _: CompiledSplineEmbedding(module),
    Dense: lambda module, _: CompiledDense(module),
    SphericalHarmonics: lambda module, _: CompiledHarmonics(module),
    BesselBasis: lambda module, _: compile_radial(module),
    RelativeLengths: lambda *_: CompiledLengths(),
    SeparateEdges: lambda module, symmetric: SharedEdges(symmetric and module.may_share),
}
