"""Which back end computes a model, and the exchange of its modules for those of the back end."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import nn

from mlip.errors import ConfigError
from mlip.native.builder import find_compiler
from mlip.nn.kernels import cpp
from mlip.nn.kernels.edges import SeparateEdges
from mlip.nn.radial import BesselBasis
from mlip.nn.spherical import SphericalHarmonics
from mlip.nn.tensor_product import EdgeTensorProduct

logger = logging.getLogger(__name__)

KERNELS = ("auto", "reference", "cpp")


def resolve_kernel(kernel: str, device: torch.device) -> str:
    """The back end that `kernel=` means on a device.

    Args:
        kernel: One of `KERNELS`; `auto` takes the fastest that works here.
        device: Where the model will run.

    Raises:
        ConfigError: There is no such back end, or it does not work on the device.
    """
    if kernel not in KERNELS:
        raise ConfigError(f"found kernel={kernel}; expected one of {', '.join(KERNELS)}")
    if kernel == "cpp" and device.type != "cpu":
        raise ConfigError(f"found kernel=cpp on {device}; expected device=cpu, or kernel=auto")
    if kernel != "auto":
        return kernel
    if device.type != "cpu":
        return "reference"
    if find_compiler() is None:
        logger.warning("no C++ compiler found: the model runs on slow kernels (see mlip doctor)")
        return "reference"
    return "cpp"


def use_kernel(model: nn.Module, kernel: str) -> None:
    """Exchange a model's modules, in place, for those of a back end; weights and numbers stay the same.

    Args:
        model: With reference modules.
        kernel: `reference` or `cpp`, as `resolve_kernel` gave.

    Raises:
        ConfigError: A kernel cannot be compiled.
    """
    if kernel == "reference":
        return
    symmetric = all(getattr(module, "symmetric", True) for module in model.modules())
    named = [(name, module) for name, module in model.named_modules() if type(module) in COMPILED]
    with ThreadPoolExecutor() as pool:  # compilers run side by side
        compiled = list(pool.map(lambda pair: COMPILED[type(pair[1])](pair[1], symmetric), named))
    for (name, _), module in zip(named, compiled, strict=True):
        model.set_submodule(name, module)


COMPILED: dict[type[nn.Module], Callable[..., nn.Module]] = {
    EdgeTensorProduct: lambda module, _: cpp.CompiledTensorProduct(module),
    SphericalHarmonics: lambda module, _: cpp.CompiledHarmonics(module),
    BesselBasis: lambda module, _: module if module.frequencies.requires_grad else cpp.CompiledRadial(module),
    SeparateEdges: lambda module, symmetric: cpp.SharedEdges(symmetric and module.may_share),
}
