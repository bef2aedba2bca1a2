"""The parts of the loop by themselves: records, made-up explorers, budgets, thresholds, selection."""

from dataclasses import asdict, replace

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write
from hydra import compose, initialize_config_module
from structures import random_structure

from md.run import run_md
from md.state import State
from mlip.errors import MlipError
from mlip.runs import Run
from mlip.workflows import learn
from mlip.workflows.learning import explore as exploring
from mlip.workflows.learning.choose import SELECTED, select
from mlip.workflows.learning.explore import explore
from mlip.workflows.learning.legs import Leg, all_passed, read_legs
from mlip.workflows.learning.plan import Budget, Explorer, Plan, Subcells, Thresholds, Training
from mlip.workflows.learning.records import Generation, read_frames_of, write_json

STOPPED = (
    "x ERROR stopped: atom 3 (Cu) has an extrapolation grade of 9 at step 7; expected at most 2: label\n"
)


@pytest.fixture
def composing():
    with initialize_config_module("mlip.conf", version_base="1.3"):
        yield


@pytest.fixture
def plan(tmp_path):
    write(tmp_path / "start.extxyz", bulk("Cu", cubic=True))
    ramp = ["protocol.nvt.temperature_K=[300,900]"]
    explorers = {
        "a": Explorer(structure=str(tmp_path / "start.extxyz"), duration_ps=1.0, overrides=ramp),
        "b": Explorer(structure=str(tmp_path / "start.extxyz"), duration_ps=1.0, temperature_K=500.0),
    }
    grade = Thresholds(select=[3.0, 2.0], stop="auto")
    return Plan(explorers, grade, Subcells(), Training(), Budget(), at_once=1, device="cpu", seed=5)


def begun(run_dir, number):
    """A generation after others, the one before with a potential."""
    generation = Generation(run_dir, number)
    before = Generation(run_dir, number - 1)
    before.path.mkdir(parents=True, exist_ok=True)
    before.potential.touch()
    return generation


class MadeUp:
    """Dynamics that end as they are told: name of the explorer -> time known, ps, or None for the end."""

    def __init__(self, ends):
        self.ends, self.commands = ends, {}

    def __call__(self, command, folder):
        self.commands[folder.name] = command
        folder.mkdir(parents=True)
        known_ps = self.ends[folder.name]
        if known_ps is None:
            return
        atoms = bulk("Cu", cubic=True)
        atoms.info["max_grade"] = 9.0
        for name in ("final.extxyz", "extrapolating.extxyz"):
            write(folder / name, atoms)
        (folder / "log.txt").write_text(STOPPED)
        replace(State.from_atoms(atoms), steps_done=round(1000 * known_ps)).save(folder / "known.npz")
        raise MlipError("mlip md ended with exit code 1")


def test_a_phase_is_done_once_and_again_if_it_did_not_end(tmp_path):
    generation, calls = Generation(tmp_path, 3), []

    def work(fails):
        calls.append(fails)
        if fails:
            raise MlipError("killed")
        return {"reason": "done"}

    with pytest.raises(MlipError):
        generation.once("select", lambda: work(True))
    assert generation.read("select") is None
    first = generation.once("select", lambda: work(False))
    (generation.path / "select.json.tmp").write_text("{half")
    assert generation.once("select", lambda: work(False)) == first == generation.read("select")
    assert calls == [True, False]


