"""`mlip lammps` by the command line."""

import subprocess
import sys
from pathlib import Path

import pytest
from ase import Atoms
from native_lammps_runs import numbers_after, write_input

MLIP = Path(sys.executable).parent / "mlip"
ATOMS = Atoms("LiPS", [[1, 1, 1], [3, 1, 1], [1, 3.2, 1]], cell=[8, 8, 8], pbc=True)


def mlip_lammps(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [str(MLIP), "lammps", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


def test_runs_an_input(tmp_path, plugin, toy):
    write_input(tmp_path, ATOMS, toy)
    finished = mlip_lammps("--", "-in", "in.lmp", "-log", "none", folder=tmp_path)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert numbers_after("RESULT", finished.stdout)


def test_passes_the_exit_code_on(tmp_path, plugin):
    (tmp_path / "in.lmp").write_text("quit 7\n")
    assert mlip_lammps("--", "-in", "in.lmp", "-log", "none", folder=tmp_path).returncode == 7


def test_build_says_where_the_plugin_is(plugin):
    finished = mlip_lammps("build")
    assert finished.returncode == 0
    assert str(plugin) in finished.stderr


def test_help_teaches():
    finished = mlip_lammps("--help")
    assert finished.returncode == 0
    assert "pair_coeff * * potential.nequip.pth" in finished.stdout


@pytest.mark.parametrize("arguments", [("-in", "in.melt"), ("biuld",)])
def test_wrong_arguments(arguments):
    finished = mlip_lammps(*arguments)
    assert finished.returncode == 1
    assert finished.stderr.startswith("mlip lammps: found")
    assert len(finished.stderr.splitlines()) == 1
