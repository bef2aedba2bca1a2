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
from mlip.nn.derivatives import ForceField
from mlip.nn.kernels.compiled import CompiledForceField, require_inductor
from mlip.nn.kernels.cpp.exchange import COMPILED
from mlip.nn.kernels.cpp.linear import fix_weights
from mlip.nn.kernels.cpp.load import load_operators
from mlip.nn.kernels.cpp.tabulated import TabulatedTensorProduct
from mlip.nn.radial_table import fuse_tables, tabulate

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
        load_operators()
        fuse_tables(force_field.model, TabulatedTensorProduct)
        fix_weights(force_field.model)
        _exchange(force_field.model, COMPILED)
    if kernel == "triton":
        from mlip.nn.kernels.triton.exchange import TRITON  # these imports need triton
        from mlip.nn.kernels.triton.tabulated import TritonTabulatedProduct

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
