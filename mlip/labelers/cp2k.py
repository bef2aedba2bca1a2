"""CP2K: density functional theory with PBE, Gaussians and plane waves."""

import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from mlip.errors import ConfigError
from mlip.labelers.kpoints import choose_grid, require_grid
from mlip.labelers.labeler import Labeler, lacks_cell

OUTPUT = "cp2k.out"
UNCONVERGED = "SCF run NOT converged"
# Electrons of the pseudopotentials that were tried.
VALENCE = {"Li": 3, "B": 3, "N": 5, "O": 6, "Na": 9, "P": 5, "S": 6, "Cl": 7}

_INPUT = """
&FORCE_EVAL
  METHOD QS
  &DFT
    BASIS_SET_FILE_NAME BASIS_MOLOPT
    POTENTIAL_FILE_NAME GTH_POTENTIALS
    &QS
      EPS_DEFAULT {eps_default}
    &END QS
    &MGRID
      CUTOFF [Ry] {cutoff}
      REL_CUTOFF [Ry] {rel_cutoff}
      NGRIDS 5
    &END MGRID
    &XC
      &XC_FUNCTIONAL PBE
      &END XC_FUNCTIONAL
    &END XC
    &SCF
      SCF_GUESS ATOMIC
      EPS_SCF {eps_scf}
      MAX_SCF {max_scf}
      ADDED_MOS {added_mos}
      &SMEAR ON
        METHOD FERMI_DIRAC
        ELECTRONIC_TEMPERATURE [K] {temperature}
      &END SMEAR
      &MIXING
        METHOD BROYDEN_MIXING
        ALPHA 0.3
      &END MIXING
    &END SCF
    {kpoints}
  &END DFT
  &SUBSYS
    {kinds}
  &END SUBSYS
&END FORCE_EVAL
"""


@dataclass(frozen=True, kw_only=True)
class Cp2kLabeler(Labeler):
    """PBE with DZVP-MOLOPT-SR-GTH: the settings of the data set lipon_cp2k.

    Attributes:
        command: The shell of CP2K, such as `mpirun -n 4 cp2k_shell.psmp`.
        cutoff_Ry: Of the finest grid. 400 leaves 0.1 eV/A of noise in forces.
        rel_cutoff_Ry: Which Gaussians go to which grid.
        eps_default: Precision of integrals.
        eps_scf: Convergence of the density matrix.
        max_scf: Iterations; a frame that needs more fails.
        added_mos: Empty orbitals, for the smearing.
        electronic_temperature_K: Of the Fermi smearing; its entropy is in the energy.
        kpts: Monkhorst-Pack grid of every cell; None takes the one of `k_length_A`.
        k_length_A: See `mlip.labelers.kpoints`.
        valence: Electrons that the pseudopotential GTH-PBE of each element leaves.

    Source: Kuehne et al., J. Chem. Phys. 152, 194103 (2020).
    """

    command: str = "cp2k_shell.psmp"
    cutoff_Ry: float = 900.0
    rel_cutoff_Ry: float = 80.0
    eps_default: float = 1e-10
    eps_scf: float = 1e-6
    max_scf: int = 200
    added_mos: int = 20
    electronic_temperature_K: float = 580.0
    kpts: list[int] | None = None
    k_length_A: float = 12.0
    valence: dict[str, int] = field(default_factory=VALENCE.copy)

    name = "cp2k"
    resources = ("cores", "command")

    def __post_init__(self) -> None:
        super().__post_init__()
        require_grid(self.kpts, self.k_length_A)

    def refusal(self, atoms: Atoms, charge: float) -> str | None:
        """Elements without a pseudopotential, broken charges, frames without a cell."""
        unknown = sorted(set(atoms.symbols) - set(self.valence))
        if unknown:
            return f"it knows no pseudopotential of {unknown[0]}: say which, +labeler.valence.{unknown[0]}=4"
        if charge != round(charge):
            return f"it takes whole charges only, not {charge}"
        return lacks_cell(atoms)

    def calculator(self, atoms: Atoms, charge: float, folder: Path) -> BaseCalculator:
        """CP2K's shell, started in the folder; spin-polarised where the number of electrons is odd."""
        from ase.calculators.cp2k import CP2K

        words = shlex.split(self.command)
        if not words or shutil.which(words[0]) is None:
            raise ConfigError(
                f"found no program labeler.command={self.command}; expected CP2K's shell: install cp2k and "
                "cp2k-data, or name it"
            )
        electrons = sum(self.valence[symbol] for symbol in atoms.symbols) - round(charge)
        grid = choose_grid(atoms, self.kpts, self.k_length_A)
        ours = (
            "basis_set basis_set_file cutoff force_eval_method max_scf poisson_solver potential_file "
            "pseudo_potential xc"
        )
        return CP2K(
            command=f"cd {shlex.quote(str(folder))} && exec {self.command}",
            label=Path(OUTPUT).stem,
            charge=charge,
            uks=electrons % 2 == 1,
            stress_tensor=True,
            inp=self._input(sorted(set(atoms.symbols)), grid),
            **dict.fromkeys(ours.split()),
        )

    def failure(self, folder: Path) -> str | None:
        """CP2K goes on, with wrong forces, where its cycle does not converge."""
        if UNCONVERGED in _output(folder):
            return f"{UNCONVERGED} in {self.max_scf} iterations"
        return None

    def program(self, folder: Path) -> str:
        """The version that the output names."""
        found = re.search(r"CP2K\| version string:\s+CP2K version (\S+)", _output(folder))
        return f"CP2K {found[1]}" if found else "CP2K"

    def environment(self) -> dict[str, str]:
        """One thread a rank; Open MPI starts as root where a container leaves no choice."""
        root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        return {"OMP_NUM_THREADS": "1", **(root if os.geteuid() == 0 else {})}

    def _input(self, elements: Sequence[str], grid: tuple[int, int, int]) -> str:
        return _INPUT.format(
            eps_default=self.eps_default,
            cutoff=self.cutoff_Ry,
            rel_cutoff=self.rel_cutoff_Ry,
            eps_scf=self.eps_scf,
            max_scf=self.max_scf,
            added_mos=self.added_mos,
            temperature=self.electronic_temperature_K,
            kpoints=_kpoints(grid),
            kinds="\n".join(_kind(element, self.valence) for element in elements),
        )


def _kpoints(grid: tuple[int, int, int]) -> str:
    """Nothing for the Gamma point, whose orbitals are real."""
    if grid == (1, 1, 1):
        return ""
    return f"&KPOINTS\nSCHEME MONKHORST-PACK {grid[0]} {grid[1]} {grid[2]}\n&END KPOINTS"


def _kind(element: str, valence: Mapping[str, int]) -> str:
    return f"&KIND {element}\nBASIS_SET DZVP-MOLOPT-SR-GTH\nPOTENTIAL GTH-PBE-q{valence[element]}\n&END KIND"


def _output(folder: Path) -> str:
    file = folder / OUTPUT
    return file.read_text(errors="replace") if file.exists() else ""
