"""Pairs through periodic images against a brute force over many cells, and imports that stay light."""

import subprocess
import sys
from itertools import product

import numpy as np
import pytest

from md.analysis.pairs import find_pairs, spread_frames


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


def test_frames_are_spread_over_the_whole_run():
    assert spread_frames(3, 10).tolist() == [0, 1, 2]
    assert spread_frames(1001, 3).tolist() == [0, 500, 1000]


def test_analysis_loads_no_torch():
    code = "import sys, md.analysis, md.analyze; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
