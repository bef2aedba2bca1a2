"""`compute vitreous/grade`: the grade of each atom, whenever asked for, is that of ASE for the frame."""

import ase.io
import numpy as np
import pytest
from native_lammps_runs import RANKS, command_of, numbers_after, run_lmp, write_input

from mlip.deploy import MLIPCalculator, deploy_potential

SETUP = """compute grade all vitreous/grade
compute largest all reduce max c_grade
variable largest equal c_largest
thermo_style custom step pe press c_sum c_virial[1]
fix 1 all nve
velocity all create 600 4928 loop geom
timestep 0.001
"""
WRITE = (
    "write_dump all custom {name} id element x y z c_grade modify element Li P S sort id format float %.17g\n"
)


def run(folder, atoms, model, after, *, ranks=1, style="nequip", before="", before_coeff=None):
    write_input(folder, atoms, model, after=after, style=style, before=before)
    if before_coeff:
        path = folder / "in.lmp"
        path.write_text(path.read_text().replace(f"pair_coeff * * {model} Li P S", before_coeff))
    return run_lmp(folder, command=command_of(ranks))


def grades_and_reference(path, model):
    """Grades of the last frame of a dump, and those of ASE for its positions."""
    frame = ase.io.read(path, format="lammps-dump-text", index=-1)
    found = frame.arrays["c_grade"].reshape(-1)
    frame.calc = MLIPCalculator(model, device="cpu")
    frame.get_potential_energy()
    return found, frame.calc.results["extrapolation_grade"]


@pytest.mark.parametrize("steps", ["run 0", "thermo 50\nfix stop all halt 3 tlimit > 0.0 error soft\nrun 10"])
@RANKS
def test_grades_are_those_of_ase(tmp_path, plugin, graded_model, atoms, ranks, steps):
    """Also where a run ends on a step that nobody had announced: they are then evaluated as atoms stand."""
    after = SETUP + steps + "\n" + WRITE.format(name="g.dump") + "quit\n"
    finished = run(tmp_path, atoms, graded_model, after, ranks=ranks)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    found, expected = grades_and_reference(tmp_path / "g.dump", graded_model)
    np.testing.assert_allclose(found, expected, rtol=1e-8)
    assert np.ptp(expected) > 0.1


@RANKS
def test_grades_in_time_are_those_of_their_steps(tmp_path, plugin, graded_model, atoms, ranks):
    """Asked for every third step by a dump, every fourth by the log: each frame has its own."""
    after = SETUP + (
        "thermo 4\nthermo_style custom step pe press c_sum c_virial[1] c_largest\n"
        "dump d all custom 3 t.dump id element x y z c_grade\n"
        "dump_modify d element Li P S sort id format float %.17g\nrun 12\n"
    )
    finished = run(tmp_path, atoms, graded_model, after, ranks=ranks)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    frames = ase.io.read(tmp_path / "t.dump", format="lammps-dump-text", index=":")
    assert len(frames) == 5
    largest = []
    for frame in frames:
        frame.calc = MLIPCalculator(graded_model, device="cpu")
        frame.get_potential_energy()
        expected = frame.calc.results["extrapolation_grade"]
        np.testing.assert_allclose(frame.arrays["c_grade"].reshape(-1), expected, rtol=1e-8)
        largest.append(expected.max())
    assert np.ptp(largest) > 1e-3
    logged = [line.split() for line in finished.stdout.splitlines()]
    table = {
        int(words[0]): float(words[-1]) for words in logged if len(words) == 6 and words[0] in ("0", "12")
    }
    assert table == pytest.approx({0: largest[0], 12: largest[-1]}, rel=1e-6)


