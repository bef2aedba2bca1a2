"""`potential.mlip`: the lasting form of a trained potential, a zip without any pickle in it.

Members: `potential.json` (format, architecture, species, units, statistics, data hash, errors, a reference
structure, thresholds of the grade), `weights.safetensors`, `card.md`; `grade.safetensors` where fitted.
"""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from ase import Atoms
from safetensors.torch import load as load_weights
from safetensors.torch import save as save_weights
from torch import Tensor

from mlip.errors import PotentialError
from mlip.inputs import resolve_input
from mlip.models.build import build_force_field, config_from_dict, config_to_dict
from mlip.models.config import ModelConfig
from mlip.models.normalization import Normalization
from mlip.models.uncertainty import Uncertainty
from mlip.nn.derivatives import ForceField
from mlip.nn.kernels.choose import resolve_kernel, use_kernel
from mlip.whole_files import whole_file

FORMAT = 2
DTYPES = {"float32": torch.float32, "float64": torch.float64}
UNITS = {"energy": "eV", "length": "A", "forces": "eV/A", "stress": "eV/A^3"}


@dataclass(frozen=True)
class Potential:
    """A trained potential and what is known about it.

    Attributes:
        config: Its architecture.
        species: Chemical symbols, sorted by atomic number.
        dtype: `float32` or `float64`: of weights and features.
        normalization: Neighbours, energy scales and shifts, and cutoffs, per species.
        weights: The state dict of its `ForceField`.
        reference_structure: A training frame, on which every deployment is verified.
        pair_cutoffs: (T, T) A, where the pair potential of each pair of species ends; None without one.
        trained_on_stress: Whether stresses were in the loss; without them pressures are extrapolated.
        data: Hash and counts of the training data.
        statistics: Statistics of the training data.
        errors: Errors on the validation frames, as in `errors.json`.
        card: Human-readable summary in Markdown.
        uncertainty: Extrapolation grade and Laplace deviations for these weights; None where not fitted.
    """

    config: ModelConfig
    species: tuple[str, ...]
    dtype: str
    normalization: Normalization
    weights: Mapping[str, Tensor]
    reference_structure: Atoms
    trained_on_stress: bool
    pair_cutoffs: tuple[tuple[float, ...], ...] | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    statistics: Mapping[str, Any] = field(default_factory=dict)
    errors: Mapping[str, Any] = field(default_factory=dict)
    card: str = ""
    uncertainty: Uncertainty | None = None

    def force_field(
        self, device: str | torch.device = "cpu", kernel: str = "reference", radial: str = "exact"
    ) -> ForceField:
        """The model with its weights, in evaluation mode; parameters take no gradients.

        Args:
            device: Where it will run.
            kernel: The back end that computes it, one of `mlip.nn.kernels.choose.KERNELS`.
            radial: `exact` or `table`; see `mlip.nn.kernels.choose.use_kernel`.

        Raises:
            PotentialError: The weights do not fit the architecture.
            ConfigError: The back end does not work here.
        """
        model = self.untrained_force_field()
        try:
            model.load_state_dict(dict(self.weights))
        except RuntimeError as error:
            raise PotentialError(
                f"found weights that do not fit the architecture ({str(error).splitlines()[-1].strip()}); "
                "the file was altered: train or export it again"
            ) from None
        chosen = resolve_kernel(kernel, torch.device(device))
        return use_kernel(model.eval().requires_grad_(False), chosen, radial).to(device)

    def untrained_force_field(self) -> ForceField:
        """The model with random weights, as training starts from it."""
        return build_force_field(
            self.config, self.species, self.normalization, DTYPES[self.dtype], self.pair_cutoffs
        )

    def astype(self, dtype: str | None) -> "Potential":
        """The same potential computing in another dtype; None keeps its own.

        Raises:
            PotentialError: The dtype is unknown.
        """
        if dtype is None or dtype == self.dtype:
            return self
        if dtype not in DTYPES:
            raise PotentialError(f"found dtype={dtype}; expected float32 or float64")
        return replace(self, dtype=dtype)

    def save(self, path: str | Path) -> None:
        """Write the file so that a kill leaves either the old file or the new one."""
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in self.weights.items()}
        with whole_file(Path(path)) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            archive.writestr("potential.json", json.dumps(self._to_json(), indent=2))
            archive.writestr("weights.safetensors", save_weights(weights))
            if self.uncertainty is not None:
                archive.writestr("grade.safetensors", save_weights(self.uncertainty.tensors()))
            archive.writestr("card.md", self.card)

    @classmethod
    def load(cls, path: str | Path) -> "Potential":
        """Read a `.mlip` file.

        Raises:
            DataError: There is no such file.
            PotentialError: The file is damaged or of a newer format.
        """
        file = resolve_input(path)
        try:
            with zipfile.ZipFile(io.BytesIO(file.read_bytes())) as archive:
                content = json.loads(archive.read("potential.json"))
                weights = load_weights(archive.read("weights.safetensors"))
                card = archive.read("card.md").decode()
                fitted = content.get("grade") is not None
                tensors = load_weights(archive.read("grade.safetensors")) if fitted else {}
        except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
            raise PotentialError(
                f"{file} is not a whole .mlip file ({error}); copy it again, or give the potential.mlip "
                "that mlip train wrote"
            ) from None
        if content.get("format") == 1:
            content, weights = _from_format_1(content, weights)
        if content.get("format") != FORMAT:
            raise PotentialError(
                f"{file} has format {content.get('format')}; this version reads 1 to {FORMAT}: update"
            )
        potential = cls._from_json(content, weights, card)
        return (
            replace(potential, uncertainty=Uncertainty.restore(tensors, content["grade"]))
            if fitted
            else potential
        )

    def _to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "architecture": config_to_dict(self.config),
            "species": list(self.species),
            "dtype": self.dtype,
            "units": UNITS,
            "normalization": asdict(self.normalization),
            "trained_on_stress": self.trained_on_stress,
            "pair_cutoffs": self.pair_cutoffs,
            "data": dict(self.data),
            "statistics": dict(self.statistics),
            "errors": dict(self.errors),
            "grade": None if self.uncertainty is None else self.uncertainty.settings(),
            "reference_structure": _structure_to_json(self.reference_structure),
        }

    @classmethod
    def _from_json(cls, content: Mapping[str, Any], weights: Mapping[str, Tensor], card: str) -> "Potential":
        return cls(
            config=config_from_dict(content["architecture"]),
            species=tuple(content["species"]),
            dtype=content["dtype"],
            normalization=Normalization(**{k: _as_tuples(v) for k, v in content["normalization"].items()}),
            weights=weights,
            reference_structure=Atoms(**content["reference_structure"]),
            trained_on_stress=content["trained_on_stress"],
            pair_cutoffs=_as_tuples(content["pair_cutoffs"]),
            data=content["data"],
            statistics=content["statistics"],
            errors=content["errors"],
            card=card,
        )


