"""Velocities, and species that are stored more often than all atoms."""

import logging
from contextlib import closing
from dataclasses import replace

import h5py
import MDAnalysis
import numpy as np
import pytest
from ase.build import bulk

from md.analysis import compute_msd, load_frames
from md.protocols.stages import Stage, plan_stages
from md.state import State
from md.storage import Storage
from md.trajectory import Trajectory
from md.trajectory_repair import cut_trajectory
from md.trajectory_writer import TrajectoryWriter
from mlip.errors import ConfigError, DataError

STORAGE = Storage(velocities=True, often=["Li"], every_ps=0.002)


@pytest.fixture
def stages():
    """20 frames of 10 steps; Li every other step."""
    return plan_stages(
        [Stage(name="hold", ensemble="nvt", temperature_K=300, duration_ps=0.2, every_ps=0.01)]
    )


@pytest.fixture
def walk():
    """States after 0, 2, 4, ... steps of atoms that wander out of their cell, and all drift."""
    rng = np.random.default_rng(1)
    atoms = bulk("Li2S", "fluorite", a=5.7, cubic=True)
    start = State.from_atoms(atoms)
    steps = rng.normal(scale=0.3, size=(101, 12, 3)) + np.array([0.05, 0.0, -0.02])
    path = start.positions + np.cumsum(steps, axis=0)
    return [
        replace(start, positions=path[k], velocities=steps[k] / 2.0, steps_done=2 * k) for k in range(101)
    ]


def write(path, walk, stages, storage=STORAGE):
    with closing(TrajectoryWriter(path, walk[0], stages, storage)) as writer:
        for state in walk:
            if state.steps_done % 10 == 0:
                writer.append(state, stages[0], -1.5 * state.steps_done)
            else:
                writer.append_often(state, stages[0])
    return path


def test_species_stored_often_and_all_atoms_at_their_own_times(tmp_path, walk, stages):
    path = write(tmp_path / "t.h5", walk, stages)
    lithium = walk[0].numbers == 3
    with Trajectory(path) as everything, Trajectory(path, "often") as often:
        assert np.array_equal(everything.steps, np.arange(0, 201, 10))
        assert np.array_equal(often.steps, np.arange(0, 201, 2))
        assert np.allclose(often.times_ps, 0.002 * np.arange(101))
        assert np.array_equal(everything.ids, np.arange(12))
        assert np.array_equal(often.ids, np.flatnonzero(lithium))
        assert set(often.symbols) == {"Li"}
        assert np.allclose(often.masses, walk[0].masses[lithium])
        true = np.array([state.positions for state in walk])
        assert np.allclose(everything.unwrapped(), true[::5], rtol=0, atol=2e-6)
        assert np.allclose(often.unwrapped(), true[:, lithium], rtol=0, atol=2e-6)
        assert np.array_equal(often.positions()[::5], everything.positions()[:, lithium])
        motion = np.array([state.velocities for state in walk])
        assert np.allclose(everything.velocities(), motion[::5], rtol=1e-6, atol=0)
        assert np.allclose(often.velocities(), motion[:, lithium], rtol=1e-6, atol=0)
        assert np.array_equal(everything.potential_eV, -15.0 * np.arange(21))
        assert often.frames_of("hold") == slice(0, 101)
        centres = np.einsum("n,tnk->tk", walk[0].masses, true) / walk[0].masses.sum()
        assert np.allclose(often.centers_of_mass, centres)


def test_mdanalysis_reads_all_atoms_and_their_velocities(tmp_path, walk, stages):
    path = write(tmp_path / "t.h5", walk, stages)
    universe = MDAnalysis.Universe.empty(12, trajectory=True, velocities=True)
    universe.load_new(str(path), format="H5MD")
    assert len(universe.trajectory) == 21
    for frame, state in zip(universe.trajectory, walk[::5], strict=True):
        assert np.allclose(frame.positions, state.wrapped()[0], atol=1e-5)
        assert np.allclose(frame.velocities, 1000.0 * state.velocities, rtol=1e-5)  # A/ps