def test_asking_changes_no_dynamics(tmp_path, plugin, graded_model, atoms):
    """Neither on steps that LAMMPS announced nor by an evaluation in between."""
    found = {}
    plain = "fix 1 all nve\nvelocity all create 600 4928 loop geom\ntimestep 0.001\nthermo 10\nrun 10\n"
    for name, after in (
        ("with", SETUP + "thermo 2\nthermo_style custom step pe press c_sum c_virial[1] c_largest\nrun 10\n"),
        ("without", plain),
    ):
        finished = run(tmp_path, atoms, graded_model, after)
        assert finished.returncode == 0, finished.stdout + finished.stderr
        found[name] = np.loadtxt(tmp_path / "final.dump", skiprows=9)[:, 1:7]
    np.testing.assert_allclose(found["with"], found["without"], rtol=0, atol=1e-12)


def test_atoms_outside_of_the_group_have_none(tmp_path, plugin, graded_model, atoms):
    after = "group some type 1\ncompute grade some vitreous/grade\nrun 0\n" + WRITE.format(name="g.dump")
    finished = run(tmp_path, atoms, graded_model, after)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    found, expected = grades_and_reference(tmp_path / "g.dump", graded_model)
    lithium = atoms.symbols == "Li"
    np.testing.assert_allclose(found[lithium], expected[lithium], rtol=1e-8)
    assert np.all(found[~lithium] == 0.0)
    assert np.all(expected[~lithium] > 0.0)


@RANKS
def test_the_frame_of_a_halt_has_the_grade_that_halted(tmp_path, plugin, graded_model, atoms, ranks):
    """Flung together until the grade is half as high again: the run ends at the frame that was judged."""
    after = SETUP + (
        "run 0\nvariable limit string $(1.5*c_largest:%.17g)\nvelocity all scale 60000\n"
        "fix stop all halt 2 v_largest > ${limit} error soft\ntimestep 0.0002\nthermo 50\nrun 100\n"
        'print "STOPPED $(step) $(c_largest:%.17g) ${limit}"\n' + WRITE.format(name="halted.dump")
    )
    finished = run(tmp_path, atoms, graded_model, after, ranks=ranks)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    step, largest, limit = numbers_after("STOPPED", finished.stdout)[-1]
    assert 0 < step < 100
    assert step % 2 == 0
    found, expected = grades_and_reference(tmp_path / "halted.dump", graded_model)
    np.testing.assert_allclose(found, expected, rtol=1e-8)
    assert largest == pytest.approx(expected.max(), rel=1e-8)
    assert largest > limit


def test_in_a_hybrid(tmp_path, plugin, graded_model, atoms):
    coeff = f"pair_coeff * * nequip {graded_model} Li P S\npair_coeff * * zbl 3 3"
    after = SETUP + "run 0\n" + WRITE.format(name="g.dump")
    finished = run(
        tmp_path, atoms, graded_model, after, style="hybrid/overlay nequip zbl 0.5 1.0", before_coeff=coeff
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    found, expected = grades_and_reference(tmp_path / "g.dump", graded_model)
    np.testing.assert_allclose(found, expected, rtol=1e-8)


@pytest.mark.parametrize(
    ("after", "complaint"),
    [
        ("compute g all vitreous/grade 5\nrun 0", "compute vitreous/grade takes no arguments"),
        (
            "compute g all vitreous/grade\npair_style zero 4.0\npair_coeff * *\nrun 0",
            "found no pair style with a model",
        ),
        (
            SETUP + "thermo 10\nrun 3\nwrite_data w.data\n" + WRITE.format(name="g.dump"),
            "grades of step 3 are asked for, but its forces were not computed; write 'run 0' before",
        ),
    ],
    ids=["arguments", "no model", "atoms were moved"],
)
def test_what_cannot_be_answered_is_refused(tmp_path, plugin, graded_model, atoms, after, complaint):
    finished = run(tmp_path, atoms, graded_model, after)
    assert finished.returncode != 0
    assert complaint in finished.stdout + finished.stderr


def test_a_file_without_a_grade(tmp_path, plugin, potential_file, atoms):
    without = deploy_potential(potential_file, tmp_path, device="cpu")
    finished = run(tmp_path, atoms, without, SETUP + "run 0")
    assert finished.returncode != 0
    assert "deploy the potential with grade=true" in finished.stdout + finished.stderr
