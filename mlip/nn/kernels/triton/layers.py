"""Generated Triton kernels by the name that the torch operators find them by."""

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.library import wrap_triton

from mlip.native.kernels import write_source


@dataclass(frozen=True)
class TritonLayer:
    """Kernels of an interaction.

    Attributes:
        kernels: The generated module.
        result: Width of a row of the result.
        parts: Programs per node.
    """

    kernels: ModuleType
    result: int
    parts: int


_LAYERS: dict[str, TritonLayer] = {}


def load_layer(source: str, result: int, parts: int) -> str:
    """Write the source into the cache and import it, once; the name of the layer.

    Args:
        source: What was generated.
        result: Width of a row of the result.
        parts: Programs per node.
    """
    name = f"interaction_{hashlib.sha256(source.encode()).hexdigest()[:16]}"
    if name not in _LAYERS:
        _LAYERS[name] = TritonLayer(_import(name, write_source(source, ".py")), result, parts)
    return name


def find_layer(name: str) -> TritonLayer:
    """The layer that `load_layer` gave this name."""
    return _LAYERS[name]


def launch(kernel: Any, grid: tuple[int, int], *tensors: Tensor) -> None:
    """Run a kernel on the device of its tensors, which need not be the current one.

    Args:
        kernel: Of a `TritonLayer`.
        grid: Numbers of nodes and of programs per node.
        tensors: Its arguments.
    """
    with torch.cuda.device_of(tensors[0]):
        wrap_triton(kernel)[grid](*tensors)


def _import(name: str, file: Path) -> ModuleType:
    """Import a module from its file, which Triton reads the kernels from."""
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot import {file}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
