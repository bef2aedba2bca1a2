"""What the pair styles offer beside energies and forces: units, options, the grade and halts."""

import numpy as np
import pytest
from native_lammps_runs import RANKS, command_of, numbers_after, run_lmp, write_input

from mlip.deploy import MLIPCalculator

KCAL_PER_MOL = 23.060549  # in an eV, as LAMMPS has it
ATMOSPHERE = 1.01325  # bar


def run(folder, atoms, model, *, ranks=1, **options):
    write_input(folder, atoms, model, **options)
    return run_lmp(folder, command=command_of(ranks))


def last_table(folder):
    table = np.loadtxt(folder / "final.dump", skiprows=9, ndmin=2)
    return table[:, 4:7], table[:, 7]


def test_units_real(tmp_path, plugin, graded_model, atoms):
    press = 'run 0\nprint "PRESS $(press:%.17g) $(pxy:%.17g)"'
    found = {}
    for units in ("metal", "real"):
        finished = run(tmp_path, atoms, graded_model, units=units, after=press)
        assert finished.returncode == 0, finished.stdout
        energy = numbers_after("RESULT", finished.stdout)[-1][0]
        found[units] = energy, *last_table(tmp_path), numbers_after("PRESS", finished.stdout)[-1]
    for metal, real in zip(found["metal"][:3], found["real"][:3], strict=True):
        np.testing.assert_allclose(real, KCAL_PER_MOL * metal, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(found["real"][3] * ATMOSPHERE, found["metal"][3], rtol=1e-5)


@pytest.mark.parametrize(
    ("style", "complaint"),
    [
        ("vitreous dtype float32", "computes in float64"),
        ("vitreous comm far", "found 'comm far'; expected comm layer|ghost"),
        ("vitreous kernel", "pairs of a keyword and a value"),
        ("vitreous kernel fortran", "expected auto, reference or cpp"),
        ("vitreous device tpu", "expected cpu, cuda or cuda:N"),
        ("nequip kernel cpp", "takes no arguments"),
        ("allegro", "holds a message-passing model"),
    ],
)
@RANKS
def test_options_that_cannot_be(tmp_path, plugin, graded_model, atoms, style, complaint, ranks):
    finished = run(tmp_path, atoms, graded_model, style=style, ranks=ranks)
    assert finished.returncode != 0
    assert complaint in finished.stdout + finished.stderr


GRADE = """fix grade all pair 1 {style} grade 1
compute largest all reduce max f_grade
variable largest equal c_largest
thermo_style custom step pe press c_sum c_virial[1] c_largest
"""


@RANKS
def test_grade_of_each_atom(tmp_path, plugin, graded_model, atoms, ranks):
    after = GRADE.format(style="nequip") + (
        "run 0\n"
        "write_dump all custom grade.dump id f_grade modify sort id format float %.17g\n"
        'print "LARGEST $(v_largest:%.17g)"'
    )
    finished = run(tmp_path, atoms, graded_model, after=after, ranks=ranks)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    atoms.calc = MLIPCalculator(graded_model, device="cpu")
    atoms.get_potential_energy()
    expected = atoms.calc.results["extrapolation_grade"]
    found = np.loadtxt(tmp_path / "grade.dump", skiprows=9, ndmin=2)[:, 1]
    np.testing.assert_allclose(found, expected, rtol=1e-8)
    assert numbers_after("LARGEST", finished.stdout)[-1][0] == pytest.approx(found.max(), rel=1e-9)


@pytest.mark.parametrize("style", ["nequip", "vitreous"])
def test_a_run_halts_where_the_model_extrapolates(tmp_path, plugin, graded_model, atoms, style):
    """Squeezed until the grade is above 3: the run ends at that step, and the frame is written."""
    after = (
        GRADE.format(style=style)
        + """fix squeeze all deform 1 x scale 0.7 y scale 0.7 z scale 0.7 remap x
fix 1 all nve
fix limit all halt 1 v_largest > 3.0 error soft
timestep 0.0001
thermo 1
run 100
print "STOPPED $(step) $(v_largest:%.17g)"
write_dump all extxyz extrapolating.xyz modify element Li P S"""
    )
    finished = run(tmp_path, atoms, graded_model, after=after, style=style)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    step, grade = numbers_after("STOPPED", finished.stdout)[-1]
    assert 0 < step < 100
    assert grade > 3.0
    assert (tmp_path / "extrapolating.xyz").exists()
