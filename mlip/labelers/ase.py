"""Any ASE calculator by its dotted name: what has no labeler of its own, and trained potentials."""

import importlib
from collections.abc import Mapping
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
        return make_calculator(
            self.calculator_class, arguments, "labeler.calculator_class", "labeler.arguments"
        )

    def program(self, folder: Path) -> str:
        """The package that the class is from, with its version where it is an installed one."""
        package = self.calculator_class.partition(".")[0]
        distributions = metadata.packages_distributions().get(package)
        version = f" {metadata.version(distributions[0])}" if distributions else ""
        return f"{self.calculator_class}{version}"


def make_calculator(
    name: str, arguments: Mapping[str, Any], name_key: str, arguments_key: str
) -> BaseCalculator:
    """Make an object of a calculator's class.

    Args:
        name: Dotted name of the class.
        arguments: Of the class.
        name_key: Key of the config that has the name, for messages.
        arguments_key: The one that has the arguments.

    Raises:
        ConfigError: The class cannot be imported, or does not take these arguments.
    """
    module, _, attribute = name.rpartition(".")
    try:
        kind = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"found {name_key}={name}; expected the dotted name of a class that can be imported, such as "
            f"ase.calculators.emt.EMT ({error})"
        ) from None
    try:
        return kind(**arguments)
    except TypeError as error:
        raise ConfigError(f"cannot make {name} of {arguments_key}={dict(arguments)}: {error}") from None
