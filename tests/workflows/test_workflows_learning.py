"""The parts of the loop by themselves: records, made-up explorers, budgets, thresholds, selection."""

from dataclasses import replace

import pytest
from ase.build import bulk
from ase.io import write

from md.state import State
from mlip.errors import ConfigError, MlipError
from mlip.workflows import learn
from mlip.workflows.learning import explore as exploring
from mlip.workflows.learning.explore import explore
from mlip.workflows.learning.legs import all_passed, read_legs
from mlip.workflows.learning.plan import Budget, Thresholds
from mlip.workflows.learning.records import (
    Generation,
    write_json,
)
from mlip.workflows.stage import as_job

STOPPED = (
    "x ERROR stopped: atom 3 (Cu) has an extrapolation grade of 9 at step 7; expected at most 2: label\n"
)


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


@pytest.mark.usefixtures("composing")
def test_dynamics_ended_from_outside_are_no_discovery(tmp_path, plan, monkeypatch):
    """A job that ran out of time, a process out of memory: files, and nothing says why it stopped."""

    def end(command, folder):
        folder.mkdir(parents=True)
        write(folder / "final.extxyz", bulk("Cu", cubic=True))
        (folder / "log.txt").write_text("x INFO going on\n")
        raise MlipError("mlip md ended with exit code -9")

    monkeypatch.setattr(exploring, "run_verb", end)
    one = begun(tmp_path, 1)
    with pytest.raises(MlipError, match="exit code -9"):
        one.once("explore", lambda: explore(plan, one))


@pytest.mark.usefixtures("composing")
def test_explorers_are_placed_each_by_itself(tmp_path, plan, monkeypatch):
    placed = {
        "a": replace(plan.explorers["a"], device="cuda:1"),
        "b": replace(plan.explorers["b"], job={"launcher": "submitit_slurm", "partition": "gpu", "nodes": 1}),
    }
    md = MadeUp({"a": None, "b": None})
    monkeypatch.setattr(exploring, "run_verb", md)
    one = begun(tmp_path, 1)
    explore(replace(plan, explorers=placed, at_once=2), one)
    assert md.commands["a"][:2] == ["md", "device=cuda:1"]
    words = ["hydra/launcher=submitit_slurm", "hydra.launcher.partition=gpu", "hydra.launcher.nodes=1"]
    assert md.commands["b"][:6] == ["md", "--multirun", *words, "device=cpu"]
    with pytest.raises(ConfigError, match="expected its launcher"):
        as_job(["md"], {"partition": "gpu"})


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
