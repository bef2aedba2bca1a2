"""The extrapolation grade along a run: the same in each engine, watched, and frames kept for labelling."""

import math
import os
from dataclasses import replace

import numpy as np
import pytest
from ase.io import read, write
from hydra import compose, initialize_config_module
from structures import random_structure

from md.engines.ase import AseEngine
from md.engines.base import Place
from md.engines.entrance import first_state
from md.engines.grade_watch import ExtrapolatingFrames, GradeLimits
from md.engines.lammps import LammpsBackend
from md.engines.torch.engine import TorchEngine
from md.protocols.stages import Stage, plan_stages
from md.run import run_md
from md.state import State
from md.trajectory import Trajectory
from mlip.deploy import MLIPCalculator
from mlip.deploy.calculator import GradeThresholds
from mlip.errors import ConfigError, SimulationError
from mlip.runs import Run

STAGES = plan_stages([Stage("only", "nve", temperature_K=300.0, duration_ps=0.02, timestep_fs=0.5)])
OWN = GradeThresholds(select=1.7, stop=8.0)


@pytest.fixture(scope="module")
def calculator(graded_file):
    return MLIPCalculator(graded_file, "cpu", "float64", kernel="reference")


def start(seed):
    return first_state(State.from_atoms(random_structure("triclinic", seed=seed)), STAGES, seed)


def grades_after(engine, state):
    engine.begin([Place(0, STAGES[0], state)])
    engine.advance(20)
    (observation,) = engine.observe()
    return observation.grades


