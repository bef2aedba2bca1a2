"""An ASE calculator for potentials and deployed files."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress
from torch import Tensor

from mlip import fields
from mlip.data.graph import Graph
from mlip.data.verlet import MovingGraphs
from mlip.deploy.package import SUFFIX as PACKAGE_SUFFIX
from mlip.deploy.package import load_aotinductor
from mlip.deploy.potential import Potential
from mlip.deploy.torchscript import (
    EDGE_CUTOFFS,
    GRADE_THRESHOLDS,
    SUFFIX,
    edge_cutoffs_from_text,
    load_torchscript,
)
from mlip.errors import ConfigError, PotentialError
from mlip.inputs import resolve_input
from mlip.models.uncertainty import Uncertainty


class Evaluation(NamedTuple):
    """What either kind of file says of one structure.

    Attributes:
        atomic_energies: (N,) eV.
        forces: (N, 3) eV/A.
        virial: (1, 3, 3) eV.
        uncertainty: Computes `extrapolation_grade` and what else the file knows, as it stands in the results
            of ASE; of a batch, atom after atom.
    """

    atomic_energies: Tensor
    forces: Tensor
    virial: Tensor
    uncertainty: Callable[[], dict[str, Any]]


Evaluate = Callable[[Graph], Evaluation]


class GradeThresholds(NamedTuple):
    """Extrapolation grades that matter, found after training (docs/grade.md).

    Attributes:
        select: Structures above it are worth labelling.
        stop: Dynamics should not go on above it.
    """

    select: float
    stop: float


class MLIPCalculator(Calculator):
    """Energy, forces and stress of a `.mlip` potential or of a deployed `.nequip.pth` or `.nequip.pt2` file.

    `free_energy` equals `energy`; `energies` are per atom; `stress` is (1/V) dE/dstrain in eV/A^3, Voigt
    order xx yy zz yz xz xy, for structures periodic in three directions. Where the file has a grade,
    `results` also holds `extrapolation_grade` of each atom; a `.mlip` file then adds one standard deviation
    of the energy, `energy_uncertainty` (eV), and of each atom's forces, `force_uncertainty` (eV/A).

    Args:
        path: The file.
        device: `auto` (CUDA if there is one), `cpu`, `cuda` or `cuda:N`.
        dtype: `float32` or `float64` for a `.mlip` file; a deployed file has its own.
        kernel: The back end that computes: `auto` takes the fastest that works here. A deployed file knows
            `reference` and `cpp`, the kernels it carries for CPUs.
        radial: `exact`, or `table` for radial functions of a `.mlip` file interpolated in a table.

    Attributes:
        species: Chemical symbols the potential knows.
        r_max: Cutoff radius in A.
        edge_cutoffs: (T, T) cutoffs of pairs of species, centre and neighbor, A; None if all are `r_max`.
        evaluate: The same numbers of a graph on `device`, of several structures if the file is a `.mlip`.
        dtype: `float32` or `float64`; empty for foreign files.
        trained_on_stress: False if pressures are extrapolations; None for foreign files.
        grade_thresholds: Of its extrapolation grade; None if the file has none.
        tells_uncertainty: Whether grade and deviations go into each `results`; dynamics ask for them now and
            then, by `grades`.

    Raises:
        DataError: There is no such file.
        PotentialError: The file cannot be used.
        ConfigError: The device or the back end does not exist or does not work here.
    """

    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress"]

    def __init__(
        self,
        path: str | Path,
        device: str = "auto",
        dtype: str | None = None,
        kernel: str = "auto",
        radial: str = "exact",
    ) -> None:
        super().__init__()
        self.path = resolve_input(path)
        self.device = select_device(device)
        self.kernel = kernel
        self.radial = radial
        self.species: tuple[str, ...]
        self.r_max: float
        self.dtype: str
        self.trained_on_stress: bool | None
        self.grade_thresholds: GradeThresholds | None = None
        self.tells_uncertainty = True
        self._known: Callable[[], dict[str, Any]] = dict
        self.edge_cutoffs: tuple[tuple[float, ...], ...] | None = None
        if self.path.name.endswith((SUFFIX, PACKAGE_SUFFIX)):
            self.evaluate = self._open_deployed(dtype)
        elif self.path.suffix == ".mlip":
            self.evaluate = self._open_potential(dtype)
        else:
            raise PotentialError(
                f"found {self.path.name}; expected a .mlip, {SUFFIX} or {PACKAGE_SUFFIX} file"
            )
        self._graphs = MovingGraphs(self.r_max, self.species, self.edge_cutoffs, self.device)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Evaluate the structure; all results come from one pass."""
        super().calculate(atoms, properties, system_changes)
        evaluation = self.evaluate(self._graphs.build(self.atoms))
        energy = float(evaluation.atomic_energies.sum())
        self.results: dict[str, Any] = {
            "energy": energy,
            "free_energy": energy,
            "energies": evaluation.atomic_energies.cpu().numpy(),
            "forces": evaluation.forces.cpu().numpy(),
        }
        self._known = evaluation.uncertainty
        if self.tells_uncertainty:
            self.results.update(self._known())
        if self.atoms.pbc.all():
            stress = -evaluation.virial[0].cpu().numpy() / self.atoms.get_volume()
            self.results["stress"] = full_3x3_to_voigt_6_stress(stress)

    def grades(self) -> np.ndarray | None:
        """(N,) extrapolation grades of the structure that was calculated last; None if the file has none."""
        return self._known().get("extrapolation_grade")

    def _open_potential(self, dtype: str | None) -> Evaluate:
        potential = Potential.load(self.path).astype(dtype)
        self.species = potential.species
        self.r_max = potential.config.r_max
        self.dtype = potential.dtype
        self.trained_on_stress = potential.trained_on_stress
        self.edge_cutoffs = potential.normalization.edge_cutoffs
        force_field = potential.force_field(self.device, self.kernel, self.radial)
        fitted = None if potential.uncertainty is None else potential.uncertainty.to(self.device)
        if fitted is not None:
            self.grade_thresholds = GradeThresholds(fitted.select, fitted.stop)

        def evaluate(graph: Graph) -> Evaluation:
            with torch.enable_grad():
                prediction = force_field(*graph.inputs)
            known = partial(_uncertainty, fitted, prediction.descriptors, graph.species)
            return Evaluation(prediction.atomic_energies, prediction.forces, prediction.virial, known)

        return evaluate

    def _open_deployed(self, dtype: str | None) -> Evaluate:
        packaged = self.path.name.endswith(PACKAGE_SUFFIX)
        load = load_aotinductor if packaged else load_torchscript
        deployed = load(self.path, self.device, self.kernel)
        metadata = deployed.metadata
        if dtype not in (None, metadata["model_dtype"]):
            raise PotentialError(
                f"{self.path.name} computes in {metadata['model_dtype'] or 'its own dtype'}, asked was "
                f"{dtype}; deploy again with dtype={dtype}, or leave dtype out"
            )
        self.species = tuple(metadata["type_names"].split())
        self.edge_cutoffs = edge_cutoffs_from_text(metadata[EDGE_CUTOFFS], len(self.species))
        self.r_max = float(metadata["r_max"])
        self.dtype = metadata["model_dtype"]
        self.trained_on_stress = {"1": True, "0": False}.get(metadata["trained_on_stress"])
        if metadata[GRADE_THRESHOLDS]:
            self.grade_thresholds = GradeThresholds(*map(float, metadata[GRADE_THRESHOLDS].split()))

        def evaluate(graph: Graph) -> Evaluation:
            with torch.enable_grad():
                output = deployed.module(
                    {
                        fields.POSITIONS: graph.positions,
                        fields.ATOM_TYPES: graph.species,
                        fields.EDGE_INDEX: graph.edge_index,
                        fields.EDGE_CELL_SHIFT: graph.edge_shift,
                        fields.CELL: graph.cell,
                    }
                )
            energies = output[fields.ATOMIC_ENERGY].view(-1)
            known = partial(_grade_of_atoms, output.get(fields.EXTRAPOLATION_GRADE))
            return Evaluation(energies, output[fields.FORCES], output[fields.VIRIAL], known)

        return evaluate


def _grade_of_atoms(grade: Tensor | None) -> dict[str, Any]:
    """What a deployed file adds to the results."""
    return {} if grade is None else {"extrapolation_grade": grade.cpu().numpy()}


def _uncertainty(fitted: Uncertainty | None, descriptors: Tensor, species: Tensor) -> dict[str, Any]:
    """What a potential adds to the results."""
    if fitted is None:
        return {}
    return {
        "extrapolation_grade": fitted.grade(descriptors, species).cpu().numpy(),
        "energy_uncertainty": float(fitted.energy(descriptors, species).sum(dim=0).norm()),
        "force_uncertainty": fitted.forces(descriptors, species).norm(dim=1).cpu().numpy(),
    }


def select_device(device: str) -> torch.device:
    """The torch device of `device=`; `auto` takes CUDA if there is one.

    Raises:
        ConfigError: Asked for a device that is not there.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise ConfigError(f"found device={device}; expected auto, cpu, cuda or cuda:N") from None
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"found device={device}, but torch sees no CUDA device; use device=cpu (see mlip doctor)"
        )
    return chosen
