"""The report of the loop: why frames were selected, whether the grade was right, what the gates said."""

import numpy as np
import pytest
from ase.build import bulk

from mlip.data.fingerprint import fingerprint
from mlip.deploy.gates import Check, GateResult, write_record
from mlip.workflows.learning.choose import GRADES, SELECTED
from mlip.workflows.learning.records import Generation, write_frames, write_json
from mlip.workflows.learning.report import write_loop_report
from train.grade_calibration import GradeCalibration, calibrate_grade

GRADE = 7.31


@pytest.fixture
def loop(tmp_path):
    """A loop after one generation, whose grades fall as the errors rise."""
    frame = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    frame.rattle(0.2, seed=1)
    frame.arrays[GRADES] = np.linspace(0.1, GRADE, len(frame))
    begin, one = (Generation(tmp_path, number) for number in (0, 1))
    for each in (begin, one):
        each.path.mkdir()
    write_json(begin.path / "label.json", {"labelled": 20, "computed": 0, "seconds": 0.1, "reason": "given"})
    write_frames(one.path / SELECTED, [frame])
    leg = {"ended": "stopped", "potential": 0, "turn": 0, "from_ps": 0.0, "known_ps": 0.4, "total_ps": 1.0}
    leg |= {"frames": 1, "highest_grade": GRADE, "restart": "", "reason": "stopped", "seconds": 1.0}
    explored = {"potential": 0, "explorers": {"hot": leg}, "seconds": 1.0, "reason": "hot stopped"}
    said = {"explorer": "hot", "stage": "nvt", "step": 150, "max_grade": GRADE, "atom": 7, "element": "Cl"}
    chosen = {"chosen": [said | {"why": "its atoms enlarge the active sets"}], "candidate_grades": [GRADE]}
    errors = np.geomspace(0.01, 1.0, 200)
    calibration = calibrate_grade(errors[::-1].copy(), np.full(200, 0.1), errors, select=0.5)
    of_frame = {fingerprint(frame): {"rms": 0.25, "worst": 0.9, "atom": 3}}
    before = {"force_rmse": 0.14, "frames": of_frame, "calibration": calibration.to_dict()}
    label = {"labelled": 1, "failed": 0, "computed": 1, "core_seconds": 2.0, "before": before}
    for phase, record in {"explore": explored, "select": chosen, "label": label}.items():
        write_json(one.path / f"{phase}.json", {"seconds": 1.0, "reason": phase} | record)
    return tmp_path


def test_the_page_says_why_and_what_came_of_it(loop):
    (loop / "potential.mlip").write_bytes(b"a potential")
    failed = Check("Li-N deepest hole", 1.0, "eV/A", 0.5, "add builder=pairs")
    write_record(loop / "potential.mlip", [GateResult("pair_curves", (failed,), "curves")])
    page = write_loop_report(loop).read_text()
    assert "The ringed Cl had a grade of 7.31 at step 150 of stage nvt" in page
    assert "its atoms enlarge the active sets" in page
    assert "forces were off by 0.25 eV/A before it trained, 0.9 at worst (" in page
    assert "high errors come with low grades: 100 %" in page
    assert "hardly foretold the errors" in page
    assert "FAILED" in page
    assert "add builder=pairs" in page
    assert (loop / "figures" / "selected_001_0.png").exists()
    assert (loop / "figures" / "grade_calibration.png").exists()


def test_calibrations_come_back_from_their_records():
    grades = np.append(np.linspace(0.0, 2.0, 100), np.inf)  # an element that training had not
    calibration = calibrate_grade(grades, np.full(101, 0.1), np.linspace(0.1, 1.0, 101), select=1.5)
    assert GradeCalibration.from_dict(calibration.to_dict()) == calibration
