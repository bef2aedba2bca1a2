"""Files of AOTInductor in the format of nequip 0.19, `.nequip.pt2`: what is in them, and reading them.

Such a file is a zip with a shared library in it, compiled for one kind of processor or GPU and one torch.
"""

import platform
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mlip import fields
from mlip.deploy.torchscript import EDGE_CUTOFFS, OUR_METADATA, REQUIRED_METADATA, load_with_kernels
from mlip.errors import PotentialError

SUFFIX = ".nequip.pt2"
INPUTS = (fields.POSITIONS, fields.EDGE_INDEX, fields.ATOM_TYPES, fields.CELL, fields.EDGE_CELL_SHIFT)
# What foreign readers expect first, in this order: nequip's ASE calculator, and the pair style of LAMMPS.
OUTPUTS = {
    "ase": (fields.ATOMIC_ENERGY, fields.TOTAL_ENERGY, fields.FORCES, fields.STRESS),
    "lammps": (fields.ATOMIC_ENERGY, fields.FORCES, fields.VIRIAL),
}
# The names that foreign readers know, and those of all outputs.
THEIR_INPUTS, THEIR_OUTPUTS, OUR_OUTPUTS = "nequip_aoti_inputs", "nequip_aoti_outputs", "vitreous_outputs"
TORCH_VERSION = "torch_version"
# Where, in the zip, the compiled kernels lie that the program calls.
KERNELS, KERNELS_RECORD = "vitreous_kernels", "vitreous/kernels.pth"


@dataclass(frozen=True)
class PackagedModel:
    """A deployed file, loaded.

    Attributes:
        program: Takes and returns tensors in the order of the metadata.
        metadata: Strings; ours are empty where the file has none.
        kernel: What it computes with: `reference`, or `cpp` with the target of its kernels.
    """

    program: Callable[..., Sequence[Tensor]]
    metadata: Mapping[str, str]
    kernel: str

    def module(self, data: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Evaluate one structure; keys, dtypes and shapes stand in docs/lammps.md."""
        outputs = self.program(*(data[name] for name in self.metadata[THEIR_INPUTS].split()))
        names = (self.metadata.get(OUR_OUTPUTS) or self.metadata[THEIR_OUTPUTS]).split()
        result = dict(zip(names, outputs, strict=True))
        if fields.VIRIAL not in result:  # what nequip compiled for ASE
            result[fields.VIRIAL] = -result[fields.STRESS] * torch.linalg.det(data[fields.CELL]).abs()
        return result


def load_aotinductor(path: Path, device: torch.device, kernel: str = "auto") -> PackagedModel:
    """Load a deployed file, ours or one that nequip compiled.

    Args:
        path: The file.
        device: Where it will run.
        kernel: `auto`; `cpp` or `reference` demand that the file was deployed so.

    Raises:
        PotentialError: The file is damaged, was compiled for something else than what is here, or carries no
            metadata of the pair style.
        ConfigError: There is no compiler for the operators that the file needs.
    """
    metadata = read_metadata(path)
    _require_here(path, metadata, device)
    used = "reference"
    if KERNELS in metadata:
        used = load_with_kernels(_read_kernels(path, metadata[KERNELS]), metadata, path.name, device).kernel
    if kernel not in ("auto", used.partition(" ")[0]):
        raise PotentialError(
            f"{path.name} was deployed with kernel={used}, asked was {kernel}; deploy again with "
            f"kernel={kernel}, or leave kernel out"
        )
    try:
        program = torch._inductor.aoti_load_package(str(path), device_index=device.index or -1)
    except RuntimeError as error:
        raise PotentialError(_damaged(path, error)) from None
    optional = dict.fromkeys((*OUR_METADATA, EDGE_CUTOFFS), "")
    return PackagedModel(program, optional | metadata, used)


def _read_kernels(path: Path, record: str) -> bytes:
    with zipfile.ZipFile(path) as archive:
        folder = archive.namelist()[0].partition("/")[0]
        return archive.read(f"{folder}/{record}")


def read_metadata(path: Path) -> dict[str, str]:
    """What the file says about itself; nothing of it is run.

    Raises:
        PotentialError: The file is damaged or carries no metadata of the pair style.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged:
            raise zipfile.BadZipFile(f"{damaged} is not what was written")
        loader: Any = torch._C._aoti.AOTIModelPackageLoader
        metadata: dict[str, str] = loader.load_metadata_from_package(str(path), "model")
    except (zipfile.BadZipFile, OSError, RuntimeError) as error:
        raise PotentialError(_damaged(path, error)) from None
    missing = [name for name in (*REQUIRED_METADATA, THEIR_INPUTS, THEIR_OUTPUTS) if not metadata.get(name)]
    if missing:
        raise PotentialError(
            f"{path} lacks the metadata {', '.join(missing)}; "
            "expected a file of mlip deploy or of nequip-compile"
        )
    return metadata


def torch_version() -> str:
    """Of the torch that is here, without the name of its build."""
    return torch.__version__.partition("+")[0]


def _require_here(path: Path, metadata: Mapping[str, str], device: torch.device) -> None:
    """Refuse a file that was compiled for another torch, processor or device."""
    here = {
        TORCH_VERSION: f"torch {torch_version()}",
        "AOTI_DEVICE_KEY": f"device {device.type}",
        "AOTI_MACHINE": f"processor {platform.machine()}",
    }
    for key, found in here.items():
        name, _, value = found.partition(" ")
        if metadata.get(key, value) != value:
            raise PotentialError(
                f"{path.name} was compiled for {name} {metadata[key]}, here is {value}; "
                "deploy the potential again"
            )
    instructions = metadata.get("AOTI_CPU_ISA", "")
    if instructions.startswith("AVX512") and not torch.cpu.get_capabilities().get("avx512_f", False):
        raise PotentialError(
            f"{path.name} was compiled for {instructions}, which this processor has not; "
            "deploy the potential on this machine"
        )


def _damaged(path: Path, error: Exception) -> str:
    reason = str(error).strip().splitlines()[0]
    return f"{path} is not a whole AOTInductor file ({reason}); deploy the potential again"