@pytest.mark.usefixtures("composing")
def test_explorers_go_on_where_they_were_known_and_begin_anew_when_done(tmp_path, plan, monkeypatch):
    md = MadeUp({"a": 0.4, "b": None})
    monkeypatch.setattr(exploring, "run_verb", md)
    one = begun(tmp_path, 1)
    legs = read_legs(one.once("explore", lambda: explore(plan, one)))
    assert (legs["a"].ended, legs["a"].known_ps, legs["a"].frames) == ("stopped", 0.4, 1)
    assert legs["b"].ended == "passed"
    assert "grade.mark=3.0" in md.commands["a"]
    assert "grade.stop=auto" in md.commands["a"]
    assert "protocol.nvt.temperature_K=[300,900]" in md.commands["a"]
    assert "protocol.nvt.temperature_K=500.0" in md.commands["b"]
    assert not any(word.startswith("restart=") for word in md.commands["a"])

    md.ends = {"a": None, "b": 0.9}  # a new potential: both move, a from where it was known
    two = begun(tmp_path, 2)
    record = two.once("explore", lambda: explore(plan, two))
    legs = read_legs(record)
    assert f"restart={tmp_path}/generation_001/explorers/a/known.npz" in md.commands["a"]
    assert "grade.mark=2.0" in md.commands["a"]
    assert (legs["a"].ended, legs["a"].from_ps, legs["a"].known_ps) == ("done", 0.4, 1.0)
    assert not all_passed(record)

    md.ends, seed = {"a": None, "b": None}, [word for word in md.commands["a"] if word.startswith("seed")]
    three = begun(tmp_path, 3)  # a has done its time with two potentials: now with one, and other velocities
    legs = read_legs(three.once("explore", lambda: explore(plan, three)))
    assert (legs["a"].ended, legs["a"].from_ps, legs["a"].turn) == ("passed", 0.0, 1)
    assert [word for word in md.commands["a"] if word.startswith("seed")] != seed
    assert (legs["b"].ended, legs["b"].from_ps) == ("done", 0.9)

    md.commands, four = {}, Generation(tmp_path, 4)  # with the same potential a rests, b shows that it passes
    record = four.once("explore", lambda: explore(plan, four))
    assert set(md.commands) == {"b"}
    assert all_passed(record)


@pytest.mark.usefixtures("composing")
def test_dynamics_that_never_moved_are_an_error_not_a_discovery(tmp_path, plan, monkeypatch):
    def refuse(command, folder):
        raise MlipError("mlip md ended with exit code 1; see log.txt")

    monkeypatch.setattr(exploring, "run_verb", refuse)
    one = begun(tmp_path, 1)
    with pytest.raises(MlipError, match="exit code 1"):
        one.once("explore", lambda: explore(plan, one))
    assert one.read("explore") is None


def test_budgets(tmp_path):
    for number, computed in ((0, 0), (1, 4), (2, 3)):
        folder = Generation(tmp_path, number).path
        folder.mkdir()
        record = {"computed": computed, "reason": "", "seconds": 1800.0}
        write_json(folder / "label.json", record)
    assert learn.over_budget(Budget(generations=3), tmp_path, 3) is None
    assert learn.over_budget(Budget(generations=2), tmp_path, 3) == "budget.generations=2 are done"
    assert learn.over_budget(Budget(labels=8), tmp_path, 3) is None
    assert learn.over_budget(Budget(labels=7), tmp_path, 3) == "budget.labels=7 are spent"
    assert learn.over_budget(Budget(labels=7), tmp_path, 2) is None  # what is begun is ended
    assert learn.over_budget(Budget(hours=1.6), tmp_path, 3) is None
    assert learn.over_budget(Budget(hours=1.5), tmp_path, 3) == "budget.hours=1.5 are over"
    assert learn.over_budget(Budget(hours=1.5), tmp_path, 2) is None
    assert learn.frames_left(Budget(labels=9, per_generation=5), Generation(tmp_path, 3)) == 2
    assert learn.frames_left(Budget(labels=None, per_generation=5), Generation(tmp_path, 3)) == 5
    assert learn.frames_left(Budget(labels=None, per_generation=None), Generation(tmp_path, 3)) is None


def test_thresholds_follow_their_schedule():
    grade = Thresholds(select="auto", stop=[5.5, 4.0, 2.5])
    assert [grade.at(number)["stop"] for number in (1, 2, 3, 4, 9)] == [5.5, 4.0, 2.5, 2.5, 2.5]
    assert grade.at(9)["mark"] == "auto"


