"""What a labeler is: an ASE calculator, what its numbers depend on, whether it converged, what it needs."""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from numpy.typing import NDArray

from mlip.errors import ConfigError, DataError


@dataclass(frozen=True)
class Label:
    """What a frame is labelled with.

    Attributes:
        energy: Force-consistent energy, eV.
        forces: Shape (N, 3), eV/A.
        stress: (1/V) dE/dstrain in Voigt order xx yy zz yz xz xy, eV/A^3; only of frames periodic in all
            directions.
    """

    energy: float
    forces: NDArray[np.float64]
    stress: NDArray[np.float64] | None


@dataclass(frozen=True, kw_only=True)
class Labeler(ABC):
    """A program with its settings; `conf/labeler/NAME.yaml` sets it up.

    Attributes:
        cores: Cores that one frame takes.
    """

    cores: int = 1

    # No fields: the name that stands with each label, and the fields that no number depends on.
    name: ClassVar[str] = ""
    resources: ClassVar[tuple[str, ...]] = ("cores",)

    def __post_init__(self) -> None:
        if self.cores < 1:
            raise ConfigError(f"found labeler.cores={self.cores}; expected 1 or more")

    @abstractmethod
    def calculator(self, atoms: Atoms, charge: float, folder: Path) -> BaseCalculator:
        """Set the program up for one frame.

        Args:
            atoms: The frame.
            charge: Total charge, e; in a periodic cell a uniform background makes up for it.
            folder: Where the program writes.

        Returns:
            A calculator that has not computed yet.

        Raises:
            ConfigError: The program is not there: no frame can be labelled.
        """

    @abstractmethod
    def program(self, folder: Path) -> str:
        """Name and version of what computed in a folder, such as `CP2K 2023.1`."""

    def settings(self) -> dict[str, Any]:
        """All that the numbers depend on: labels with equal settings may stand in one data set."""
        return {key: value for key, value in asdict(self).items() if key not in self.resources}

    def refusal(self, atoms: Atoms, charge: float) -> str | None:
        """Why the program cannot compute a frame at all, in words that end a sentence; None if it can."""
        return None

    def failure(self, folder: Path) -> str | None:
        """Why what the program left in a folder is no label, such as a cycle that did not converge."""
        return None

    def environment(self) -> dict[str, str]:
        """Environment variables the program wants."""
        return {"OMP_NUM_THREADS": "1"}


def frame_charge(atoms: Atoms) -> float:
    """Total charge of a frame, e: `info["charge"]`, 0 without one.

    Raises:
        DataError: It is no finite number.
    """
    found = atoms.info.get("charge", 0.0)
    try:
        charge = float(found)
    except (TypeError, ValueError):
        charge = np.nan
    if not np.isfinite(charge):
        raise DataError(f"found charge={found} in a frame; expected one finite number in units of e")
    return charge


def lacks_cell(atoms: Atoms) -> str | None:
    """A refusal of frames without a cell, for programs that compute in boxes."""
    if atoms.cell.rank == 3:
        return None
    return "it needs a cell of three vectors: put the atoms into a box, for example by atoms.center(vacuum=8)"
