"""Runs the real lmp and reads its numbers at full precision; the same model in plain torch beside it."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.io import write
from ase.neighborlist import neighbor_list
from native_toy_model import ToyModel

LMP = Path(sys.executable).parent / "lmp"
# Most tests of one process run on two ranks, too; `make test` is content with the harder.
RANKS = pytest.mark.parametrize("ranks", [pytest.param(1, marks=pytest.mark.slow), 2])
SPECIES = ["Li", "P", "S"]
NKTV2P = 1.6021765e6  # bar A^3 / eV, as LAMMPS has it for units metal
LAMMPS_FROM_VOIGT = [0, 1, 2, 5, 4, 3]
VOIGT = ([0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2])  # LAMMPS: xx yy zz xy xz yz


@dataclass
class Result:
    energy: float
    energies: np.ndarray  # (N,)
    forces: np.ndarray  # (N, 3)
    virial: np.ndarray  # (6,) eV, LAMMPS order
    positions: np.ndarray | None = None  # (N, 3), unwrapped
    cell: np.ndarray | None = None  # (3, 3)

    def assert_same(self, expected: "Result", tolerance: float = 1e-9) -> None:
        """Energy per atom, forces and virial agree, forces relative to the largest."""
        num_atoms = len(expected.energies)
        scale = max(np.abs(expected.forces).max(), 0.1)
        assert abs(self.energy - expected.energy) / num_atoms < tolerance
        np.testing.assert_allclose(self.energies, expected.energies, atol=tolerance, rtol=tolerance)
        np.testing.assert_allclose(self.forces, expected.forces, atol=tolerance * scale, rtol=0)
        np.testing.assert_allclose(self.virial, expected.virial, atol=tolerance * num_atoms, rtol=tolerance)


def evaluate_reference(atoms: Atoms, r_max: float = 4.0, cutoffs: np.ndarray | None = None) -> Result:
    """The toy in plain torch on ASE's neighbor list; cutoffs: (3, 3) by centre and neighbor, A."""
    center, neighbor, shift, distance = neighbor_list("ijSd", atoms, r_max)
    types = np.array([SPECIES.index(symbol) for symbol in atoms.symbols])
    if cutoffs is not None:
        keep = distance < cutoffs[types[center], types[neighbor]]
        center, neighbor, shift = center[keep], neighbor[keep], shift[keep]
    output = ToyModel(r_max)(
        {
            "pos": torch.tensor(atoms.positions),
            "atom_types": torch.tensor(types),
            "edge_index": torch.tensor(np.stack([center, neighbor])),
            "edge_cell_shift": torch.tensor(shift, dtype=torch.float64),
            "cell": torch.tensor(atoms.cell.array).unsqueeze(0),
        }
    )
    energies = output["atomic_energy"][:, 0].numpy()
    virial = output["virial"][0].numpy()[VOIGT]
    return Result(float(energies.sum()), energies, output["forces"].numpy(), virial)


def write_input(
    folder: Path,
    atoms: Atoms,
    model: Path | str,
    *,
    before: str = "",
    after: str = "run 0",
    boundary: str = "p p p",
    types: str = "Li P S",
    units: str = "metal",
    specorder: list[str] | None = None,
    style: str = "nequip",
) -> Path:
    """Write cell.data and in.lmp: `before` stands before the pair style, `after` is the run."""
    write(folder / "cell.data", atoms, format="lammps-data", specorder=specorder or SPECIES, masses=True)
    path = folder / "in.lmp"
    path.write_text(
        f"""units {units}
boundary {boundary}
atom_modify map array
{before}
read_data cell.data
pair_style {style}
pair_coeff * * {model} {types}
compute virial all pressure NULL virial
compute energies all pe/atom
compute sum all reduce sum c_energies
thermo_style custom step pe etotal press c_sum c_virial[1]
{after}
write_dump all custom final.dump id xu yu zu fx fy fz c_energies modify sort id format float %.17g
print "RESULT $(pe:%.17g) $(vol:%.17g) $(c_virial[1]:%.17g) $(c_virial[2]:%.17g) $(c_virial[3]:%.17g) &
$(c_virial[4]:%.17g) $(c_virial[5]:%.17g) $(c_virial[6]:%.17g)"
print "CELL $(lx:%.17g) $(ly:%.17g) $(lz:%.17g) $(xy:%.17g) $(xz:%.17g) $(yz:%.17g)"
"""
    )
    return path


def run_lmp(
    folder: Path,
    *,
    command: tuple[str, ...] = (str(LMP),),
    environment: dict[str, str] | None = None,
    timeout: float = 400,
) -> subprocess.CompletedProcess[str]:
    """Run in.lmp of a folder."""
    return subprocess.run(
        [*command, "-in", "in.lmp", "-log", "none"],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


def command_of(ranks: int) -> tuple[str, ...]:
    """How lmp is started in so many processes."""
    return (str(LMP),) if ranks == 1 else (str(LMP.with_name("mpiexec")), "-n", str(ranks), str(LMP))


def second_rank(prepare: str) -> tuple[str, ...]:
    """Two ranks, of which the second runs a shell command before."""
    script = f'if [ "$PMI_RANK" = 1 ]; then {prepare}; fi; exec "$0" "$@"'
    return (str(LMP.with_name("mpiexec")), "-n", "2", "bash", "-c", script, str(LMP))


def error_line(output: str) -> str:
    """The one line by which lmp stops."""
    lines = [line for line in output.splitlines() if line.startswith("ERROR")]
    assert len(lines) == 1, output
    return lines[0]


def assert_stops(folder: Path, *words: str, **options: object) -> None:
    """A run of in.lmp ends on all ranks, and one line has the words; options of `run_lmp`."""
    finished = run_lmp(folder, **options)  # type: ignore[arg-type]
    assert finished.returncode != 0
    line = error_line(finished.stdout)
    for word in words:
        assert word in line
    assert "Exception raised from" not in finished.stdout + finished.stderr


def numbers_after(word: str, text: str) -> list[np.ndarray]:
    """The numbers of each output line that starts with a word."""
    lines = [line for line in text.splitlines() if line.startswith(f"{word} ")]
    return [np.array([float(number) for number in line.split()[1:]]) for line in lines]


def evaluate_lammps(
    folder: Path, atoms: Atoms, model: Path | str, ranks: int = 1, **options: object
) -> Result:
    """Energy, forces and virial of the last step of a run of lmp, in one process or in several."""
    write_input(folder, atoms, model, **options)  # type: ignore[arg-type]
    finished = run_lmp(folder, command=command_of(ranks))
    assert finished.returncode == 0, finished.stdout[-2000:] + finished.stderr
    return read_result(folder, finished.stdout)


def read_result(folder: Path, output: str) -> Result:
    """What the last run of an input of `write_input` gave."""
    energy, volume, *pressure = numbers_after("RESULT", output)[-1]
    lx, ly, lz, xy, xz, yz = numbers_after("CELL", output)[-1]
    table = np.loadtxt(folder / "final.dump", skiprows=9, ndmin=2)
    return Result(
        energy,
        table[:, 7],
        table[:, 4:7],
        np.array(pressure) * volume / NKTV2P,
        table[:, 1:4],
        np.array([[lx, 0, 0], [xy, ly, 0], [xz, yz, lz]]),
    )
