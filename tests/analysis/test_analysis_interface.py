"""Reduction of thiophosphates and ions that cross an interface: counted by hand."""

import numpy as np
import pytest

from md.analysis import Frames
from md.analysis.crossings import count_crossings, find_metal_region
from md.analysis.kymograph import Layers
from md.analysis.reactions import analyze_reactions
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


def reacting_run(num_frames=60):
    """Li beside PS4 groups whose P-S bonds break with log t, those nearest the metal first."""
    rng = np.random.default_rng(0)
    cell = np.diag([14.0, 14.0, 72.0])
    metal = rng.uniform(size=(300, 3)) * [14.0, 14.0, 24.0]
    groups = np.array(
        [(3.5 + 7 * x, 3.5 + 7 * y, 29.0 + 6.5 * z) for z in range(7) for x in (0, 1) for y in (0, 1)]
    )
    ions = rng.uniform(size=(28, 3)) * [14.0, 14.0, 46.0] + [0, 0, 25.0]
    numbers = np.array([3] * 328 + [15] * 28 + [16] * 112)
    order = np.argsort(np.abs(groups[:, 2] - 48.5))[::-1]
    frames = []
    for time in range(num_frames):
        broken = round(112 * 0.2 * np.log(1 + time))
        sulfur = np.repeat(groups[:, None], 4, axis=1) + TETRAHEDRON
        for bond in range(min(broken, 112)):
            sulfur[order[bond // 4], bond % 4] += 0.8 * TETRAHEDRON[bond % 4]
        frames.append(np.concatenate([metal, ions, groups, sulfur.reshape(-1, 3)]))
    positions = np.array(frames) + rng.normal(scale=0.02, size=(num_frames, len(numbers), 3))
    return Frames(
        positions @ np.linalg.inv(cell), np.tile(cell, (num_frames, 1, 1)), numbers, np.arange(num_frames)
    )


def test_reactions_of_a_run_are_what_was_put_in():
    run = reacting_run()
    found = analyze_reactions(run, "Li", Layers(max_frames=200))
    broken = np.round(112 * 0.2 * np.log(1 + np.arange(60)))
    np.testing.assert_allclose(found.reduction.series, broken / 112)
    assert found.reduction.counts["PS4"][0] == 28
    assert sum(found.reduction.counts.values()).tolist() == [28] * 60
    assert found.growth["reduction"].best.law == "log t"
    assert found.units.counts["PS4"][0] == 28
    # a broken bond of 3.65 A sets an S free
    np.testing.assert_array_equal(found.units.counts["free S"], broken)
    one = compute_reduction(run.fractional[30], run.cells[30], run.numbers)
    assert found.reduction.series[30] == pytest.approx(one)
    assert found.interphase.sides[1] == pytest.approx(1.0, abs=0.01)
    assert found.interphase.sides[0] < 0.35
    assert 5.0 < found.interphase.value < 9.0
    share, reduced = found.maps["share of Li"], found.maps["reduction of P"]
    assert share.values.shape == (60, 72)
    first = reduced.values[10][np.isfinite(reduced.values[10])]
    assert first[0] == 1.0
    assert first[len(first) // 2] == 0.0


def test_a_bulk_has_no_interphase_and_a_salt_no_reduction():
    rng = np.random.default_rng(1)
    numbers = np.array([3] * 400 + [17] * 400)
    frames = Frames(
        rng.uniform(size=(12, 800, 3)), np.tile(25 * np.eye(3), (12, 1, 1)), numbers, np.arange(12)
    )
    found = analyze_reactions(frames, "Li", Layers())
    assert found.reduction is None
    assert found.units is None
    assert found.interphase is None or found.interphase.sides[1] - found.interphase.sides[0] < 0.15


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