def _as_tuples(value: Any) -> Any:
    """Lists of JSON, of any depth, as tuples."""
    return tuple(_as_tuples(each) for each in value) if isinstance(value, list) else value


def _from_format_1(
    content: Mapping[str, Any], weights: Mapping[str, Tensor]
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Rewrite what version 0.1 wrote: one number of neighbours, one cutoff, scales and shifts as buffers."""
    num_species = len(content["species"])
    normalization = {
        "avg_num_neighbors": [content["avg_num_neighbors"]] * num_species,
        "energy_scales": content["energy_scales"],
        "energy_shifts": content["energy_shifts"],
        "edge_cutoffs": [[content["architecture"]["r_max"]] * num_species] * num_species,
    }
    moved = {f"model.energy_{name}": f"model.scale_shift.{name}" for name in ("scales", "shifts")}
    return (
        {**content, "format": 2, "normalization": normalization},
        {moved.get(name, name): tensor for name, tensor in weights.items()},
    )


def _structure_to_json(atoms: Atoms) -> dict[str, Sequence[Any]]:
    return {
        "numbers": atoms.numbers.tolist(),
        "positions": atoms.positions.tolist(),
        "cell": atoms.cell.array.tolist(),
        "pbc": [bool(p) for p in atoms.pbc],
    }
