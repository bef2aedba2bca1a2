"""Reduction of thiophosphates and ions that cross an interface: counted by hand."""

import numpy as np
import pytest

from md.analysis.crossings import count_crossings, find_metal_region
from md.analysis.reduction import compute_reduction
from mlip.errors import DataError

TETRAHEDRON = 2.05 * np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3.0)


@pytest.mark.parametrize("bonds", [(4,), (0,), (3,), (2, 1), (4, 3, 2, 1, 0)])
def test_reduction_is_the_share_of_broken_bonds(bonds):
    """Groups PS_n far from each other, on a diagonal that crosses the cell's walls; broken S stand aside."""
    cell = np.array([[60.0, 0.0, 0.0], [10.0, 60.0, 0.0], [0.0, 5.0, 60.0]])
    positions, numbers = [], []
    for k, count in enumerate(bonds):
        centre = 12.0 * k * np.ones(3) - 1.0
        positions += [centre, *(centre + TETRAHEDRON[:count]), *(centre + 2.5 * TETRAHEDRON[count:])]
        numbers += [15, 16, 16, 16, 16]
    electrons = sum({4: 0, 3: 2, 2: 4, 1: 6, 0: 8}[count] for count in bonds)
    fractional = np.array(positions) @ np.linalg.inv(cell)
    found = compute_reduction(fractional, cell, np.array(numbers))
    assert found == pytest.approx(electrons / (8 * len(bonds)))


def test_reduction_wants_phosphorus():
    with pytest.raises(DataError, match="found no P"):
        compute_reduction(np.zeros((1, 3)), 9.0 * np.eye(3), np.array([16]))


def slabs(shift):
    """Metal at heights 0.1 to 0.4, compound at 0.5 to 0.98, both moved up by `shift`."""
    heights = np.concatenate([np.linspace(0.1, 0.4, 7), np.linspace(0.5, 0.98, 13)]) + shift
    fractional = np.random.default_rng(0).random((20, 3))
    fractional[:, 2] = heights
    return fractional, np.arange(20) < 7


@pytest.mark.parametrize("shift", [0.0, 0.3, 0.55, 0.8, -3.3])
def test_ions_that_leave_the_metal_are_counted(shift):
    start, is_metal = slabs(shift)
    region = find_metal_region(start, is_metal)
    assert np.array_equal(region.holds(start), is_metal)
    assert region.width == pytest.approx(0.3 + 0.05 + 0.06)
    now = start.copy()
    now[6, 2] += 0.2  # over the upper interface
    now[0, 2] -= 0.2  # over the lower one
    now[12, 2] -= 5.0  # far, and nowhere else
    assert count_crossings(region, start, now) == 2
    now[8, 2] -= 0.25  # from the compound into the metal
    assert count_crossings(region, start, now) == 1
    assert count_crossings(region, start[7:], now[7:]) == -1


def test_what_is_no_stack_is_refused():
    start, _ = slabs(0.0)
    with pytest.raises(DataError, match="atoms of one origin"):
        find_metal_region(start, np.zeros(20, dtype=bool))
    with pytest.raises(DataError, match="mixed"):
        find_metal_region(start, np.arange(20) % 2 == 0)
