"""TorchScript files in the format of `pair_style nequip`: the only file that knows `torch.jit`."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from mlip import fields
from mlip.errors import PotentialError
from mlip.models.grade import ExtrapolationGrade
from mlip.nn.derivatives import ForceField

SUFFIX = ".nequip.pth"
REQUIRED_METADATA = ("r_max", "num_types", "type_names", "allow_tf32")
OUR_METADATA = ("vitreous_format", "model_dtype", "trained_on_stress")


class PairStyleModel(nn.Module):
    """A force field behind the dictionary of tensors that `pair_style nequip` sends and reads.

    With a grade it also returns that of each atom, for whoever asks.
    """

    def __init__(self, force_field: ForceField, grade: ExtrapolationGrade | None) -> None:
        super().__init__()
        self.force_field = force_field
        self.grade = grade

    def forward(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        """Evaluate one structure; keys, dtypes and shapes stand in docs/lammps.md."""
        types = data[fields.ATOM_TYPES]
        result = self.force_field(
            data[fields.POSITIONS],
            types,
            data[fields.EDGE_INDEX],
            data[fields.EDGE_CELL_SHIFT],
            data[fields.CELL].view(1, 3, 3),
            torch.zeros_like(types),
        )
        output = {
            fields.ATOMIC_ENERGY: result.atomic_energies.unsqueeze(-1),
            fields.FORCES: result.forces,
            fields.VIRIAL: result.virial,
        }
        if self.grade is not None:
            output[fields.EXTRAPOLATION_GRADE] = self.grade(result.descriptors, types)
        return output


@dataclass(frozen=True)
class ScriptedModel:
    """A deployed file, loaded."""

    module: torch.jit.ScriptModule
    metadata: Mapping[str, str]


def save_torchscript(
    force_field: ForceField, metadata: Mapping[str, str], path: Path, grade: ExtrapolationGrade | None = None
) -> None:
    """Script a force field and write it with its metadata.

    Args:
        force_field: In evaluation mode, on the device it will run on.
        metadata: All of `REQUIRED_METADATA`, and ours.
        path: Must end in `.nequip.pth`, as the pair style demands.
        grade: Of the same weights and on the same device, to be returned for each atom; None for no grade.
    """
    with warnings.catch_warnings():
        # Deprecated upstream; kept because the pair style of LAMMPS reads it everywhere.
        warnings.filterwarnings(
            "ignore", message=r".*torch\.jit\..* is deprecated", category=DeprecationWarning
        )
        scripted = torch.jit.script(PairStyleModel(force_field, grade))
        temporary = Path(f"{path}.tmp")
        scripted.save(str(temporary), _extra_files=dict(metadata))
    temporary.replace(path)


def load_torchscript(path: Path, device: str | torch.device) -> ScriptedModel:
    """Load a deployed file, ours or one that nequip exported.

    Raises:
        PotentialError: The file is damaged or carries no metadata of the pair style.
    """
    found = dict.fromkeys((*REQUIRED_METADATA, *OUR_METADATA, "per_edge_type_cutoff"), "")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message=r".*torch\.jit\..* is deprecated", category=DeprecationWarning
            )
            module = torch.jit.load(str(path), map_location=device, _extra_files=found)
    except RuntimeError as error:
        raise PotentialError(
            f"{path} is not a whole TorchScript file ({str(error).splitlines()[0]}); "
            "deploy the potential again"
        ) from None
    # The profiling executor specialises on shapes that change at every step: 0.1 s lost, nothing won.
    torch._C._jit_set_profiling_mode(False)
    metadata = {k: v.decode() if isinstance(v, bytes) else v for k, v in found.items()}
    missing = [name for name in REQUIRED_METADATA if not metadata[name]]
    if missing:
        raise PotentialError(
            f"{path} lacks the metadata {', '.join(missing)}; expected a file of mlip deploy"
        )
    return ScriptedModel(module, metadata)
