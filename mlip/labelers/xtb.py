"""GFN1-xTB by tblite: tight binding in seconds on one core; a teacher for tests, not physics to publish."""

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from mlip.errors import ConfigError
from mlip.labelers.labeler import Labeler

METHODS = ("GFN1-xTB", "GFN2-xTB", "IPEA1-xTB")


@dataclass(frozen=True, kw_only=True)
class XtbLabeler(Labeler):
    """Extended tight binding at the Gamma point only: energies depend on the supercell.

    Attributes:
        method: GFN1-xTB, GFN2-xTB or IPEA1-xTB.
        accuracy: Scales the thresholds of convergence; 1 is tblite's own.
        electronic_temperature_K: Of the Fermi smearing; its entropy is in the energy.
        max_iterations: Of the charges; a frame that needs more fails.

    Source: Grimme, Bannwarth, Shushkov, J. Chem. Theory Comput. 13, 1989 (2017).
    """

    method: str = "GFN1-xTB"
    accuracy: float = 0.1
    electronic_temperature_K: float = 300.0
    max_iterations: int = 300

    name = "xtb"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method not in METHODS:
            raise ConfigError(f"found labeler.method={self.method}; expected one of {', '.join(METHODS)}")

    def calculator(self, atoms: Atoms, charge: float, folder: Path) -> BaseCalculator:
        """A calculator of tblite; it raises where the charges do not converge."""
        try:
            from tblite.ase import TBLite
        except ImportError:
            raise ConfigError(
                "found no tblite, which labeler=xtb needs; install it: pip install 'vitreous[xtb]'"
            ) from None
        return TBLite(
            method=self.method,
            accuracy=self.accuracy,
            electronic_temperature=self.electronic_temperature_K,
            max_iterations=self.max_iterations,
            charge=charge,
            verbosity=0,
        )

    def program(self, folder: Path) -> str:
        """The installed tblite."""
        return f"tblite {metadata.version('tblite')}"

    def environment(self) -> dict[str, str]:
        """As many threads as cores; tblite reads this once, when it is loaded."""
        return {"OMP_NUM_THREADS": str(self.cores)}
