"""Compiled kernels inside a deployed file: the model that calls our operators, and their machine code.

The kernels are there for several instruction sets. The machine that reads the file picks one and needs no
compiler for them; the operators, which are bound to a version of torch, it builds once for itself.
"""

import logging
import platform
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor, nn

from mlip.native.builder import ensure_built
from mlip.native.kernels import X86_TARGETS, interface
from mlip.native.library import NativeLibrary
from mlip.nn.kernels.cpp.load import kernel_libraries

logger = logging.getLogger(__name__)


class ModelWithKernels(nn.Module):
    """A model whose modules call compiled kernels, and these kernels.

    Args:
        model: From a dictionary of tensors to another.
        kernels: Shared libraries as bytes, by target of the compiler and name.

    Attributes:
        interface: Of the operators that can call the kernels.
    """

    kernels: dict[str, dict[str, Tensor]]

    def __init__(self, model: nn.Module, kernels: dict[str, dict[str, Tensor]]) -> None:
        super().__init__()
        self.model = model
        self.kernels = kernels
        self.interface = interface()

    def forward(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        """Evaluate one structure, once the kernels are loaded."""
        result: dict[str, Tensor] = self.model(data)
        return result

    @torch.jit.export
    def load_kernels(self) -> str:
        """Load the kernels for this processor into the process; the target they are compiled for."""
        target: str = torch.ops.vitreous.load_kernels(self.interface, self.kernels)
        return target


def carry_kernels(model: nn.Module) -> ModelWithKernels:
    """Compile the kernels of a model for all processors of this kind.

    Args:
        model: With the modules of `kernel=cpp`, on the CPU.

    Raises:
        ConfigError: There is no compiler, or it failed.
    """
    targets = X86_TARGETS if platform.machine() == "x86_64" else tuple(torch.ops.vitreous.cpu_targets())
    logger.info("compiling kernels for %s, in a minute at most", ", ".join(targets))
    libraries = [
        (target, name, library)
        for target in targets
        for name, library in kernel_libraries(model, target).items()
    ]
    with ThreadPoolExecutor() as pool:  # compilers run side by side
        contents = list(pool.map(_content, (library for _, _, library in libraries)))
    kernels: dict[str, dict[str, Tensor]] = {target: {} for target in targets}
    for (target, name, _), content in zip(libraries, contents, strict=True):
        kernels[target][name] = content
    return ModelWithKernels(model, kernels)


def _content(library: NativeLibrary) -> Tensor:
    """The bytes of a library, built if need be."""
    return torch.frombuffer(bytearray(ensure_built(library).read_bytes()), dtype=torch.uint8)
