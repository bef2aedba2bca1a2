"""Which modules of a model Triton's take the place of."""

from collections.abc import Callable

from torch import nn

from mlip.nn.contraction import EnvironmentProduct
from mlip.nn.kernels.edges import SeparateEdges
from mlip.nn.kernels.triton.allegro import TritonEnvironmentProduct
from mlip.nn.kernels.triton.interaction import MaskedSelfConnection, SortedEdges, TritonTensorProduct
from mlip.nn.linear import SelfConnection
from mlip.nn.tensor_product import EdgeTensorProduct

TRITON: dict[type[nn.Module], Callable[..., nn.Module]] = {
    EdgeTensorProduct: lambda module, _: TritonTensorProduct(module),
    EnvironmentProduct: lambda module, _: TritonEnvironmentProduct(module),
    SelfConnection: lambda module, _: MaskedSelfConnection(module),
    SeparateEdges: lambda module, _: SortedEdges(),
}
