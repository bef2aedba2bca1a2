"""Ions that come between two anions, and displacements normal to layers, where both are known."""

import numpy as np
import pytest

from md.analysis import Frames
from md.analysis.anion_crossings import find_anion_crossings
from md.analysis.displacements import compute_displacements
from mlip.errors import DataError

CELL = np.array([[6.0, 0.0, 0.0], [1.0, 6.0, 0.0], [9.0, 3.0, 20.0]])
NORMAL_A = abs(np.linalg.det(CELL)) / np.linalg.norm(np.cross(CELL[0], CELL[1]))


def frames_of(fractional, numbers, interval_ps=0.5):
    count = len(fractional)
    return Frames(fractional, np.tile(CELL, (count, 1, 1)), np.array(numbers), interval_ps * np.arange(count))


def test_an_ion_is_counted_while_it_has_been_between_for_less_than_a_picosecond():
    """S at z = 0, O 4 A above; lithium comes half way up in frame 4 and stays; frames are 0.5 ps apart."""
    start = np.array([[0.5, 0.5, 0.0], [0.5, 0.5, 4.0 / NORMAL_A], [0.5, 0.5, -1.0 / NORMAL_A]])
    fractional = np.repeat(start[None], 10, axis=0)
    fractional[4:, 2, 2] = 2.0 / NORMAL_A
    fractional[:, 2] += 1.0  # another image of it
    found = find_anion_crossings(frames_of(fractional, [16, 8, 3]), "Li", ("O", "S"), (2.6, 2.6))
    assert found.times_ps[0] == 1.0
    assert found.counts.tolist() == [0, 0, 1, 1, 0, 0, 0, 0]
    assert found.value == pytest.approx(2 / 8)
    assert found.places == pytest.approx(np.tile([0.5, 0.5, 2.0 / NORMAL_A], (2, 1)))
    near_one = find_anion_crossings(frames_of(fractional, [16, 8, 3]), "Li", ("O", "S"), (1.0, 2.6))
    assert near_one.counts.sum() == 0
    with pytest.raises(DataError, match="more than 1 ps"):
        find_anion_crossings(frames_of(fractional[:3], [16, 8, 3], 0.2), "Li", ("O", "S"), (2.6, 2.6))


def test_brownian_displacements_are_gaussian_along_the_normal_of_a_skewed_cell():
    rng = np.random.default_rng(0)
    steps = rng.normal(scale=np.sqrt(2 * 0.2 * 0.5), size=(400, 200, 3))  # D = 0.2 A^2/ps
    paths = np.cumsum(steps, axis=0) @ np.linalg.inv(CELL)
    drift = np.linspace(0, 3, 400)[:, None, None] * np.array([0.0, 0.0, 1.0])
    heavy = np.tile(rng.uniform(size=(1, 50, 3)), (400, 1, 1))
    fractional = np.concatenate([paths, heavy], axis=1) + drift
    found = compute_displacements(frames_of(fractional, [3] * 200 + [92] * 50), "Li", [2.0, 20.0], "c")
    assert found.value == pytest.approx(np.sqrt(2 * 0.2 * 20.0), rel=0.04)
    width = np.diff(found.edges_A)[0]
    assert found.density.sum(axis=1) * width == pytest.approx([1.0, 1.0])
    middle = 0.5 * (found.edges_A[1:] + found.edges_A[:-1])
    spread = np.sqrt((found.density[0] * middle**2).sum() * width)
    assert spread == pytest.approx(np.sqrt(2 * 0.2 * 2.0 + width**2 / 12), rel=0.1)
    with pytest.raises(DataError, match="less than the run"):
        compute_displacements(frames_of(fractional, [3] * 200 + [92] * 50), "Li", [300.0])
