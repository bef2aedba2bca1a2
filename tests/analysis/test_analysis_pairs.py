"""Pairs through periodic images against a brute force over many cells, and imports that stay light."""

import subprocess
import sys
from itertools import product

import numpy as np
import pytest

from md.analysis import Frames, pair_histogram
from md.analysis.pair_histogram import count_pairs, count_pairs_by_tree
from md.analysis.pairs import find_pairs, map_frames, spread_frames
from mlip.errors import ConfigError


@pytest.mark.parametrize("seed", range(12))
def test_pairs_in_very_skew_cells_equal_brute_force(seed):
    rng = np.random.default_rng(seed)
    # long and flat, and sheared by up to a lattice vector: the case where reach along each vector differs
    cell = np.diag(rng.uniform(3.0, 9.0, 3)) @ (np.eye(3) + np.tril(rng.uniform(-1.0, 1.0, (3, 3)), -1))
    fractional, r_max = rng.uniform(-2, 2, (5, 3)), rng.uniform(2.0, 7.0)
    centre, neighbor, vector = find_pairs(fractional, cell, r_max)
    home = (fractional - np.floor(fractional)) @ cell
    shifts = np.array(list(product(range(-7, 8), repeat=3))) @ cell
    expected = []
    for i, j in product(range(5), repeat=2):
        lengths = np.linalg.norm(home[j] - home[i] + shifts, axis=1)
        expected += [(i, j, length) for length in lengths[(lengths < r_max) & (lengths > 1e-9)]]
    found = sorted(zip(centre, neighbor, np.linalg.norm(vector, axis=1), strict=True))
    assert len(found) == len(expected)
    np.testing.assert_allclose(found, sorted(expected), atol=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_compiled_histogram_equals_that_of_all_pairs(seed):
    """In skew cells smaller than the cutoff, in large ones with voids, for several species."""
    rng = np.random.default_rng(seed)
    size, count = (4.0, 9) if seed % 2 else (40.0, 300)
    cell = size * (np.diag(rng.uniform(0.7, 1.5, 3)) + np.tril(rng.uniform(-0.7, 0.7, (3, 3)), -1))
    fractional, species = rng.normal(scale=0.5, size=(count, 3)), rng.integers(0, 3, count)
    species[:3] = [0, 1, 2]
    found = count_pairs(fractional, cell, species, 7.0, 60)
    expected = count_pairs_by_tree(fractional, cell, species, 7.0, 60)
    np.testing.assert_array_equal(found, expected)
    assert found.sum() > 0


def test_without_a_compiler_pairs_are_counted_by_a_tree(monkeypatch):
    def refuse(library):
        raise ConfigError("no C++ compiler found")

    monkeypatch.setattr(pair_histogram, "ensure_built", refuse)
    pair_histogram._compiled.cache_clear()
    rng = np.random.default_rng(0)
    fractional, species = rng.uniform(size=(20, 3)), np.zeros(20, dtype=int)
    slow = count_pairs(fractional, 6 * np.eye(3), species, 5.0, 10)
    monkeypatch.undo()
    pair_histogram._compiled.cache_clear()
    np.testing.assert_array_equal(slow, count_pairs(fractional, 6 * np.eye(3), species, 5.0, 10))


@pytest.mark.parametrize("workers", ["1", "3"])
def test_frames_are_measured_in_the_order_of_time(monkeypatch, workers):
    monkeypatch.setenv("OMP_NUM_THREADS", workers)
    fractional = np.arange(12.0).reshape(12, 1, 1) * np.ones((12, 2, 3)) / 12
    frames = Frames(fractional, np.tile(np.eye(3), (12, 1, 1)), np.array([3, 3]))
    assert map_frames(frames, lambda f, c: float(12 * f[0, 0]), 4) == pytest.approx([0, 4, 7, 11])


def test_frames_are_spread_over_the_whole_run():
    assert spread_frames(3, 10).tolist() == [0, 1, 2]
    assert spread_frames(1001, 3).tolist() == [0, 500, 1000]


def test_analysis_loads_no_torch():
    code = "import sys, md.analysis, md.analyze; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
