"""Mean squared displacement: exact answers, then a naive double loop."""

import numpy as np
import pytest

from md.analysis import Frames, compute_msd, load_frames
from md.analysis.msd import average_displacements, correlate_paths
from md.trajectory import images_to_fractional
from mlip.errors import DataError

TRICLINIC = np.array([[9.0, 0.0, 0.0], [2.0, 8.0, 0.0], [-1.0, 1.5, 7.0]])


def frames_of(positions, cell, numbers, interval_ps=0.1):
    """Frames of unwrapped positions (T, N, 3) in a fixed cell."""
    cells = np.tile(cell, (len(positions), 1, 1))
    return Frames(
        positions @ np.linalg.inv(cell), cells, np.asarray(numbers), interval_ps * np.arange(len(positions))
    )


def naive_tensor(positions):
    num_frames = len(positions)
    tensor = np.zeros((num_frames, 3, 3))
    for lag in range(1, num_frames):
        moved = positions[lag:] - positions[:-lag]
        for origin in range(len(moved)):
            for step in moved[origin]:
                tensor[lag] += np.outer(step, step)
        tensor[lag] /= len(moved) * positions.shape[1]
    return tensor


def test_transform_equals_a_double_loop():
    positions = np.cumsum(np.random.default_rng(0).normal(size=(23, 4, 3)), axis=0) + 500.0
    parts = correlate_paths(positions.transpose(1, 2, 0).copy())
    np.testing.assert_allclose(
        average_displacements(parts, 23, 4), naive_tensor(positions), rtol=1e-9, atol=1e-9
    )


def test_ballistic_motion_is_speed_squared_times_time_squared():
    velocity = np.array([3.0, -2.0, 0.5])  # A/ps, of one light pair that flies apart: the centre stays
    times = 0.1 * np.arange(50)
    flight = times[:, None] * velocity
    positions = np.stack([flight, -flight], axis=1)
    msd = compute_msd(frames_of(positions, TRICLINIC, [3, 3]), "Li")
    np.testing.assert_allclose(msd.total, (velocity @ velocity) * msd.lags_ps**2, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(msd.tensor[10], np.outer(velocity, velocity) * msd.lags_ps[10] ** 2, rtol=1e-8)
    np.testing.assert_allclose(msd.along("xz"), (9.0 + 0.25) * msd.lags_ps**2, rtol=1e-8, atol=1e-8)


def test_crystal_at_rest_in_a_breathing_cell_does_not_move():
    rng = np.random.default_rng(1)
    fractional = np.tile(rng.uniform(-3.0, 3.0, size=(1, 20, 3)), (200, 1, 1))
    cells = TRICLINIC * (1 + 0.05 * np.sin(0.3 * np.arange(200)))[:, None, None]
    frames = Frames(fractional, cells, np.full(20, 3), 0.1 * np.arange(200))
    assert compute_msd(frames, "Li").total.max() < 1e-10


def test_drift_of_the_centre_of_mass_is_taken_out_and_reported():
    rng = np.random.default_rng(2)
    rest = np.tile(rng.uniform(0, 8, size=(1, 5, 3)), (100, 1, 1))
    drift = np.linspace(0.0, 1.0, 100)[:, None] * np.array([4.0, 0.0, -2.0])
    msd = compute_msd(frames_of(rest + drift[:, None], TRICLINIC, [3, 3, 15, 16, 16]), "Li")
    assert msd.total.max() < 1e-10
    np.testing.assert_allclose(msd.drift_A, [4.0, 0.0, -2.0], atol=1e-10)


def test_image_flags_undo_wrapping():
    rng = np.random.default_rng(3)
    truth = np.cumsum(rng.normal(scale=0.5, size=(300, 6, 3)), axis=0)
    cells = np.tile(TRICLINIC, (300, 1, 1))
    fractional = truth @ np.linalg.inv(TRICLINIC)
    images = np.floor(fractional)
    assert np.ptp(images) > 2  # atoms do leave the cell
    wrapped = (fractional - images) @ TRICLINIC
    np.testing.assert_allclose(images_to_fractional(wrapped, images, cells), fractional, atol=1e-10)


def test_uneven_or_missing_times_are_refused():
    positions = np.zeros((5, 2, 3))
    cells = np.tile(TRICLINIC, (5, 1, 1))
    with pytest.raises(DataError, match="evenly spaced"):
        compute_msd(Frames(positions, cells, np.array([3, 3]), np.array([0.0, 0.1, 0.2, 0.3, 0.9])), "Li")
    with pytest.raises(DataError, match="timestep_fs="):
        compute_msd(Frames(positions, cells, np.array([3, 3])), "Li")
    with pytest.raises(DataError, match="found no Na"):
        compute_msd(Frames(positions, cells, np.array([3, 3]), 0.1 * np.arange(5)), "Na")


def test_atoms_in_changing_order_are_told_apart_by_their_ids(tmp_path):
    """A dump of LAMMPS lists atoms in another order in each frame, wrapped into a breathing cell."""
    rng = np.random.default_rng(6)
    fractional = np.cumsum(rng.normal(scale=0.05, size=(40, 5, 3)), axis=0)
    sides = 8.0 * (1 + 0.04 * np.sin(np.arange(40)))
    with (tmp_path / "run.lammpstrj").open("w") as stream:
        for frame in range(40):
            stream.write(f"ITEM: TIMESTEP\n{frame}\nITEM: NUMBER OF ATOMS\n5\nITEM: BOX BOUNDS pp pp pp\n")
            stream.write(3 * f"0.0 {sides[frame]:.12f}\n" + "ITEM: ATOMS id type xs ys zs\n")
            for atom in rng.permutation(5):
                place = " ".join(f"{value % 1.0:.12f}" for value in fractional[frame, atom])
                stream.write(f"{atom + 1} {1 if atom < 4 else 2} {place}\n")
    (frames,) = load_frames(tmp_path / "run.lammpstrj", timestep_fs=100.0, types=["Li", "S"])
    cells = sides[:, None, None] * np.eye(3)
    expected = compute_msd(Frames(fractional, cells, np.array([3] * 4 + [16]), 0.1 * np.arange(40)), "Li")
    np.testing.assert_allclose(compute_msd(frames, "Li").tensor, expected.tensor, atol=1e-6)
