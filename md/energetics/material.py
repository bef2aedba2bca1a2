"""What energies are computed of, and with what: structures, a calculator, and crystals at their minimum."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase import Atoms
from ase.calculators.calculator import Calculator
from omegaconf import DictConfig, OmegaConf

from mlip.data.read import read_frames
from mlip.errors import DataError
from mlip.inputs import as_names
from mlip.settings import build_settings
from mlip.structures.build import build_chosen, read_parents

if TYPE_CHECKING:  # torch, which most analyses do without
    from md.energetics.relaxed import Relaxed
    from md.energetics.settings import EnergeticsSettings
    from md.energetics.surface_energy import SurfaceEnergy

# Of the symmetry of crystals, A.
SYMMETRY_A = 0.01


@dataclass(frozen=True)
class Material:
    """What is computed, and how.

    Attributes:
        structures: Frames of structure=.
        crystals: Frames of crystal=: what glasses are compared with.
        species: Symbols that were asked for.
        calculator: Gives energy, forces and stress.
        settings: Numbers of `energetics.`.
        folder: Where PNG and CSV go.
    """

    structures: Sequence[Atoms]
    crystals: Sequence[Atoms]
    species: Sequence[str]
    calculator: Calculator
    settings: "EnergeticsSettings"
    folder: Path

    @cached_property
    def crystal(self) -> "Relaxed":
        """The one structure at its minimum, atoms and cell.

        Raises:
            DataError: There is another number of them.
        """
        from md.energetics.relaxed import relax

        if len(self.structures) != 1:
            raise DataError(
                f"found {len(self.structures)} frames in structure=; expected one crystal: write it to its "
                "own file"
            )
        return relax(self.structures[0], self.calculator, self.settings.tolerance, cell="flexible")

    @cached_property
    def surfaces(self) -> "list[SurfaceEnergy]":
        """Surface energies of the crystal, planes in turn."""
        from md.energetics.surface_energy import compute_surface_energies
        from mlip.structures.orientation import conventional_cell, distinct_planes

        settings = self.settings
        crystal = conventional_cell(self.crystal.atoms, SYMMETRY_A)
        planes = [(plane[0], plane[1], plane[2]) for plane in settings.planes or ()]
        found = compute_surface_energies(
            crystal,
            planes or distinct_planes(crystal, settings.max_index, SYMMETRY_A),
            self.calculator,
            thickness_A=settings.thickness_A,
            vacuum_A=settings.vacuum_A,
            bonds=settings.bonds,
            tolerance=settings.tolerance,
        )
        if not found:
            raise DataError(
                "found no surface of whole formula units; expected one: take other energetics.planes, a "
                "larger energetics.max_index, or fewer energetics.bonds"
            )
        return found


def open_material(config: DictConfig, folder: Path) -> Material:
    """Read what the keys of `conf/analyze.yaml` name, and open the potential.

    Raises:
        ConfigError: Settings that make no sense.
        DataError: A structure cannot be read.
        PotentialError: The potential cannot be used.
    """
    from md.energetics.settings import EnergeticsSettings, open_calculator

    numbers: Any = OmegaConf.to_container(config.energetics, resolve=True)
    settings = build_settings(EnergeticsSettings, numbers, "energetics")
    arguments: Any = OmegaConf.to_container(config.arguments) if config.arguments is not None else {}
    calculator = open_calculator(
        config.potential, config.calculator, arguments, config.device, config.dtype, config.kernel
    )
    structures = _build(config) if config.get("builder") is not None else _read(config.structure)
    crystals = _read(config.crystal)
    return Material(structures, crystals, as_names(config.species), calculator, settings, folder)


def _read(names: str | Sequence[str] | None) -> list[Atoms]:
    return [] if names is None else read_frames(as_names(names))


def _build(config: DictConfig) -> list[Atoms]:
    """What a builder makes of structure=, interfaces with what they are compared with."""
    options = config.builder.copy()
    if "references" in options:
        options.references = True
    return list(build_chosen(options, read_parents(as_names(config.structure)), config.seed))
