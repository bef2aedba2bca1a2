"""Quantum ESPRESSO: density functional theory with plane waves and pseudopotentials that the user brings."""

import hashlib
import re
import shlex
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from mlip.errors import ConfigError
from mlip.labelers.kpoints import choose_grid, require_grid
from mlip.labelers.labeler import Labeler, lacks_cell

OUTPUT = "espresso.pwo"


@dataclass(frozen=True, kw_only=True)
class EspressoLabeler(Labeler):
    """Self-consistent fields of pw.x; the functional is the one of the pseudopotentials.

    Attributes:
        command: pw.x, such as `mpirun -n 4 pw.x`.
        pseudo_dir: Folder of the pseudopotentials.
        pseudopotentials: File of each element in it.
        ecutwfc_Ry: Cutoff of the wave functions.
        ecutrho_Ry: Cutoff of the density; None is four times `ecutwfc_Ry`, right for norm-conserving ones.
        conv_thr_Ry: Convergence of the energy of the cell.
        smearing: Name of the scheme; the entropy is in the energy.
        degauss_Ry: Its width.
        electron_maxstep: Iterations; a frame that needs more fails.
        kpts: Grid of every cell, Gamma among its points; None takes the one of `k_length_A`.
        k_length_A: See `mlip.labelers.kpoints`.

    Source: Giannozzi et al., J. Phys.: Condens. Matter 29, 465901 (2017).
    """

    pseudo_dir: str
    pseudopotentials: dict[str, str] = field(default_factory=dict)
    command: str = "pw.x"
    ecutwfc_Ry: float = 80.0
    ecutrho_Ry: float | None = None
    conv_thr_Ry: float = 1e-8
    smearing: str = "gaussian"
    degauss_Ry: float = 0.00367
    electron_maxstep: int = 200
    kpts: list[int] | None = None
    k_length_A: float = 12.0

    name = "espresso"
    resources = ("cores", "command", "pseudo_dir", "pseudopotentials")

    def __post_init__(self) -> None:
        super().__post_init__()
        require_grid(self.kpts, self.k_length_A)

    def settings(self) -> dict[str, Any]:
        """The pseudopotentials count by what is in them."""
        digests = {
            element: hashlib.sha256(self._pseudopotential(element).read_bytes()).hexdigest()
            for element in sorted(self.pseudopotentials)
        }
        return super().settings() | {"pseudopotentials": digests}

    def refusal(self, atoms: Atoms, charge: float) -> str | None:
        """Elements without a pseudopotential, frames without a cell."""
        unknown = sorted(set(atoms.symbols) - set(self.pseudopotentials))
        if unknown:
            return f"it has no pseudopotential of {unknown[0]}: +labeler.pseudopotentials.{unknown[0]}=FILE"
        return lacks_cell(atoms)

    def calculator(self, atoms: Atoms, charge: float, folder: Path) -> BaseCalculator:
        """pw.x in the folder; it stops with an error where the cycle does not converge."""
        from ase.calculators.espresso import Espresso, EspressoProfile

        words = shlex.split(self.command)
        if not words or shutil.which(words[0]) is None:
            raise ConfigError(
                f"found no program labeler.command={self.command}; expected pw.x: install quantum-espresso, "
                "or name it"
            )
        namelists = {
            "control": {"tprnfor": True, "tstress": True, "disk_io": "none", "outdir": "."},
            "system": {
                "ecutwfc": self.ecutwfc_Ry,
                "ecutrho": self.ecutrho_Ry or 4.0 * self.ecutwfc_Ry,
                "occupations": "smearing",
                "smearing": self.smearing,
                "degauss": self.degauss_Ry,
                "tot_charge": charge,
            },
            "electrons": {"conv_thr": self.conv_thr_Ry, "electron_maxstep": self.electron_maxstep},
        }
        used = {symbol: self.pseudopotentials[symbol] for symbol in set(atoms.symbols)}
        return Espresso(
            profile=EspressoProfile(self.command, str(Path(self.pseudo_dir).expanduser().resolve())),
            directory=folder,
            input_data=namelists,
            pseudopotentials=used,
            kpts=choose_grid(atoms, self.kpts, self.k_length_A),
        )

    def failure(self, folder: Path) -> str | None:
        """What pw.x writes where its cycle ends without convergence."""
        if "convergence NOT achieved" in _output(folder):
            return f"convergence NOT achieved in {self.electron_maxstep} iterations"
        return None

    def program(self, folder: Path) -> str:
        """The version that the output names."""
        found = re.search(r"Program PWSCF v\.(\S+)", _output(folder))
        return f"Quantum ESPRESSO {found[1]}" if found else "Quantum ESPRESSO"

    def _pseudopotential(self, element: str) -> Path:
        file = Path(self.pseudo_dir).expanduser() / self.pseudopotentials[element]
        if not file.is_file():
            raise ConfigError(
                f"found no pseudopotential {file} of {element}; expected it in labeler.pseudo_dir"
            )
        return file


def _output(folder: Path) -> str:
    file = folder / OUTPUT
    return file.read_text(errors="replace") if file.exists() else ""
