"""Which back end computes a force field, and the exchange of its modules for those of the back end."""

import importlib.util
import logging
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import nn

from mlip.errors import ConfigError
from mlip.native.builder import find_compiler
from mlip.nn.contraction import EnvironmentProduct
from mlip.nn.derivatives import ForceField
from mlip.nn.edge_embedding import BesselEmbedding, SplineEmbedding
from mlip.nn.kernels import cpp, cpp_allegro, cpp_dense, cpp_linear, cpp_tabulated
from mlip.nn.kernels.compiled import CompiledForceField, require_inductor
from mlip.nn.kernels.edges import SeparateEdges
from mlip.nn.mlp import Dense
from mlip.nn.radial import BesselBasis
from mlip.nn.radial_table import RelativeLengths, fuse_tables, tabulate
from mlip.nn.spherical import SphericalHarmonics
from mlip.nn.tensor_product import EdgeTensorProduct

logger = logging.getLogger(__name__)

KERNELS = ("auto", "reference", "compiled", "cpp", "triton")
RADIALS = ("exact", "table")


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
    if kernel == "triton":
        _require_triton(device)
    if kernel == "compiled":
        require_inductor(device)
    if kernel != "auto":
        return kernel
    if device.type == "cuda" and _has_triton():
        return "triton"
    if device.type != "cpu":
        return "reference"
    if find_compiler() is None:
        logger.warning("no C++ compiler found: the model runs on slow kernels (see mlip doctor)")
        return "reference"
    return "cpp"


def _has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None


def _require_triton(device: torch.device) -> None:
    """Refuse kernel=triton where it does not work; for tests it works in Triton's interpreter."""
    if not _has_triton():
        raise ConfigError(
            "found no triton for kernel=triton; expected a CUDA build of torch, or pip install triton"
        )
    if device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        raise ConfigError(f"found kernel=triton on {device}; expected device=cuda, or kernel=auto")


def use_kernel(force_field: ForceField, kernel: str, radial: str = "exact") -> ForceField:
    """Exchange a force field's modules for those of a back end; weights keep their names.

    Args:
        force_field: With reference modules; it is changed.
        kernel: `reference`, `compiled`, `cpp` or `triton`, as `resolve_kernel` gave.
        radial: `exact`, or `table` for inference: radial functions interpolated in a table.

    Returns:
        What to compute with: the same numbers, but for the rounding and, with `table`, the interpolation.

    Raises:
        ConfigError: There is no such `radial`, the model cannot have a table, or a kernel cannot be compiled.
    """
    if radial not in RADIALS:
        raise ConfigError(f"found radial={radial}; expected {' or '.join(RADIALS)}")
    if radial == "table":
        tabulate(force_field.model)
    if kernel == "compiled":
        return CompiledForceField(force_field)
    if kernel == "cpp":
        cpp.load_operators()
        fuse_tables(force_field.model, cpp_tabulated.TabulatedTensorProduct)
        cpp_linear.fix_weights(force_field.model)
        _exchange(force_field.model, COMPILED)
    if kernel == "triton":
        from mlip.nn.kernels.gpu_tabulated import TritonTabulatedProduct  # these imports need triton
        from mlip.nn.kernels.triton_modules import TRITON

        fuse_tables(force_field.model, TritonTabulatedProduct)
        _exchange(force_field.model, TRITON)
    return force_field


def _exchange(model: nn.Module, replacements: Mapping[type[nn.Module], Callable[..., nn.Module]]) -> None:
    """Exchange modules for those of a back end, in place."""
    symmetric = all(getattr(module, "symmetric", True) for module in model.modules())
    named = [(name, module) for name, module in model.named_modules() if type(module) in replacements]
    with ThreadPoolExecutor() as pool:  # compilers run side by side
        made = list(pool.map(lambda pair: replacements[type(pair[1])](pair[1], symmetric), named))
    for (name, _), module in zip(named, made, strict=True):
        model.set_submodule(name, module)


COMPILED: dict[type[nn.Module], Callable[..., nn.Module]] = {
    EdgeTensorProduct: lambda module, _: cpp.CompiledTensorProduct(module),
    EnvironmentProduct: lambda module, _: cpp_allegro.CompiledEnvironmentProduct(module),
    BesselEmbedding: lambda module, _: cpp_allegro.compile_embedding(module),
    SplineEmbedding: lambda module, _: cpp_allegro.CompiledSplineEmbedding(module),
    Dense: lambda module, _: cpp_dense.CompiledDense(module),
    SphericalHarmonics: lambda module, _: cpp.CompiledHarmonics(module),
    BesselBasis: lambda module, _: module if module.frequencies.requires_grad else cpp.CompiledRadial(module),
    RelativeLengths: lambda *_: cpp_tabulated.CompiledLengths(),
    SeparateEdges: lambda module, symmetric: cpp.SharedEdges(symmetric and module.may_share),
}
