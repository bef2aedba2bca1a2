"""Generated C++ kernels: built at first use, loaded, found by name by torch's operators."""

import hashlib
from collections.abc import Callable
from functools import cache

import torch
from torch import nn

from mlip.native.builder import ensure_built
from mlip.native.kernels import generated, operators
from mlip.native.library import NativeLibrary

REALS = {torch.float32: "float", torch.float64: "double"}

# Source and numbers of the kernels that this process loaded, by name: a deployed file carries them.
_sources: dict[str, tuple[str, str]] = {}


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
