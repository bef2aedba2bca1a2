"""Where atoms of an interface come from: found, kept along a run, and told apart by the analysis."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import read, write

from md.analysis.load import load_frames
from md.engines.ase import AseEngine
from md.engines.entrance import first_state
from md.engines.loop import simulate
from md.origin import given_origin, tag_metal
from md.state import State
from md.trajectory import Trajectory
from md.trajectory_repair import cut_trajectory
from mlip.errors import ConfigError, DataError


@pytest.fixture
def stack():
    """LiCl (rock salt, 8 Li) under bcc lithium (16 atoms), third vector normal."""
    salt = bulk("LiCl", "rocksalt", a=5.1, cubic=True).repeat((1, 1, 2))
    metal = bulk("Li", "bcc", a=3.4, cubic=True).repeat((1, 1, 8))
    metal.positions *= [1.5, 1.5, 1.0]
    metal.positions += [0.5, 0.5, 10.2 - 0.5]
    atoms = salt + metal
    atoms.set_cell([5.1, 5.1, 10.2 + 27.2], scale_atoms=False)
    return atoms


def test_the_metal_is_what_the_formula_does_not_need(stack):
    origin = tag_metal(stack, "LiCl")
    assert origin.tolist() == [0] * 16 + [1] * 16
    shuffled = np.random.default_rng(0).permutation(len(stack))
    assert tag_metal(stack[shuffled], "LiCl").tolist() == origin[shuffled].tolist()
    sodium = stack.copy()
    sodium.symbols[16:] = "Na"
    assert tag_metal(sodium, "LiCl").tolist() == origin.tolist()


@pytest.mark.parametrize("formula", ["Li2S", "Li0", "LiCl2x", "Li5PS4"])
def test_a_formula_that_does_not_fit_is_refused(stack, formula):
    with pytest.raises(ConfigError, match="origin="):
        tag_metal(stack, formula)
    stack.symbols[1] = "Br"
    with pytest.raises(ConfigError, match="whole formula units of it and one element more"):
        tag_metal(stack, "LiCl")


def test_a_structure_may_say_it_itself(stack, tmp_path):
    assert len(given_origin(stack)) == 0
    stack.set_tags([2] * 16 + [5] * 16)
    assert given_origin(stack).tolist() == [2] * 16 + [5] * 16
    stack.arrays["origin"] = np.arange(32)
    write(tmp_path / "a.extxyz", stack)
    assert given_origin(read(tmp_path / "a.extxyz")).tolist() == list(range(32))


def test_a_run_keeps_it_in_all_its_files(argon, lennard_jones, plan, tmp_path):
    argon.arrays["origin"] = np.arange(32) % 2
    stages = plan(ensemble="nvt", temperature_K=60, duration_ps=0.2, timestep_fs=4.0, every_ps=0.02)
    state = first_state(State.from_atoms(argon), stages, seed=1)
    simulate(AseEngine(lennard_jones), stages, state, tmp_path)
    for kept in (
        read(tmp_path / "final.extxyz").arrays["origin"],
        State.load(tmp_path / "restart.npz").origin,
        Trajectory(tmp_path / "trajectory.h5").origin,
    ):
        assert kept.tolist() == argon.arrays["origin"].tolist()
    (frames,) = load_frames(tmp_path / "trajectory.h5")
    assert frames.select("Ar@1").tolist() == list(range(1, 32, 2))
    assert len(frames.select("Ar")) == 32
    with pytest.raises(DataError, match="found no Ar@2 in the trajectory; it knows Ar@0, Ar@1"):
        frames.select("Ar@2")


def test_a_damaged_trajectory_keeps_it_too(argon, lennard_jones, plan, tmp_path):
    argon.arrays["origin"] = np.arange(32) % 3
    stages = plan(ensemble="nve", temperature_K=60, duration_ps=0.2, timestep_fs=4.0, every_ps=0.02)
    state = first_state(State.from_atoms(argon), stages, seed=1)
    simulate(AseEngine(lennard_jones), stages, state, tmp_path)
    path = tmp_path / "trajectory.h5"
    with path.open("r+b") as stream:
        stream.truncate(path.stat().st_size - 3000)
    cut_trajectory(path, 10**6)
    with Trajectory(path) as trajectory:
        assert trajectory.origin.tolist() == argon.arrays["origin"].tolist()


def test_without_an_origin_there_is_none(tmp_path):
    state = State.from_atoms(Atoms("Li2", [[0, 0, 0], [0, 0, 2]], cell=[4, 4, 4], pbc=True))
    assert "origin" not in state.to_atoms().arrays
    state.save(tmp_path / "restart.npz")
    assert len(State.load(tmp_path / "restart.npz").origin) == 0
