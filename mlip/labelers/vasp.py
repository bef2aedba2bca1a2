"""VASP: density functional theory as in the papers; the user brings the program and its potentials."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from mlip.errors import ConfigError
from mlip.labelers.kpoints import choose_grid, require_grid
from mlip.labelers.labeler import Labeler, lacks_cell

CONVERGED = "aborting loop because EDIFF is reached"
FUNCTIONALS = ("PBE", "PBEsol")


@dataclass(frozen=True, kw_only=True)
class VaspLabeler(Labeler):
    """One self-consistent field with PAW potentials, not spin-polarised.

    Attributes:
        command: What runs VASP in the folder of its input, such as `mpirun -n 16 vasp_std`.
        potentials: Folder that holds `potpaw_PBE`, as `VASP_PP_PATH`; None takes that variable.
        xc: PBE or PBEsol.
        encut_eV: Cutoff of the plane waves.
        ediff_eV: Convergence of the energy.
        nelm: Iterations; a frame that needs more fails.
        ismear: Scheme of the smearing; the entropy is in the energy.
        sigma_eV: Its width.
        kpts: Grid of every cell, centred on Gamma; None takes the one of `k_length_A`.
        k_length_A: R_k of an automatic grid; see `mlip.labelers.kpoints`.
        setups: Potentials other than those named by their element alone, such as `{Li: _sv}`.
        incar: Further tags of INCAR, in lower case.
    """

    command: str
    potentials: str | None = None
    xc: str = "PBE"
    encut_eV: float = 400.0
    ediff_eV: float = 1e-5
    nelm: int = 200
    ismear: int = 0
    sigma_eV: float = 0.05
    kpts: list[int] | None = None
    k_length_A: float = 32.0
    setups: dict[str, str] = field(default_factory=dict)
    incar: dict[str, Any] = field(default_factory=dict)

    name = "vasp"
    resources = ("cores", "command", "potentials")

    def __post_init__(self) -> None:
        super().__post_init__()
        require_grid(self.kpts, self.k_length_A)
        if self.xc not in FUNCTIONALS:
            raise ConfigError(f"found labeler.xc={self.xc}; expected one of {', '.join(FUNCTIONALS)}")

    def refusal(self, atoms: Atoms, charge: float) -> str | None:
        """Elements without a POTCAR, frames without a cell."""
        folder = self._potentials() / "potpaw_PBE"
        names = {symbol: f"{symbol}{self.setups.get(symbol, '')}" for symbol in sorted(set(atoms.symbols))}
        missing = [name for name in names.values() if not any(folder.glob(f"{name}/POTCAR*"))]
        return f"there is no {folder / missing[0] / 'POTCAR'}" if missing else lacks_cell(atoms)

    def calculator(self, atoms: Atoms, charge: float, folder: Path) -> BaseCalculator:
        """VASP with INCAR, KPOINTS, POSCAR and POTCAR written into the folder."""
        from ase.calculators.vasp import Vasp

        self._potentials()
        return Vasp(
            directory=str(folder),
            command=self.command,
            setups={"base": "minimal", **self.setups},
            kpts=choose_grid(atoms, self.kpts, self.k_length_A),
            gamma=True,
            **self._tags(charge),
        )

    def failure(self, folder: Path) -> str | None:
        """VASP goes on, with wrong forces, where its cycle does not converge."""
        text = _read(folder / "OUTCAR")
        return f"EDIFF was not reached in {self.nelm} iterations" if text and CONVERGED not in text else None

    def program(self, folder: Path) -> str:
        """The version that OUTCAR names."""
        found = re.search(r"vasp\.(\S+)", _read(folder / "OUTCAR")[:200])
        return f"VASP {found[1]}" if found else "VASP"

    def environment(self) -> dict[str, str]:
        """Where ASE looks for potentials."""
        return {"OMP_NUM_THREADS": "1", **({"VASP_PP_PATH": self.potentials} if self.potentials else {})}

    def _potentials(self) -> Path:
        place = self.potentials or os.environ.get("VASP_PP_PATH")
        if place is None:
            raise ConfigError(
                "found no potentials of VASP; expected labeler.potentials= or VASP_PP_PATH, the folder that "
                "holds potpaw_PBE"
            )
        return Path(place).expanduser()

    def _tags(self, charge: float) -> Mapping[str, Any]:
        """INCAR: a static calculation, reproducible, without files that nobody reads."""
        return {
            "xc": self.xc,
            "pp": "PBE",
            "prec": "Accurate",
            "encut": self.encut_eV,
            "ediff": self.ediff_eV,
            "nelm": self.nelm,
            "ismear": self.ismear,
            "sigma": self.sigma_eV,
            "ispin": 1,
            "isym": 0,
            "nsw": 0,
            "ibrion": -1,
            "isif": 2,
            "lreal": False,
            "lwave": False,
            "lcharg": False,
            **({"charge": charge} if charge else {}),
            **self.incar,
        }


def _read(file: Path) -> str:
    return file.read_text(errors="replace") if file.exists() else ""
