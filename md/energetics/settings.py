"""What `mlip analyze` computes energies with: numbers of `energetics.`, and the calculator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ase.calculators.calculator import Calculator

from md.energetics.relaxed import Tolerance
from mlip.deploy import MLIPCalculator
from mlip.errors import ConfigError
from mlip.labelers.ase import make_calculator

CELLS = (None, "z", "flexible")


@dataclass(frozen=True)
class EnergeticsSettings:
    """Keys of `energetics.` in conf/analyze.yaml.

    Attributes:
        force_tolerance_eV_A: Largest force on an atom after a relaxation.
        stress_tolerance_GPa: Largest stress on what of a cell may change.
        max_steps: Of each relaxation; 0 relaxes nothing.
        relax_cell: Of interfaces: z, flexible or None.
        registries: Shifts of interfaces of crystals that are tried, along each vector in the plane.
        max_index: Largest Miller index of surfaces.
        planes: These alone, each three Miller indices of the conventional cell.
        thickness_A: Of slabs, at least.
        vacuum_A: From a slab to its next image.
        bonds: [species, species, longest length in A] of bonds that no surface cuts.
        relative_volumes: From and to, of equations of state.
        num_volumes: How many.
        strain: The largest of elastic tensors.
        displacement_A: Of an atom, for phonons.
        distances_A: From and to, of curves of pairs.
        step_A: From one distance to the next.
    """

    force_tolerance_eV_A: float = 0.01
    stress_tolerance_GPa: float = 0.01
    max_steps: int = 500
    relax_cell: str | None = "z"
    registries: int = 6
    max_index: int = 1
    planes: Sequence[Sequence[int]] | None = None
    thickness_A: Sequence[float] = (8.0, 12.0, 16.0, 20.0)
    vacuum_A: float = 15.0
    bonds: Sequence[Sequence[str | float]] = field(default_factory=list)
    relative_volumes: Sequence[float] = (0.88, 1.12)
    num_volumes: int = 9
    strain: float = 0.01
    displacement_A: float = 0.01
    distances_A: Sequence[float] = (0.5, 6.0)
    step_A: float = 0.1

    def __post_init__(self) -> None:
        if self.relax_cell not in CELLS:
            raise ConfigError(
                f"found energetics.relax_cell={self.relax_cell}; expected z, flexible, or null: a fixed cell"
            )
        for key in ("registries", "max_index", "vacuum_A", "strain", "displacement_A"):
            if getattr(self, key) <= 0:
                raise ConfigError(
                    f"found energetics.{key}={getattr(self, key)}; expected a number above zero"
                )
        if not self.thickness_A or min(self.thickness_A) <= 0:
            raise ConfigError(
                f"found energetics.thickness_A={list(self.thickness_A)}; expected some above zero"
            )
        for plane in self.planes or ():
            if len(plane) != 3 or not any(plane):
                raise ConfigError(
                    f"found energetics.planes={[list(each) for each in self.planes or ()]}; expected three "
                    "Miller indices each, such as [[1,1,0],[1,1,1]]"
                )

    @property
    def tolerance(self) -> Tolerance:
        """When relaxations are done."""
        return Tolerance(self.force_tolerance_eV_A, self.stress_tolerance_GPa, self.max_steps)


def open_calculator(
    potential: str | None,
    calculator: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    device: str = "auto",
    dtype: str | None = None,
    kernel: str = "auto",
) -> Calculator:
    """Open a potential, or make any calculator of ASE by its dotted name.

    Args:
        potential: A `.mlip` or a deployed file.
        calculator: A class in its place, such as ase.calculators.emt.EMT.
        arguments: Of that class.
        device: Of the potential.
        dtype: Of the potential.
        kernel: Of the potential.

    Raises:
        ConfigError: Neither or both are given, or the class cannot be made.
        PotentialError: The file cannot be used.
    """
    if (potential is None) == (calculator is None):
        raise ConfigError(
            f"found potential={potential or 'null'} and calculator={calculator or 'null'}; expected one of "
            "them: a .mlip or deployed file, or a class such as ase.calculators.emt.EMT"
        )
    if calculator is not None:
        made = make_calculator(calculator, arguments or {}, "calculator", "arguments")
        if not isinstance(made, Calculator):
            raise ConfigError(f"found calculator={calculator}; expected a calculator class of ASE")
        return made
    opened = MLIPCalculator(str(potential), device, dtype, kernel)
    opened.tells_uncertainty = False  # nobody asks, and of a small structure it is a tenth of the time
    return opened
