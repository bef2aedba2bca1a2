"""TorchScript files in the format of `pair_style nequip`: the only file that saves and loads by `torch.jit`.

The file itself is the model in plain torch, for every reader. A second TorchScript file inside of it is the
same model with compiled kernels, for those who have our operators.
"""

import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Optional

import torch
from torch import Tensor, nn

from mlip import fields
from mlip.errors import ConfigError, PotentialError
from mlip.models.grade import ExtrapolationGrade
from mlip.nn.derivatives import ForceField
from mlip.nn.kernels.cpp.load import load_operators
from mlip.whole_files import whole_file

logger = logging.getLogger(__name__)

SUFFIX = ".nequip.pth"
REQUIRED_METADATA = ("r_max", "num_types", "type_names", "allow_tf32")
EDGE_CUTOFFS = "per_edge_type_cutoff"
# Of a file with an extrapolation grade: above which structures are worth labelling, and dynamics should stop.
GRADE_THRESHOLDS = "grade_thresholds"
OUR_METADATA = ("vitreous_format", "model_dtype", "trained_on_stress", "radial", GRADE_THRESHOLDS)
# Files inside of a file: the model with compiled kernels, and in plain torch for several processes.
WITH_KERNELS = "vitreous_cpp"
FOR_RANKS = "vitreous_ranks"
KERNELS = ("auto", "reference", "cpp")