def test_a_cut_brings_both_back_to_one_step(tmp_path, walk, stages):
    path = write(tmp_path / "t.h5", walk, stages)
    cut_trajectory(path, last_step=94)
    with Trajectory(path) as everything, Trajectory(path, "often") as often:
        assert everything.steps[-1] == 90
        assert often.steps[-1] == 94
    write(path, walk[48:], stages)
    whole = write(tmp_path / "whole.h5", walk, stages)
    for particles in ("all", "often"):
        with Trajectory(path, particles) as one, Trajectory(whole, particles) as other:
            assert np.array_equal(one.steps, other.steps)
            assert np.array_equal(one.unwrapped(), other.unwrapped())
            assert np.array_equal(one.velocities(), other.velocities())


def test_a_file_of_version_0_4_is_read_and_gone_on_with(tmp_path, walk, stages):
    """It had no energies."""
    path = write(tmp_path / "t.h5", walk[:51], stages, Storage())
    with h5py.File(path, "r+") as file:
        del file["observables/potential_energy"]
    cut_trajectory(path, last_step=80)
    write(path, walk[41:], stages, Storage())
    with Trajectory(path) as trajectory:
        assert np.array_equal(trajectory.steps, np.arange(0, 201, 10))
        assert np.isnan(trajectory.potential_eV).all()


def test_a_truncated_file_gives_the_readable_frames_of_both(tmp_path, walk, stages, caplog):
    path = write(tmp_path / "t.h5", walk, stages)
    with path.open("r+b") as stream:
        stream.truncate(int(path.stat().st_size * 0.97))
    with caplog.at_level(logging.WARNING):
        cut_trajectory(path, last_step=10**6)
    with Trajectory(path) as everything, Trajectory(path, "often") as often:
        assert 5 < len(everything) < 21
        assert 25 < len(often) < 101
        true = np.array([state.positions for state in walk])
        assert np.allclose(everything.unwrapped(), true[::5][: len(everything)], rtol=0, atol=2e-6)
        assert np.allclose(often.unwrapped(), true[: len(often), often.ids], rtol=0, atol=2e-6)


def test_diffusion_of_what_is_stored_often_is_relative_to_all_atoms(tmp_path, walk, stages):
    """The same lithium, at the times of all frames, moves the same relative to the same centre of mass."""
    path = write(tmp_path / "t.h5", walk, stages)
    (often,), (everything,) = load_frames(path, particles="often"), load_frames(path)
    fine, coarse = compute_msd(often, "Li"), compute_msd(everything, "Li")
    assert fine.num_atoms == coarse.num_atoms == 8
    assert np.abs(coarse.drift_A).max() > 1.0
    assert np.allclose(fine.drift_A, coarse.drift_A, atol=1e-5)
    assert fine.lags_ps[5] == pytest.approx(coarse.lags_ps[1])
    assert fine.total[-1] == pytest.approx(coarse.total[-1], rel=1e-5)  # one origin each: the same two frames


def test_what_is_not_stored_is_said(tmp_path, walk, stages):
    path = write(tmp_path / "t.h5", walk, stages, Storage())
    with pytest.raises(DataError, match=r"has no particles often; expected all.*often\.species"):
        Trajectory(path, "often")
    with Trajectory(path) as trajectory, pytest.raises(DataError, match="velocities=true"):
        trajectory.velocities()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"often": ["Xx"]}, r"often\.species=Xx"),
        ({"often": ["Na"]}, r"often\.species=Na; expected species of the structure"),
        ({"often": ["Li"], "every_ps": 0.004}, r"4 steps of stage hold, whose frames are 10 steps apart"),
        ({"often": ["Li"], "every_ps": 0.02}, "expected a whole fraction"),
        ({"every_ps": 0}, r"often\.every_ps=0; expected a number above zero"),
        ({"velocities": "some"}, "expected true or false"),
    ],
)
def test_bad_settings_are_one_line(walk, stages, settings, message):
    def use():
        storage = Storage(**settings)
        storage.atoms(walk[0].numbers)
        storage.steps_between(stages[0])

    with pytest.raises(ConfigError, match=message):
        use()