def test_the_torch_engine_gives_the_grades_of_ase_for_each_system(calculator):
    batch = TorchEngine(calculator)
    batch.begin([Place(k, STAGES[0], start(k + 20)) for k in range(3)])
    batch.advance(20)
    for k, observation in enumerate(batch.observe()):
        engine = AseEngine(calculator)
        engine.begin(STAGES[0], start(k + 20))
        engine.advance(20)
        expected = engine.observe().grades
        assert np.ptp(expected) > 0.1
        np.testing.assert_allclose(observation.grades, expected, rtol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
def test_lammps_gives_the_grades_of_the_torch_engine(calculator, tmp_path, ranks):
    expected = grades_after(TorchEngine(calculator), start(20))
    before = dict(os.environ)
    engine = LammpsBackend(ranks=ranks).open(calculator, [start(20)], 0, tmp_path)
    np.testing.assert_allclose(grades_after(engine, start(20)), expected, rtol=1e-6)
    engine.close()
    assert dict(os.environ) == before  # what this run asks for is not asked of later ones


def test_limits_come_from_the_settings_or_from_the_potential():
    assert GradeLimits.of_settings("auto", None, OWN) == GradeLimits(stop=8.0)
    assert GradeLimits.of_settings(3, "auto", OWN) == GradeLimits(stop=3.0, mark=1.7)
    assert GradeLimits.of_settings("auto", "auto", None) == GradeLimits(math.inf, math.inf)
    with pytest.raises(ConfigError, match=r"grade\.stop=3 for a potential without"):
        GradeLimits.of_settings(3, None, None)
    for wrong in (-1, True, "high"):
        with pytest.raises(ConfigError, match=r"grade\.mark=.* expected a number above zero, auto or null"):
            GradeLimits.of_settings(None, wrong, OWN)


def test_atoms_are_known_below_both_limits():
    limits = GradeLimits(stop=8.0, mark=2.0)
    assert limits.knows(np.array([1.0, 2.0]))
    assert limits.knows(None)
    assert not limits.knows(np.array([1.0, 2.1]))
    assert not GradeLimits(stop=3.0).knows(np.array([3.1]))


def test_frames_are_kept_once_a_frame_and_dropped_after_a_restart(tmp_path):
    (stage,), state = STAGES, start(0)
    stage = replace(stage, steps_per_frame=10)
    path, limits = tmp_path / "extrapolating.extxyz", GradeLimits(stop=5.0, mark=2.0)
    frames = ExtrapolatingFrames(path, limits, 0)
    for step, grade in [(0, 1.0), (5, 3.0), (10, 3.0), (15, 2.5), (20, 1.9), (25, 2.1), (30, 6.0)]:
        frames.note(replace(state, steps_done=step), stage, np.full(len(state.numbers), grade))
    kept = read(path, ":")
    assert [(each.info["step"], each.info["max_grade"]) for each in kept] == [
        (5, 3.0),
        (15, 2.5),
        (25, 2.1),
        (30, 6.0),
    ]
    assert kept[0].arrays["extrapolation_grade"].tolist() == [3.0] * len(state.numbers)
    with path.open("a") as stream:
        stream.write(path.read_text()[:200])  # a kill in the middle of a frame
    ExtrapolatingFrames(path, limits, 30)
    assert [each.info["step"] for each in read(path, ":")] == [5, 15, 25, 30]
    again = ExtrapolatingFrames(path, limits, 20)
    assert [each.info["step"] for each in read(path, ":")] == [5, 15]
    again.note(replace(state, steps_done=22), stage, np.full(len(state.numbers), 3.0))
    again.note(replace(state, steps_done=25), stage, np.full(len(state.numbers), 3.0))
    assert [each.info["step"] for each in read(path, ":")] == [5, 15, 25]


@pytest.mark.parametrize("engine", ["ase", "torch"])
def test_a_run_stops_where_the_potential_knows_nothing(tmp_path, graded_file, engine):
    write(tmp_path / "start.extxyz", random_structure("triclinic", seed=29))
    overrides = ["protocol=nvt", "protocol.nvt.temperature_K=[300,400]", "protocol.nvt.timestep_fs=0.5"]
    lengths = ["protocol.nvt.duration_ps=0.02", "protocol.nvt.every_ps=0.005"]
    names = [
        f"structure={tmp_path}/start.extxyz",
        f"potential={graded_file}",
        f"engine={engine}",
        "device=cpu",
    ]

    def run(folder, *more):
        with initialize_config_module("mlip.conf", version_base="1.3"):
            config = compose("md", [*names, *overrides, *lengths, *more])
        (tmp_path / folder).mkdir()
        run_md(config, Run(tmp_path / folder, resumed=False, finished=False))

    run("free", "grade.stop=null", "grade.mark=0.01")
    table = np.genfromtxt(tmp_path / "free" / "thermo.csv", delimiter=",", names=True)
    assert table.dtype.names[-1] == "grade"
    marked = read(tmp_path / "free" / "extrapolating.extxyz", ":")
    assert [each.info["max_grade"] for each in marked] == pytest.approx(table["grade"])
    limit = float(table["grade"].max()) * 0.999
    first = int(table["step"][np.argmax(table["grade"] > limit)])
    with pytest.raises(SimulationError, match=rf"extrapolation grade of .* at step {first} \(stage nvt\)"):
        run("stopped", f"grade.stop={limit}")
    (beyond,) = read(tmp_path / "stopped" / "extrapolating.extxyz", ":")
    assert beyond.info["step"] == first
    assert beyond.arrays["extrapolation_grade"].max() == pytest.approx(beyond.info["max_grade"])
    assert beyond.info["max_grade"] > limit

    known = State.load(tmp_path / "stopped" / "known.npz")
    assert 0 <= known.steps_done < first
    run("on", "grade.stop=null", f"restart={tmp_path}/stopped/known.npz")
    with (
        Trajectory(tmp_path / "free" / "trajectory.h5") as free,
        Trajectory(tmp_path / "on" / "trajectory.h5") as on,
    ):
        assert on.steps[0] > known.steps_done
        assert on.steps[-1] == free.steps[-1]
        later = np.isin(free.steps, on.steps)  # the ramp goes on where it was, neither repeated nor restarted
        np.testing.assert_allclose(on.target_temperatures_K, free.target_temperatures_K[later])
        np.testing.assert_allclose(on.times_ps, free.times_ps[later])
    with pytest.raises(ConfigError, match="expected a state of this structure within this protocol"):
        run("short", "protocol.nvt.duration_ps=0.005", f"restart={tmp_path}/free/restart.npz")
