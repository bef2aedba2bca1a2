"""Was the grade right? Made-up grades and errors whose answer is known."""

import json

import numpy as np
import pytest

from train.grade_calibration import calibrate_grade, save_grade_calibration


def atoms(num=400, seed=0, exponent=1.0):
    """Errors of normal components whose deviation is 0.05 eV/A times a power of the grade."""
    random = np.random.default_rng(seed)
    grades = random.lognormal(0.0, 0.8, num)
    deviations = 0.05 * grades**exponent
    errors = np.linalg.norm(random.normal(size=(num, 3)) * deviations[:, None], axis=1)
    return grades, deviations, errors


def test_a_grade_that_is_right():
    grades, deviations, errors = atoms()
    found = calibrate_grade(grades, deviations, errors, select=1.5)
    assert found.rank_of_grade == pytest.approx(found.rank_of_deviation)
    assert found.rank_of_grade > 0.75
    assert found.missed < 0.1
    assert found.warning == ""
    assert [group.num_atoms for group in found.groups] == [50] * 8
    assert sum(group.num_atoms for group in found.groups) == len(grades)
    for group in found.groups:  # 150 components each: 6 % of one standard error
        assert group.rms_error == pytest.approx(group.rms_expected, rel=0.25)
    assert found.groups[0].grades[0] == grades.min()
    assert found.groups[-1].grades[1] == grades.max()


def test_high_errors_at_low_grades_are_warned_of():
    grades, deviations, errors = atoms()
    calm = np.flatnonzero(grades < 1.0)[:30]
    errors[calm] = 5.0
    found = calibrate_grade(grades, deviations, errors, select=1.5)
    assert found.missed == 1.0
    assert found.warning.startswith("high errors come with low grades: 100 % of the 20 worst force errors")
    assert "committee" in found.warning


def test_the_threshold_decides_who_was_missed():
    """The same atoms, chosen by a lower threshold, were not missed."""
    grades, deviations, errors = atoms()
    middle = np.flatnonzero((grades > 0.8) & (grades < 1.4))[:30]
    errors[middle] = 5.0
    assert calibrate_grade(grades, deviations, errors, select=1.5).warning
    assert not calibrate_grade(grades, deviations, errors, select=0.7).warning


def test_a_grade_that_is_turned_round_is_warned_of():
    grades, deviations, errors = atoms(exponent=-1.0)
    found = calibrate_grade(grades, deviations, errors, select=0.01)
    assert found.rank_of_grade < -0.7
    assert found.warning.startswith("errors fall as the grade rises")


def test_few_atoms_say_nothing():
    found = calibrate_grade(*atoms(num=12), select=1.5)
    assert len(found.groups) == 1
    assert found.warning == ""
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["groups"][0]["error_95"] is None


def test_the_figure_has_a_line_a_generation(tmp_path):
    found = {f"generation {k}": calibrate_grade(*atoms(seed=k), select=1.5) for k in range(3)}
    image = save_grade_calibration(found, tmp_path)
    header = image.with_suffix(".csv").read_text().splitlines()[0]
    assert image.name == "grade_calibration.png"
    assert header.count("generation") == 9
