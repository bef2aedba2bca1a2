"""Quantum ESPRESSO: Debian's package has pseudopotentials of silicon (LDA), not of Li and P with PBE."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from derivative_checks import force_errors, label_of, stress_errors

from mlip.errors import ConfigError, DataError
from mlip.labelers.batch import require_computable
from mlip.labelers.compute import compute_outcome
from mlip.labelers.espresso import EspressoLabeler

DEBIAN = Path("/usr/share/espresso/pseudo")
installed = pytest.mark.skipif(
    shutil.which("pw.x") is None or not (DEBIAN / "Si.pz-vbc.UPF").exists(), reason="no pw.x of Debian"
)


def silicon_labeler(**settings) -> EspressoLabeler:
    defaults = {"ecutwfc_Ry": 16.0, "kpts": [2, 1, 1], "conv_thr_Ry": 1e-10}
    return EspressoLabeler(
        pseudo_dir=str(DEBIAN), pseudopotentials={"Si": "Si.pz-vbc.UPF"}, **(defaults | settings)
    )


def silicon() -> Atoms:
    atoms = bulk("Si", a=5.4)
    atoms.positions[1] += [0.1, -0.05, 0.02]
    atoms.set_cell(atoms.cell @ [[1, 0.02, 0], [0, 1.01, 0], [0.01, 0, 0.98]], scale_atoms=True)
    return atoms


def test_pseudopotentials_count_by_content(tmp_path):
    (tmp_path / "Si.UPF").write_text("one")
    labeler = EspressoLabeler(pseudo_dir=str(tmp_path), pseudopotentials={"Si": "Si.UPF"})
    before = labeler.settings()
    (tmp_path / "Si.UPF").write_text("two")
    assert labeler.settings() != before
    with pytest.raises(DataError, match=r"\+labeler\.pseudopotentials\.Li=FILE"):
        require_computable(labeler, [Atoms("Li", cell=[3, 3, 3], pbc=True)])
    with pytest.raises(ConfigError, match=r"pseudopotential .* of Li"):
        EspressoLabeler(pseudo_dir=str(tmp_path), pseudopotentials={"Li": "Li.UPF"}).settings()


def test_program_that_is_not_there_stops_all(tmp_path):
    with pytest.raises(ConfigError, match=r"pw\.x"):
        compute_outcome(silicon_labeler(command="no_such_pw"), silicon(), tmp_path)


@pytest.mark.slow
@installed
def test_forces_and_stress_are_derivatives_of_the_energy(tmp_path):
    """The stress at a higher cutoff: a strained cell has other plane waves."""
    forces = force_errors(silicon_labeler(), silicon(), tmp_path, step=0.02)
    stress = stress_errors(silicon_labeler(ecutwfc_Ry=60.0), silicon(), tmp_path)
    assert np.abs([forces[0, 1], stress[0, 1]]).min() > 0.005
    assert abs(forces[0, 0]) < 2e-3
    assert abs(stress[0, 0]) < 5e-4
    assert silicon_labeler().program(tmp_path).startswith("Quantum ESPRESSO ")


@pytest.mark.slow
@installed
def test_cycle_that_does_not_converge_is_seen(tmp_path):
    outcome = compute_outcome(silicon_labeler(electron_maxstep=2), silicon(), tmp_path)
    assert outcome.label is None
    assert outcome.reason == "convergence NOT achieved in 2 iterations"


@pytest.mark.slow
@installed
def test_charge_takes_electrons_away(tmp_path):
    atoms = silicon()
    neutral = label_of(silicon_labeler(), atoms, tmp_path)
    atoms.info["charge"] = 1
    assert abs(label_of(silicon_labeler(), atoms, tmp_path).energy - neutral.energy) > 1.0
    assert "number of electrons       =         7.00" in (tmp_path / "espresso.pwo").read_text()
