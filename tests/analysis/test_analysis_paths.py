"""Paths in bounded memory: the same from a file as from memory, relative to what is said."""

import tracemalloc

import numpy as np
import pytest

from md.analysis import Frames, compute_msd, load_frames, paths, stored
from md.analysis.paths import chunk_frames, find_reference, sum_groups
from md.analysis.stored import StoredPositions
from mlip.errors import ConfigError, DataError

CELL = np.array([[9.0, 0.0, 0.0], [2.0, 8.0, 0.0], [-1.0, 1.5, 7.0]])


@pytest.fixture
def from_file(monkeypatch, ladder_run):
    """The first stage of a run whose positions stay in the file, read in small pieces."""
    monkeypatch.setattr(stored, "LARGEST_IN_MEMORY", 0)
    monkeypatch.setattr(paths, "_CHUNK_BYTES", 2**16)
    monkeypatch.setattr(paths, "_BLOCK_BYTES", 2**16)
    return load_frames(ladder_run)[0]


def test_positions_in_a_file_give_the_same_as_in_memory(from_file, ladder_run):
    here = load_frames(ladder_run)[0]
    assert isinstance(from_file.fractional, StoredPositions)
    assert from_file.fractional.shape == here.fractional.shape
    np.testing.assert_array_equal(from_file.fractional[-1], here.fractional[-1])
    np.testing.assert_array_equal(from_file.fractional[3:90:7, [5, 2]], here.fractional[3:90:7][:, [5, 2]])
    np.testing.assert_array_equal(np.asarray(from_file.fractional), here.fractional)
    assert from_file.atoms(7) == here.atoms(7)
    found, expected = compute_msd(from_file, "Li"), compute_msd(here, "Li")
    np.testing.assert_allclose(found.tensor, expected.tensor, rtol=1e-5, atol=1e-5)


def test_memory_does_not_grow_with_the_number_of_atoms(from_file):
    whole = 8 * np.prod(from_file.fractional.shape)
    tracemalloc.start()
    compute_msd(from_file, "Li")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(list(chunk_frames(from_file))) > 10
    assert peak < 1.5 * whole  # a read of all, its images and cells would take three times that


def test_framework_rests_in_its_own_frame():
    rng = np.random.default_rng(0)
    rest = np.tile(rng.uniform(0, 8, (1, 6, 3)), (60, 1, 1))
    walk = np.cumsum(rng.normal(scale=0.3, size=(60, 2, 3)), axis=0)
    drift = np.linspace(0, 3, 60)[:, None, None] * np.array([1.0, -2.0, 0.5])
    positions = np.concatenate([walk, rest], axis=1) + drift
    numbers = np.array([3] * 2 + [16] * 6)
    cells = np.tile(CELL, (60, 1, 1)) * (1 + 0.03 * np.sin(np.arange(60)))[:, None, None]
    fixed = np.tile(CELL, (60, 1, 1)).mean(axis=0)
    frames = Frames(positions @ np.linalg.inv(fixed), cells, numbers, 0.1 * np.arange(60))
    stretched = np.linalg.inv(fixed) @ frames.mean_cell
    framework = find_reference(frames, "framework", ["Li"])
    assert compute_msd(frames, "S", framework).total.max() < 1e-10
    assert compute_msd(frames, "S").total.max() > 1e-3
    sums = sum_groups(frames, [np.arange(2), np.arange(2, 8)], framework)
    np.testing.assert_allclose(sums[:, 0] - sums[0, 0], (walk - walk[0]).sum(axis=1) @ stretched, atol=1e-10)
    np.testing.assert_allclose(sums[:, 1] - sums[0, 1], 0.0, atol=1e-10)
    with pytest.raises(DataError, match="expected a framework"):
        find_reference(frames, "framework", ["Li", "S"])
    with pytest.raises(ConfigError, match="barycentric or framework"):
        find_reference(frames, "laboratory")
