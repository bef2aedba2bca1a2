"""First passages out of a layer: Brownian and hopping walkers of known D, looked at every so often."""

import numpy as np
import pytest
from analysis.walkers import brownian, hopping, in_lattice

from md.analysis import Frames, Region, estimate_first_passage
from md.analysis.walker import compute_survival
from mlip.errors import DataError

CELL = np.array([[15.0, 0.0, 0.0], [4.0, 14.0, 0.0], [-2.0, 3.0, 30.0]])
LAYER = Region("layer", 0.8, 0.15)  # over the end of the cell, 10.5 A
TRUE, LOOK_PS, HOP = 0.3, 0.5, 2.0


def walk(seed, num_ions=60, diffusivity=TRUE, rattle=0.2):
    rng = np.random.default_rng(seed)
    paths = brownian(rng, 600, num_ions, diffusivity)
    paths += rng.uniform(size=(1, num_ions, 3)) @ CELL + rng.normal(scale=rattle, size=paths.shape)
    return in_lattice(paths, [3] * num_ions, CELL)


def passages(seeds, true=TRUE):
    """Values relative to the truth, and which intervals hold it."""
    found = [estimate_first_passage(walk(seed), "Li", LAYER, LOOK_PS, HOP) for seed in seeds]
    holds = [low <= true * 1e-4 <= high for low, high in (each.interval for each in found)]
    return found, np.array([each.value for each in found]) / (true * 1e-4), np.mean(holds)


def test_walkers_in_a_leaning_cell_give_their_diffusivity_and_the_times_of_theory():
    found, values, coverage = passages(range(80))
    assert values.mean() == pytest.approx(1.0, abs=0.05)  # standard error 0.017
    assert coverage >= 0.88
    assert 0.8 < np.mean([each.error for each in found]) / (values.std() * TRUE * 1e-4) < 1.2
    expected = compute_survival(found[0].times_ps, TRUE, found[0].width_A, LOOK_PS)
    survival = np.mean([each.survival for each in found], axis=0)
    np.testing.assert_allclose(survival, expected, atol=0.025)
    # without the correction for looks the walls are too near
    assert survival[10] > compute_survival(found[0].times_ps, TRUE, found[0].width_A, 0.0)[10] + 0.05


@pytest.mark.slow
def test_intervals_of_500_runs():
    _, values, coverage = passages(range(500))
    assert values.mean() == pytest.approx(1.0, abs=0.02)
    assert 0.90 <= coverage <= 0.99


def test_survival_has_the_mean_time_of_theory():
    times = np.linspace(0.0, 400.0, 40001)
    survival = compute_survival(times, TRUE, 10.0, 0.0)
    assert survival[0] == 1.0
    assert np.trapezoid(survival, times) == pytest.approx(10.0**2 / (12 * TRUE), rel=1e-3)


def test_hops_of_three_angstrom_out_of_a_layer_of_ten():
    """They jump far beyond the wall, which the formula for Brownian walkers would take for slowness."""
    found = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        paths = hopping(rng, 600, 100, 6 * TRUE / 3.0**2, 3.0) + rng.uniform(size=(1, 100, 3)) @ CELL
        frames = in_lattice(paths, [3] * 100, CELL)
        found.append(estimate_first_passage(frames, "Li", LAYER, 1.0, 3.0).value)
    assert np.mean(found) == pytest.approx(TRUE * 1e-4, rel=0.08)


@pytest.mark.parametrize("outside", [0.03, 1.2])
def test_what_ions_do_outside_does_not_count(outside):
    rng, height = np.random.default_rng(0), 30.0
    z = np.empty((800, 400))
    z[0] = rng.uniform(0, height, 400)
    for frame in range(799):  # diffuses by 0.3 A^2/ps between 8 and 22 A; steps are of their beginning
        inside = np.abs(z[frame] % height - 15.0) < 7.0
        z[frame + 1] = z[frame] + rng.normal(size=400) * np.sqrt(0.2 * np.where(inside, TRUE, outside))
    paths = np.stack([np.zeros_like(z), np.zeros_like(z), z], axis=2)
    frames = in_lattice(paths, [3] * 400, np.diag([15.0, 14.0, height]))
    found = estimate_first_passage(frames, "Li", Region("fast", 8 / 30, 22 / 30), 0.1, HOP)
    assert found.value == pytest.approx(TRUE * 1e-4, rel=3 * found.error / found.value)
    assert found.error < 0.1 * found.value


def test_passages_equal_a_naive_loop():
    whole = walk(3, num_ions=12)
    frames = Frames(whole.fractional[:100], whole.cells[:100], whole.numbers, whole.times_ps[:100])
    found = estimate_first_passage(frames, "Li", LAYER, 0.3, HOP)
    center = np.average(frames.fractional, axis=1, weights=frames.atoms(0).get_masses())
    heights = (frames.fractional - (center - center[0])[:, None])[:, :12, 2]
    inside = (heights - 0.8) % 1.0 < 0.35
    looks, moved, waited, stayed = 10, [], [], np.zeros(11)
    for ion in range(12):
        for origin in range(100 - 3 * looks - 1):
            if not inside[origin, ion]:
                continue
            out = [look for look in range(1, looks + 1) if not inside[origin + 3 * look, ion]]
            last = out[0] if out else looks
            stayed[: last if out else looks + 1] += 1
            moved.append((30.0 * (heights[origin + 3 * last + 1, ion] - heights[origin + 1, ion])) ** 2)
            waited.append(0.3 * last)
    assert found.value == pytest.approx(1e-4 * np.sum(moved) / (2 * np.sum(waited)))
    assert found.mean_time_ps == pytest.approx(np.mean(waited))
    np.testing.assert_allclose(found.survival, stayed / stayed[0])


def test_layers_that_give_no_diffusivity():
    slow = estimate_first_passage(walk(0, diffusivity=0.001), "Li", LAYER, LOOK_PS, HOP)
    assert slow.value is None
    assert slow.upper_bound > 0.001e-4
    assert "bound" in slow.method
    with pytest.raises(DataError, match=r"of 3\.0 A; expected .* at least 2 site"):
        estimate_first_passage(walk(0), "Li", Region("thin", 0.1, 0.2), LOOK_PS, HOP)
    with pytest.raises(DataError, match=r"of 30\.0 A; expected less than the cell"):
        estimate_first_passage(walk(0), "Li", Region("all", 0.0, 1.0), LOOK_PS, HOP)
    with pytest.raises(DataError, match="several times as long"):
        estimate_first_passage(walk(0), "Li", LAYER, 10.0, HOP)
