"""Pickles in PyTorch's zip files, read without running any code that they name.

A pickle may name any function of any module and have it called. Here no name is ever looked up: tensors,
dictionaries and sets become themselves, and an object of any other kind becomes an `Inert` record of what the
pickle says of it. So a file from a stranger can be read.
"""

import io
import pickle
import zipfile
from typing import Any

import torch
from torch import Tensor

from mlip.errors import PotentialError

_DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class Inert:
    """What a pickle says of an object whose class is not looked up.

    Attributes:
        arguments: What its class would have been called with.
        state: What the object would have been filled with, such as the attributes of a module.
    """

    arguments: tuple[Any, ...]
    state: Any

    def __new__(cls, *arguments: Any, **named: Any) -> "Inert":
        """Keep what the class would have been called with."""
        record = object.__new__(cls)
        record.arguments, record.state = arguments, {}
        return record

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """Take any arguments; `__new__` keeps them."""

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        """Entries of a kind of dictionary are not kept."""

    def append(self, value: Any) -> None:
        """Entries of a kind of list are not kept."""


class _Mapping(dict[Any, Any]):
    """An OrderedDict; attributes beside its entries are not kept."""

    def __setstate__(self, state: Any) -> None:
        """Take any attributes."""


class _RebuildTensor:
    """torch's `_rebuild_tensor_v2`."""

    __slots__ = ()  # a pickle can fill no attribute of it

    def __call__(
        self, storage: Tensor | Inert, offset: int, size: Any, stride: Any, *_: Any
    ) -> Tensor | Inert:
        return storage.as_strided(size, stride, offset) if isinstance(storage, Tensor) else storage


class _RebuildParameter:
    """torch's `_rebuild_parameter`."""

    __slots__ = ()

    def __call__(self, tensor: Any, *_: Any) -> Any:
        return tensor


_KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _Mapping,
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,
    ("torch._utils", "_rebuild_tensor_v2"): _RebuildTensor(),
    ("torch._utils", "_rebuild_parameter"): _RebuildParameter(),
    **{("torch", name): dtype for name, dtype in _DTYPES.items()},
}


class _InertUnpickler(pickle.Unpickler):
    def __init__(self, archive: zipfile.ZipFile, member: str, storage_name: str) -> None:
        super().__init__(io.BytesIO(archive.read(member)))
        self._archive, self._storage_name = archive, storage_name
        self._storages: dict[str, Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        return _KNOWN.get((module, name)) or type(name, (Inert,), {"__module__": module})

    def persistent_load(self, pid: Any) -> Tensor | Inert:
        """The numbers of a tensor: pid is ("storage", dtype, key, device, count)."""
        dtype, key = pid[1:3]
        if not isinstance(dtype, torch.dtype):
            return Inert()
        if key not in self._storages:
            content = bytearray(self._archive.read(self._storage_name.format(key)))
            empty = torch.empty(0, dtype=dtype)
            self._storages[key] = torch.frombuffer(content, dtype=dtype) if content else empty
        return self._storages[key]


def read_pickle(archive: zipfile.ZipFile, member: str, storage_name: str) -> Any:
    """Read one pickle of a zip file that `torch.save` or `torch.package` wrote.

    Args:
        archive: The open file.
        member: The pickle's name in it.
        storage_name: Names of the tensors' numbers in it, with {} for their key.

    Returns:
        Plain Python values, tensors (on the CPU) and `Inert` records of everything else.

    Raises:
        PotentialError: The file is damaged.
    """
    try:
        return _InertUnpickler(archive, member, storage_name).load()
    except Exception as error:  # whatever a broken or hostile pickle makes the reader stumble upon
        raise PotentialError(
            f"cannot read {member} in {archive.filename} ({type(error).__name__}: {error}); "
            "the file is damaged: copy it again"
        ) from None