class PairStyleModel(nn.Module):
    """A force field behind the dictionary of tensors that `pair_style nequip` sends and reads.

    Total energy and stress are there for nequip's own ASE calculator; with a grade that of each atom, too.
    """

    def __init__(self, force_field: ForceField, grade: ExtrapolationGrade | None) -> None:
        super().__init__()
        self.force_field = force_field
        self.grade = grade

    def forward(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        """Evaluate one structure; keys, dtypes and shapes stand in docs/lammps.md."""
        types = data[fields.ATOM_TYPES]
        cell = data[fields.CELL].view(1, 3, 3)
        num_local: Optional[int] = None  # noqa: UP045 (TorchScript)
        if fields.NUM_LOCAL in data:
            num_local = int(data[fields.NUM_LOCAL].item())
        result = self.force_field(
            data[fields.POSITIONS],
            types,
            data[fields.EDGE_INDEX],
            data[fields.EDGE_CELL_SHIFT],
            cell,
            torch.zeros_like(types),
            num_local,
        )
        volume = torch.linalg.det(cell).abs().view(1, 1, 1)
        output = {
            fields.TOTAL_ENERGY: result.energy.unsqueeze(-1),
            fields.ATOMIC_ENERGY: result.atomic_energies.unsqueeze(-1),
            fields.FORCES: result.forces,
            fields.VIRIAL: result.virial,
            fields.EDGE_GRADIENT: result.edge_gradient,
            fields.STRESS: -result.virial / volume.where(volume > 0.0, torch.full_like(volume, float("inf"))),
        }
        if self.grade is not None:
            output[fields.EXTRAPOLATION_GRADE] = self.grade(result.descriptors, types)
        return output


@dataclass(frozen=True)
class ScriptedModel:
    """A deployed file, loaded.

    Attributes:
        module: Takes and returns what docs/lammps.md says.
        metadata: Strings; empty where the file has none.
        kernel: What it computes with: `reference`, or `cpp` with the target of its kernels.
    """

    module: torch.jit.ScriptModule
    metadata: Mapping[str, str]
    kernel: str


def save_torchscript(
    force_field: ForceField,
    metadata: Mapping[str, str],
    path: Path,
    grade: ExtrapolationGrade | None = None,
    inside: Mapping[str, nn.Module] | None = None,
) -> None:
    """Script a force field and write it with its metadata.

    Args:
        force_field: In evaluation mode, on the device it will run on.
        metadata: All of `REQUIRED_METADATA`, and ours.
        path: Must end in `.nequip.pth`, as the pair style demands.
        grade: Of the same weights and on the same device, to be returned for each atom; None for no grade.
        inside: The same for others than foreign readers, by `WITH_KERNELS` and `FOR_RANKS`.
    """
    files: dict[str, str | bytes] = dict(metadata)
    with _without_deprecation(), whole_file(path) as temporary:
        files |= {name: script_inside(model) for name, model in (inside or {}).items()}
        scripted = torch.jit.script(PairStyleModel(force_field, grade).eval())
        scripted.save(str(temporary), _extra_files=files)


def script_inside(model: nn.Module) -> bytes:
    """A TorchScript file, to be carried inside of a deployed file."""
    content = io.BytesIO()
    with _without_deprecation():
        torch.jit.save(torch.jit.script(model.eval()), content)
    return content.getvalue()


def load_torchscript(path: Path, device: str | torch.device, kernel: str = "reference") -> ScriptedModel:
    """Load a deployed file, ours or one that nequip exported.

    Args:
        path: The file.
        device: Where it will run.
        kernel: `reference` for plain torch; `cpp` for the compiled kernels that the file carries, on a CPU;
            `auto` for these where they work.

    Raises:
        PotentialError: The file is damaged or carries no metadata of the pair style, or no kernels for
            kernel=cpp.
        ConfigError: There is no such kernel, or it does not work here.
    """
    if kernel not in KERNELS:
        raise ConfigError(f"found kernel={kernel} for {path.name}; expected one of {', '.join(KERNELS)}")
    found = dict.fromkeys((*REQUIRED_METADATA, *OUR_METADATA, EDGE_CUTOFFS, WITH_KERNELS), "")
    try:
        with _without_deprecation():
            module = torch.jit.load(str(path), map_location=device, _extra_files=found)
    except RuntimeError as error:
        raise PotentialError(
            f"{path} is not a whole TorchScript file ({str(error).splitlines()[0]}); "
            "deploy the potential again"
        ) from None
    # The profiling executor specialises on shapes that change at every step: 0.1 s lost, nothing won.
    torch._C._jit_set_profiling_mode(False)
    content = found.pop(WITH_KERNELS)
    metadata = {k: v.decode() if isinstance(v, bytes) else v for k, v in found.items()}
    missing = [name for name in REQUIRED_METADATA if not metadata[name]]
    if missing:
        raise PotentialError(
            f"{path} lacks the metadata {', '.join(missing)}; expected a file of mlip deploy"
        )
    where, ours = torch.device(device), bool(metadata["vitreous_format"])
    if kernel == "cpp" or (kernel == "auto" and where.type == "cpu" and ours):
        try:
            return load_with_kernels(content, metadata, path.name, where)
        except (ConfigError, PotentialError) as error:
            if kernel == "cpp":
                raise
            _warn_once(f"{path.name} runs on slow kernels: {error}")
    return ScriptedModel(module, metadata, "reference")


def load_with_kernels(
    content: str | bytes, metadata: Mapping[str, str], name: str, device: torch.device
) -> ScriptedModel:
    """The model with compiled kernels that a deployed file carries; its kernels are loaded.

    Args:
        content: What `script_inside` gave; empty where the file carries none.
        metadata: Of the file.
        name: Of the file.
        device: Where it will run.

    Raises:
        PotentialError: There are none, or they do not work here.
        ConfigError: There is no compiler for the operators, or the device is no CPU.
    """
    if device.type != "cpu":
        raise ConfigError(f"found kernel=cpp on {device}; expected device=cpu, or kernel=auto")
    if not content:
        raise PotentialError(f"found no compiled kernels in {name}; deploy again where a compiler is")
    load_operators()
    try:
        with _without_deprecation():
            module = torch.jit.load(io.BytesIO(content), map_location=device)  # type: ignore[arg-type]
        return ScriptedModel(module, metadata, f"cpp ({module.load_kernels()})")
    except RuntimeError as error:
        reasons = [line for line in str(error).splitlines() if "Error: " in line]
        reason = reasons[-1].partition("Error: ")[2] if reasons else str(error).splitlines()[0]
        raise PotentialError(f"cannot use the compiled kernels in {name}: {reason}") from None


@contextmanager
def _without_deprecation() -> Iterator[None]:
    """TorchScript is deprecated upstream; kept because the pair style of LAMMPS reads it everywhere."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message=r".*torch\.jit\..* is deprecated", category=DeprecationWarning
        )
        yield


@cache
def _warn_once(message: str) -> None:
    logger.warning(message)


def edge_cutoffs_to_text(cutoffs: Sequence[Sequence[float]]) -> str:
    """Cutoffs (T, T) in A as the pair style reads them: row by centre, column by neighbour."""
    return " ".join(repr(cutoff) for row in cutoffs for cutoff in row)


def edge_cutoffs_from_text(text: str, num_types: int) -> tuple[tuple[float, ...], ...] | None:
    """Cutoffs (T, T) in A; None where the file has none.

    Raises:
        PotentialError: There are not T^2 numbers.
    """
    if not text:
        return None
    numbers = tuple(float(word) for word in text.split())
    if len(numbers) != num_types**2:
        raise PotentialError(
            f"found {len(numbers)} numbers in {EDGE_CUTOFFS}; expected {num_types**2} for {num_types} types"
        )
    return tuple(numbers[start : start + num_types] for start in range(0, len(numbers), num_types))
