"""CP2K: its input, and with the program itself, derivatives, charge and convergence."""

import shutil

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from derivative_checks import force_errors, label_of, stress_errors

from mlip.errors import ConfigError
from mlip.labelers.compute import compute_outcome
from mlip.labelers.cp2k import Cp2kLabeler

installed = pytest.mark.skipif(shutil.which("cp2k_shell.psmp") is None, reason="no cp2k_shell.psmp")


def lithium_chloride() -> Atoms:
    atoms = bulk("LiCl", "rocksalt", a=5.0)
    atoms.positions[1] += [0.1, -0.05, 0.02]
    atoms.set_cell(atoms.cell @ [[1, 0.02, 0], [0, 1.01, 0], [0.01, 0, 0.98]], scale_atoms=True)
    return atoms


def test_program_that_is_not_there_stops_all(tmp_path):
    with pytest.raises(ConfigError, match="cp2k-data"):
        compute_outcome(Cp2kLabeler(command="no_such_cp2k"), lithium_chloride(), tmp_path)


@pytest.mark.slow
@installed
def test_forces_and_stress_are_derivatives_of_the_energy(tmp_path):
    """Two k-points, tighter convergence than labels have; the grid of labels."""
    labeler = Cp2kLabeler(kpts=[2, 1, 1], eps_scf=1e-8)
    forces = force_errors(labeler, lithium_chloride(), tmp_path, step=0.02)
    stress = stress_errors(labeler, lithium_chloride(), tmp_path)
    assert np.abs([forces[0, 1], stress[0, 1]]).min() > 0.005
    assert abs(forces[0, 0]) < 2e-3
    assert abs(stress[0, 0]) < 2e-4
    assert labeler.program(tmp_path).startswith("CP2K 20")


@pytest.mark.slow
@installed
def test_cycle_that_does_not_converge_is_seen(tmp_path):
    """CP2K itself goes on and gives forces."""
    labeler = Cp2kLabeler(kpts=[1, 1, 1], max_scf=2, cutoff_Ry=300)
    outcome = compute_outcome(labeler, lithium_chloride(), tmp_path)
    assert outcome.label is None
    assert outcome.reason == "SCF run NOT converged in 2 iterations"


@pytest.mark.slow
@installed
def test_charge_takes_electrons_away(tmp_path):
    """An odd number of them is computed spin-polarised. Charged LiCl takes minutes to converge."""
    labeler = Cp2kLabeler(kpts=[1, 1, 1], cutoff_Ry=200)
    atoms = Atoms("Li", cell=[6.0] * 3, pbc=True)
    neutral = label_of(labeler, atoms, tmp_path)
    assert "UNRESTRICTED_KOHN_SHAM ON" in (tmp_path / "cp2k.inp").read_text()
    atoms.info["charge"] = 1
    ion = label_of(labeler, atoms, tmp_path)
    assert ion.energy - neutral.energy > 1.0
    assert "UNRESTRICTED_KOHN_SHAM ON" not in (tmp_path / "cp2k.inp").read_text()
    assert "CHARGE 1" in (tmp_path / "cp2k.inp").read_text()
