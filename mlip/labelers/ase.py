"""Any ASE calculator by its dotted name: what has no labeler of its own, and trained potentials."""

import importlib
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from mlip.errors import ConfigError
from mlip.labelers.labeler import Labeler


@dataclass(frozen=True, kw_only=True)
class AseLabeler(Labeler):
    """A calculator class of ASE or of another package; a frame fails where it raises.

    Attributes:
        calculator_class: Dotted name, such as `gpaw.GPAW` or `mlip.deploy.MLIPCalculator`.
        arguments: Keyword arguments of the class.
        charge_argument: Which of them takes the total charge; None refuses charged frames.
        folder_argument: Which of them takes the folder to write into.
    """

    calculator_class: str
    arguments: dict[str, Any] = field(default_factory=dict)
    charge_argument: str | None = None
    folder_argument: str | None = None

    name = "ase"

    def refusal(self, atoms: Atoms, charge: float) -> str | None:
        """Charged frames, unless the calculator is told to take them."""
        if charge and self.charge_argument is None:
            return f"the frame has {charge:+g} e: name the argument for it, labeler.charge_argument=charge"
        return None

    def calculator(self, atoms: Atoms, charge: float, folder: Path) -> BaseCalculator:
        """A new object of the class."""
        arguments = dict(self.arguments)
        if self.charge_argument is not None:
            arguments[self.charge_argument] = charge
        if self.folder_argument is not None:
            arguments[self.folder_argument] = str(folder)
        try:
            return self._class()(**arguments)
        except TypeError as error:
            raise ConfigError(
                f"cannot make {self.calculator_class} of labeler.arguments={self.arguments}: {error}"
            ) from None

    def program(self, folder: Path) -> str:
        """The package that the class is from, with its version where it is an installed one."""
        package = self.calculator_class.partition(".")[0]
        distributions = metadata.packages_distributions().get(package)
        version = f" {metadata.version(distributions[0])}" if distributions else ""
        return f"{self.calculator_class}{version}"

    def _class(self) -> Any:
        module, _, name = self.calculator_class.rpartition(".")
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise ConfigError(
                f"found labeler.calculator_class={self.calculator_class}; expected the dotted name of a "
                f"class that can be imported, such as ase.calculators.emt.EMT ({error})"
            ) from None
