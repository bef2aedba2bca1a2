"""What all labelers share: settings, charge, grids of k-points; and calculators by name."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from derivative_checks import force_errors, label_of, stress_errors

from mlip.errors import ConfigError, DataError
from mlip.labelers.ase import AseLabeler
from mlip.labelers.batch import require_computable
from mlip.labelers.cp2k import Cp2kLabeler
from mlip.labelers.kpoints import k_grid
from mlip.labelers.labeler import frame_charge
from mlip.labelers.lammps import LammpsLabeler
from mlip.labelers.xtb import XtbLabeler


def argon() -> Atoms:
    atoms = bulk("Ar", "fcc", a=5.0) * (2, 2, 2)
    atoms.rattle(0.1, seed=0)
    atoms.set_cell(atoms.cell @ [[1, 0.1, 0], [0, 1.02, 0.05], [0.03, 0, 0.97]], scale_atoms=True)
    return atoms


def lennard_jones() -> LammpsLabeler:
    lines = ["pair_style lj/cut 8", "pair_coeff * * 0.0104 3.4", "pair_modify shift yes"]
    return LammpsLabeler(species=["Kr", "Ar"], commands=lines)


def test_settings_have_what_numbers_depend_on():
    assert XtbLabeler(cores=1).settings() == XtbLabeler(cores=4).settings()
    assert XtbLabeler().settings() != XtbLabeler(accuracy=1.0).settings()
    assert Cp2kLabeler(command="a").settings() == Cp2kLabeler(command="b").settings()


def test_files_of_a_pair_style_count_by_content(tmp_path: Path):
    table = tmp_path / "table"
    table.write_text("one")
    labeler = LammpsLabeler(species=["Li"], commands=["pair_style x"], files=[str(table)])
    before = labeler.settings()
    table.write_text("two")
    assert labeler.settings() != before


@pytest.mark.parametrize("charge", ["much", float("nan"), [1, 2]])
def test_charge_that_is_no_number_is_refused(charge):
    atoms = Atoms("Li")
    atoms.info["charge"] = charge
    with pytest.raises(DataError, match="charge"):
        frame_charge(atoms)


@pytest.mark.parametrize(
    "labeler", [lennard_jones(), AseLabeler(calculator_class="ase.calculators.lj.LennardJones")]
)
def test_labelers_without_charge_refuse_charged_frames(labeler):
    atoms = argon()
    require_computable(labeler, [atoms])
    atoms.info["charge"] = -1
    with pytest.raises(DataError, match="frame 1"):
        require_computable(labeler, [argon(), atoms])


def test_programs_in_boxes_refuse_frames_without_a_cell():
    with pytest.raises(DataError, match="box"):
        require_computable(Cp2kLabeler(), [Atoms("Li")])


def test_elements_without_a_pseudopotential_are_refused():
    with pytest.raises(DataError, match=r"labeler\.valence\.Ar"):
        require_computable(Cp2kLabeler(), [argon()])


def test_grid_is_finer_where_the_cell_is_shorter():
    atoms = Atoms("Li", cell=[[3, 0, 0], [0, 6, 0], [0, 3, 20]], pbc=True)
    # |b| = 1/3, |(0, 1/6, -1/40)|, 1/20
    assert k_grid(atoms, 12) == (4, 2, 1)
    assert k_grid(atoms, 32) == (11, 5, 2)
    assert k_grid(atoms, 0) == (1, 1, 1)
    atoms.pbc = (True, True, False)
    assert k_grid(atoms, 32) == (11, 5, 1)


def test_calculator_by_name_is_that_calculator(tmp_path):
    atoms = bulk("Cu") * (2, 1, 1)
    atoms.rattle(0.1, seed=0)
    label = label_of(AseLabeler(calculator_class="ase.calculators.emt.EMT"), atoms, tmp_path)
    atoms.calc = EMT()
    assert label.energy == atoms.get_potential_energy(force_consistent=True)
    np.testing.assert_array_equal(label.forces, atoms.get_forces())
    np.testing.assert_array_equal(label.stress, atoms.get_stress())


@pytest.mark.parametrize("name", ["EMT", "ase.calculators.emt.Emt", "no.such.Module"])
def test_calculator_that_is_not_there_is_named(name, tmp_path):
    with pytest.raises(ConfigError, match="calculator_class"):
        AseLabeler(calculator_class=name).calculator(argon(), 0.0, tmp_path)


def test_lammps_gives_the_numbers_of_lennard_jones(tmp_path):
    atoms = argon()
    label = label_of(lennard_jones(), atoms, tmp_path)
    atoms.calc = LennardJones(sigma=3.4, epsilon=0.0104, rc=8.0)
    assert label.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
    np.testing.assert_allclose(label.forces, atoms.get_forces(), atol=1e-9)
    np.testing.assert_allclose(label.stress, atoms.get_stress(), atol=1e-9)


def test_lammps_forces_and_stress_are_derivatives(tmp_path):
    forces = force_errors(lennard_jones(), argon(), tmp_path, step=1e-3)
    stress = stress_errors(lennard_jones(), argon(), tmp_path, step=1e-4)
    np.testing.assert_allclose(forces[:, 0], 0, atol=1e-6)
    np.testing.assert_allclose(stress[:, 0], 0, atol=1e-6)
    assert abs(stress[0, 1]) > 1e-3


def test_lammps_wants_a_pair_style():
    with pytest.raises(ConfigError, match="pair_style"):
        LammpsLabeler(species=["Li"], commands=["pair_coeff * *"])
