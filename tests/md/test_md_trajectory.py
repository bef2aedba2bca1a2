import logging
from contextlib import closing
from dataclasses import replace

import h5py
import MDAnalysis
import numpy as np
import pytest
from ase.build import bulk

from md.protocols.stages import Stage, plan_stages
from md.state import State
from md.trajectory import Trajectory
from md.trajectory_repair import cut_trajectory
from md.trajectory_writer import TrajectoryWriter
from mlip.errors import DataError

TRICLINIC = np.array([[8.0, 0.0, 0.0], [1.5, 7.0, 0.0], [-0.7, 0.9, 9.0]])


@pytest.fixture
def stages():
    """100 frames of 10 steps at one temperature, then 100 on a ramp."""
    hold = Stage(name="hold", ensemble="nvt", temperature_K=300, duration_ps=1, every_ps=0.01)
    cool = Stage(name="cool", ensemble="nvt", temperature_K=200, rate_K_per_ps=100, every_ps=0.01)
    return plan_stages([hold, cool])


@pytest.fixture
def walk(stages):
    """Frames of atoms that wander far across the boundaries of a triclinic cell."""
    rng = np.random.default_rng(0)
    atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    atoms.set_cell(TRICLINIC, scale_atoms=True)
    start = State.from_atoms(atoms)
    path = start.positions + np.cumsum(rng.normal(scale=0.8, size=(150, 8, 3)), axis=0)
    return [
        replace(start, positions=positions, stage=frame // 100, steps_done=10 * (frame % 100 + 1))
        for frame, positions in enumerate(path)
    ]


def write(path, frames, stages):
    with closing(TrajectoryWriter(path, frames[0], stages)) as writer:
        for state in frames:
            writer.append(state, stages[state.stage])
    return path


def test_unwrapped_positions_come_back(tmp_path, walk, stages):
    with Trajectory(write(tmp_path / "t.h5", walk, stages)) as trajectory:
        true = np.array([state.positions for state in walk])
        assert len(trajectory) == 150
        assert np.abs(true).max() > 12  # the walk left the cell
        assert np.allclose(trajectory.unwrapped(), true, rtol=0, atol=2e-6)
        fractional = trajectory.positions() @ np.linalg.inv(TRICLINIC)
        assert fractional.min() > -1e-6
        assert fractional.max() < 1 + 1e-6
        assert np.allclose(trajectory.unwrapped(slice(20, 90, 7)), true[20:90:7], rtol=0, atol=2e-6)
        pieces = [trajectory.unwrapped(piece) for piece in trajectory.chunks(64)]
        assert np.allclose(np.concatenate(pieces), true, rtol=0, atol=2e-6)


def test_what_else_a_frame_knows(tmp_path, walk, stages):
    with Trajectory(write(tmp_path / "t.h5", walk, stages)) as trajectory:
        assert trajectory.symbols == walk[0].to_atoms().get_chemical_symbols()
        assert np.array_equal(trajectory.steps, np.arange(10, 1501, 10))
        assert np.allclose(trajectory.times_ps, 0.01 * np.arange(1, 151))
        assert trajectory.frames_of("hold") == slice(0, 100)
        assert trajectory.frames_of(1) == slice(100, 150)
        assert [(each.name, each.production) for each in trajectory.stages] == [
            ("hold", True),
            ("cool", False),
        ]
        assert trajectory.target_temperatures_K[:100] == pytest.approx(300)
        assert trajectory.target_temperatures_K[[100, 149]] == pytest.approx([299, 250])
        assert np.allclose(trajectory.atoms(-1).cell, TRICLINIC)
        with pytest.raises(DataError, match="expected one of hold, cool"):
            trajectory.frames_of("melt")


def test_a_crystal_at_rest_in_a_breathing_cell_does_not_move(tmp_path, stages):
    """Atoms that crossed the boundary while the cell changes: images times the present cell would drift."""
    start = State.from_atoms(bulk("Cu", cubic=True).repeat(2))
    fractional = start.positions @ np.linalg.inv(start.cell) + np.arange(-16, 16)[:, None]
    frames = []
    for index in range(60):
        cell = start.cell * (1 + 0.05 * np.sin(index))
        frames.append(replace(start, positions=fractional @ cell, cell=cell, steps_done=10 * (index + 1)))
    with Trajectory(write(tmp_path / "t.h5", frames, stages)) as trajectory:
        moved = trajectory.unwrapped() - trajectory.unwrapped()[0]
        assert np.abs(moved).max() < 1e-4
        naive = trajectory.positions() + trajectory.images() @ trajectory.cells
        assert np.abs(naive - naive[0]).max() > 1.0


def test_mdanalysis_reads_it(tmp_path, walk, stages):
    path = write(tmp_path / "t.h5", walk, stages)
    universe = MDAnalysis.Universe.empty(8, trajectory=True)
    universe.load_new(str(path), format="H5MD")
    with Trajectory(path) as trajectory:
        images, unwrapped = trajectory.images(), trajectory.unwrapped()
    assert len(universe.trajectory) == 150
    for index, frame in enumerate(universe.trajectory):
        assert frame.time == pytest.approx(0.01 * (index + 1))
        assert frame.data["step"] == 10 * (index + 1)
        assert np.allclose(frame.triclinic_dimensions, TRICLINIC, atol=1e-5)
        assert np.allclose(frame.positions + images[index] @ TRICLINIC, unwrapped[index], atol=2e-5)
    assert universe.trajectory.units["length"] == "Angstrom"


def test_open_directions_are_not_wrapped(tmp_path, walk, stages):
    slab = [replace(state, pbc=np.array([True, True, False])) for state in walk]
    with Trajectory(write(tmp_path / "t.h5", slab, stages)) as trajectory:
        assert not trajectory.images()[:, :, 2].any()
        assert np.allclose(trajectory.unwrapped(), [state.positions for state in slab], rtol=0, atol=5e-6)


def test_appending_goes_on_after_a_cut(tmp_path, walk, stages):
    path = write(tmp_path / "t.h5", walk[:80], stages)
    cut_trajectory(path, last_step=505)
    with Trajectory(path) as trajectory:
        assert trajectory.steps[-1] == 500
    write(path, walk[50:], stages)
    with Trajectory(path) as trajectory:
        assert np.allclose(trajectory.unwrapped(), [state.positions for state in walk], rtol=0, atol=2e-6)


def test_a_frame_in_the_making_does_not_count(tmp_path, walk, stages):
    path = write(tmp_path / "t.h5", walk[:10], stages)
    with h5py.File(path, "r+") as file:
        file["particles/all/position/value"].resize(11, axis=0)
        file["particles/all/position/step"].resize(11, axis=0)
    with Trajectory(path) as trajectory:
        assert len(trajectory) == 10
    cut_trajectory(path, last_step=10**6)
    write(path, walk[10:20], stages)
    with Trajectory(path) as trajectory:
        assert np.array_equal(trajectory.steps, np.arange(10, 201, 10))


@pytest.mark.parametrize("kept", [0.98, 0.9])
def test_a_truncated_file_gives_its_readable_frames(tmp_path, walk, stages, kept, caplog):
    path = write(tmp_path / "t.h5", walk, stages)
    with path.open("r+b") as stream:
        stream.truncate(int(path.stat().st_size * kept))
    with pytest.raises(DataError, match="running its `mlip md` command again"):
        Trajectory(path)
    with caplog.at_level(logging.WARNING):
        cut_trajectory(path, last_step=10**6)
    assert "damaged" in caplog.text
    with Trajectory(path) as trajectory:
        frames = len(trajectory)
        assert 30 < frames < 150
        true = np.array([state.positions for state in walk[:frames]])
        assert np.allclose(trajectory.unwrapped(), true, rtol=0, atol=2e-6)
    write(path, walk[frames:], stages)
    with Trajectory(path) as trajectory:
        assert np.array_equal(trajectory.steps, np.arange(10, 1501, 10))


def test_a_file_cut_too_short_is_kept_beside_the_new_one(tmp_path, walk, stages):
    path = write(tmp_path / "t.h5", walk, stages)
    with path.open("r+b") as stream:
        stream.truncate(3000)
    cut_trajectory(path, last_step=10**6)
    assert (tmp_path / "t.h5.broken").exists()
    write(path, walk[140:], stages)
    with Trajectory(path) as trajectory:
        assert np.array_equal(trajectory.steps, np.arange(1410, 1501, 10))


def test_rubbish_is_moved_aside_not_deleted(tmp_path, caplog):
    path = tmp_path / "t.h5"
    path.write_bytes(b"no HDF5 at all")
    cut_trajectory(path, last_step=10)
    assert not path.exists()
    assert (tmp_path / "t.h5.broken").read_bytes() == b"no HDF5 at all"


def test_other_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="found no file"):
        Trajectory(tmp_path / "missing.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["something"] = 1
    with pytest.raises(DataError, match="no trajectory of `mlip md`"):
        Trajectory(tmp_path / "other.h5")