@pytest.fixture
def explored(tmp_path, graded_file, plan):
    """Selection after a short run of an engine, in a folder of its own."""
    dense = random_structure("triclinic", seed=20)  # none of those that the grade was fitted to
    dense.set_cell(0.93 * dense.cell.array, scale_atoms=True)
    write(tmp_path / "disordered.extxyz", dense)

    def run(engine, plan=plan):
        generation = Generation(tmp_path / engine, 1)
        folder = generation.path / "explorers" / "x"
        folder.mkdir(parents=True)
        before = Generation(tmp_path / engine, 0)
        before.path.mkdir()
        before.potential.write_bytes(graded_file.read_bytes())
        words = [f"engine={engine}", f"structure={tmp_path}/disordered.extxyz", f"potential={graded_file}"]
        words += ["protocol=nve", "protocol.nve.temperature_K=2000", "protocol.nve.duration_ps=0.02"]
        words += ["protocol.nve.every_ps=0.002", "protocol.nve.timestep_fs=0.5", "kernel=reference"]
        words += ["device=cpu", "grade.stop=null", "grade.mark=0.1"]
        run_md(compose("md", words), Run(folder, resumed=False, finished=False))
        leg = Leg("broke", 0, 0, 0.0, 0.0, 1.0, frames=0, highest_grade=0.0, restart="", reason="")
        record = {"potential": 0, "explorers": {"x": asdict(leg)}}
        as_explored = replace(plan, grade=Thresholds(select=0.1))
        return generation, select(as_explored, generation, record, None)

    return run


@pytest.mark.usefixtures("composing")
def test_the_same_frames_are_selected_whichever_engine_explored(explored):
    found = {engine: explored(engine) for engine in ("ase", "torch")}
    records = {engine: record for engine, (_, record) in found.items()}
    assert records["ase"]["candidates"] > 3
    assert records["ase"]["supplied"] > 0
    assert records["ase"]["fingerprints"] == records["torch"]["fingerprints"]
    assert [each["step"] for each in records["ase"]["chosen"]] == [
        each["step"] for each in records["torch"]["chosen"]
    ]
    frames = {engine: read_frames_of(generation.path / SELECTED) for engine, (generation, _) in found.items()}
    for one, other in zip(*frames.values(), strict=True):
        np.testing.assert_allclose(one.positions, other.positions, atol=1e-6)
        assert one.info["explorer"] == "x"


@pytest.mark.parametrize(
    ("grades", "threshold", "taken"),
    [
        ([2.0, 7.0, 30.0], 0.1, [2.0, 7.0]),
        ([30.0], 0.1, [30.0]),
        ([2.0, 7.0, 30.0], 1e9, [2.0, 7.0, 30.0]),  # nothing is new below: then beyond
    ],
)
def test_what_is_beyond_the_stop_is_labelled_only_if_there_is_nothing_else(
    tmp_path, graded_file, plan, grades, threshold, taken
):
    generation = begun(tmp_path, 1)
    Generation(tmp_path, 0).potential.write_bytes(graded_file.read_bytes())
    frames = [random_structure("triclinic", seed=20 + number) for number in range(len(grades))]
    for frame, grade in zip(frames, grades, strict=True):
        frame.set_cell(0.8 * frame.cell.array, scale_atoms=True)  # nothing like what trained
        frame.info["max_grade"] = grade
    folder = generation.path / "explorers" / "x"
    folder.mkdir(parents=True)
    write(folder / "extrapolating.extxyz", frames)
    leg = Leg("stopped", 0, 0, 0.0, 0.0, 1.0, frames=len(frames), highest_grade=30.0, restart="", reason="")
    record = {"potential": 0, "explorers": {"x": asdict(leg)}}
    plan = replace(plan, grade=Thresholds(select=threshold, stop=10.0))
    assert select(plan, generation, record, None)["candidate_grades"] == taken


@pytest.mark.usefixtures("composing")
def test_large_frames_are_cut_around_the_atom_of_the_highest_grade(explored, plan):
    generation, record = explored("ase", replace(plan, subcells=Subcells(above=6, num_atoms=3)))
    pieces = read_frames_of(generation.path / SELECTED)
    assert len(pieces) == len(record["chosen"]) > 0
    for piece, said in zip(pieces, record["chosen"], strict=True):
        assert 1 <= len(piece) < 12
        assert piece.arrays["extrapolation_grade"].max() == pytest.approx(said["max_grade"])
        assert said["element"] in piece.symbols
