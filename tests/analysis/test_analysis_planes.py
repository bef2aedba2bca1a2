"""Planes and layers: net flux counted by hand, walkers of known D across and along."""

import numpy as np
import pytest
from analysis.walkers import brownian, in_lattice

from md.analysis import Frames
from md.analysis.paths import find_reference
from md.analysis.planes import count_net_flux, estimate_plane_diffusivity
from md.analysis.regions import Region, estimate_parallel_diffusivity
from md.analysis.walker import brownian_covariance, slope_weights
from mlip.errors import ConfigError

CELL = np.array([[15.0, 0.0, 0.0], [4.0, 14.0, 0.0], [-2.0, 3.0, 30.0]])


def test_net_flux_counts_ions_that_pass_and_come_back():
    heights = np.array([[0.2, 0.9, 0.6], [0.4, 1.1, 0.6], [0.6, 1.6, 0.4], [0.3, 2.7, 0.45]])
    fractional = np.zeros((4, 4, 3))
    fractional[:, :3, 2] = heights
    # drift of all atoms takes the plane along; a heavy atom holds the centre
    masses = np.array([3, 3, 3, 92])
    frames = Frames(fractional, np.tile(CELL, (4, 1, 1)), masses, np.arange(4.0))
    found = count_net_flux(frames, "Li", 0.5)
    assert found.crossed.tolist() == [0, 0, 1, 1]
    area = np.linalg.norm(np.cross(CELL[0], CELL[1]))
    assert found.area_A2 == pytest.approx(area)
    assert found.value == pytest.approx(1 / (3 * area))
    drifting = Frames(
        fractional + np.arange(4)[:, None, None] * [0, 0, 0.7], frames.cells, masses, np.arange(4.0)
    )
    assert count_net_flux(drifting, "Li", 0.5).crossed.tolist() == found.crossed.tolist()
    with pytest.raises(ConfigError, match="a, b, c"):
        count_net_flux(frames, "Li", 0.5, axis="z")


def walk(seed, across, along, num_frames=400, num_ions=60):
    """Walkers with one D along the normal of the planes of c and one in them, everywhere in the cell."""
    rng = np.random.default_rng(seed)
    normal = np.linalg.inv(CELL)[:, 2] / np.linalg.norm(np.linalg.inv(CELL)[:, 2])
    paths = brownian(rng, num_frames, num_ions, 1.0)
    height = paths @ normal
    paths = (
        np.sqrt(along) * (paths - height[..., None] * normal) + np.sqrt(across) * height[..., None] * normal
    )
    paths += rng.uniform(size=(1, num_ions, 3)) @ CELL + rng.normal(scale=0.05, size=paths.shape)
    return in_lattice(paths, [3] * num_ions, CELL)


def test_crossing_flux_gives_the_diffusivity_across_the_plane():
    runs = [walk(seed, 0.3, 0.05, num_ions=500) for seed in range(20)]
    found = [estimate_plane_diffusivity(run, "Li", 0.4, 0.5, 30.0) for run in runs]
    values = np.array([each.value for each in found])
    errors = np.array([each.error for each in found])
    assert values.mean() == pytest.approx(0.3e-4, rel=0.06)
    assert 0.6 < np.std((values - 0.3e-4) / errors) < 1.5


def test_ions_that_do_not_pass_give_no_diffusivity():
    assert estimate_plane_diffusivity(walk(0, 0.0, 0.3), "Li", 0.4, 0.5, 30.0).value is None


def layered(seed, fast, slow):
    """Ions that walk along the layers with one D below half height and another above, slowly across."""
    rng = np.random.default_rng(seed)
    cell = np.diag([15.0, 14.0, 30.0])
    height = (rng.uniform(0, 30, 60) + np.cumsum(rng.normal(scale=0.12, size=(600, 60)), axis=0)) % 30.0
    scale = np.sqrt(2 * 0.1 * np.where(height < 15.0, fast, slow))[..., None]
    flat = np.cumsum(rng.normal(size=(600, 60, 2)) * scale, axis=0)
    unwrapped = np.unwrap(height, period=30.0, axis=0)
    return in_lattice(np.concatenate([flat, unwrapped[..., None]], axis=2), [3] * 60, cell)


def test_each_layer_gives_its_own_diffusivity_along_it():
    for region, true in ((Region("fast", 0.0, 0.5), 0.4), (Region("slow", 0.5, 1.0), 0.1)):
        found = [estimate_parallel_diffusivity(layered(s, 0.4, 0.1), "Li", region, 1.5) for s in range(20)]
        values = np.array([each.value for each in found])
        assert values.mean() == pytest.approx(true * 1e-4, rel=0.06)
        deviations = (values - true * 1e-4) / np.array([each.error_fit for each in found])
        assert 0.5 < deviations.std() < 1.6
    around = Region("around the end", 0.75, 0.25)
    assert around.width == 0.5
    mixed = estimate_parallel_diffusivity(layered(0, 0.4, 0.1), "Li", around, 1.5)
    assert 0.15e-4 < mixed.value < 0.35e-4


def test_survivors_equal_a_naive_loop():
    whole, region = layered(1, 0.4, 0.1), Region("fast", 0.1, 0.4)
    frames = Frames(whole.fractional[:40], whole.cells[:40], whole.numbers, whole.times_ps[:40])
    found = estimate_parallel_diffusivity(
        frames, "Li", region, 0.05, find_reference(frames, "framework", ["Li"])
    )
    positions = frames.fractional @ frames.mean_cell
    inside = (positions[:, :60, 2] / 30.0) % 1.0
    inside = (inside >= 0.1) & (inside < 0.4)
    lags = np.unique(np.geomspace(1, 27, 40).round().astype(int))
    moved, survivors = [], []
    for lag in lags:
        squares = [
            np.sum((positions[t + lag, ion, :2] - positions[t, ion, :2]) ** 2)
            for t in range(40 - lag)
            for ion in range(60)
            if inside[t : t + lag + 1, ion].all()
        ]
        moved.append(np.mean(squares))
        survivors.append(len(squares) / (40 - lag))
    covariance = brownian_covariance(lags, 40, 1, 2) / np.sqrt(np.outer(survivors, survivors))
    weights, _ = slope_weights(0.1 * lags, covariance)
    assert found.value == pytest.approx(weights @ moved / 4 * 1e-4, rel=1e-9)
    assert found.num_hops == pytest.approx(inside.sum() / 40 * max(moved) / 0.05**2)


def test_regions_are_checked():
    with pytest.raises(ConfigError, match="two different fractions"):
        Region("none", 0.3, 0.3)
    bound = estimate_parallel_diffusivity(walk(0, 0.0, 0.0), "Li", Region("all", 0.0, 1.0), 3.0)
    assert bound.value is None
    assert bound.upper_bound > 0
