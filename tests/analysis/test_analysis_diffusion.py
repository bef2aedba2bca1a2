"""Diffusivity: walkers of known D, calibrated errors, bounds where nothing moves."""

import numpy as np
import pytest

from md.analysis import Frames, compute_msd, estimate_diffusivity
from md.analysis.walker import brownian_covariance

CELL = 20.0
INTERVAL_PS = 0.1
ANCHOR = 92  # heavy atoms at rest hold the centre of mass


def host(walkers):
    """Frames of walkers (T, N, 3) named Li in a heavy lattice at rest."""
    anchors = np.tile(np.random.default_rng(0).uniform(0, CELL, (1, 200, 3)), (len(walkers), 1, 1))
    positions = np.concatenate([walkers, anchors], axis=1)
    numbers = np.array([3] * walkers.shape[1] + [ANCHOR] * 200)
    cells = np.tile(CELL * np.eye(3), (len(walkers), 1, 1))
    return Frames(positions / CELL, cells, numbers, INTERVAL_PS * np.arange(len(walkers)))


def brownian(seed, diffusivity, num_frames=400, num_walkers=30, vibration=0.1):
    """Brownian walkers of known D in A^2/ps that also rattle."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(scale=np.sqrt(2 * diffusivity * INTERVAL_PS), size=(num_frames, num_walkers, 3))
    return np.cumsum(steps, axis=0) + rng.normal(scale=vibration, size=steps.shape)


def hoppers(seed, diffusivity, distance, num_frames=600, num_walkers=30):
    """Independent random walkers on a cubic lattice: D = rate a^2 / 6."""
    rng = np.random.default_rng(seed)
    rate = 6 * diffusivity / distance**2
    hops = rng.random((num_frames, num_walkers)) < rate * INTERVAL_PS
    axis = rng.integers(0, 3, hops.shape)
    step = np.eye(3)[axis] * rng.choice([-1.0, 1.0], hops.shape)[..., None] * hops[..., None] * distance
    return np.cumsum(step, axis=0) + rng.normal(scale=0.1, size=step.shape)


def test_brownian_walkers_give_their_diffusivity_with_a_calibrated_error():
    true = 0.05
    results = [estimate_diffusivity(compute_msd(host(brownian(s, true)), "Li"), 2.0) for s in range(50)]
    values = np.array([result.value for result in results])
    errors_fit = np.array([result.error_fit for result in results])
    errors_he = np.array([result.error_he for result in results])
    deviation = (values - true * 1e-4) / errors_fit
    assert abs(deviation.mean()) < 0.45  # 50 seeds: standard error 0.14
    assert 0.7 < deviation.std() < 1.3
    spread = values.std()
    assert spread < errors_he.mean() < 8 * spread
    assert all(result.error == max(result.error_he, result.error_fit) for result in results)
    assert np.mean([0.8 < result.log_slope < 1.2 for result in results]) > 0.8


def test_hopping_ions_stay_within_the_quoted_error():
    true, distance = 0.05, 2.5
    results = [
        estimate_diffusivity(compute_msd(host(hoppers(s, true, distance)), "Li"), distance) for s in range(50)
    ]
    values = np.array([result.value for result in results])
    errors = np.array([result.error for result in results])
    within = np.abs(values - true * 1e-4) < errors
    assert np.mean(within) > 0.6
    assert abs(values.mean() / (true * 1e-4) - 1) < 0.06


def test_he_error_is_the_published_formula():
    msd = compute_msd(host(brownian(0, 0.05)), "Li")
    result = estimate_diffusivity(msd, 2.0)
    last = int(0.7 * (len(msd.total) - 1))
    num_hops = 30 * msd.total[: last + 1].max() / 2.0**2
    assert result.num_hops == pytest.approx(num_hops)
    assert result.error_he / result.value == pytest.approx(3.43 / np.sqrt(num_hops) + 0.04)
    assert msd.total[msd.lags_ps.searchsorted(result.window_ps[0] - 1e-9)] >= 0.5 * 2.0**2
    assert result.window_ps[1] == pytest.approx(msd.lags_ps[last])


def test_rattling_ions_give_a_bound_and_no_diffusivity():
    result = estimate_diffusivity(compute_msd(host(brownian(1, 0.0, vibration=0.3)), "Li"), 3.0)
    assert result.value is None
    assert result.error is None
    longest_ps = result.window_ps[1]
    assert result.upper_bound == pytest.approx(
        max(4.5, result.upper_bound * 6e4 * longest_ps) / (6e4 * longest_ps)
    )
    assert result.upper_bound >= 4.5 / (6 * longest_ps) * 1e-4
    assert "0.5 a^2" in result.method


def test_bound_holds_for_walkers_that_move_too_little():
    true = 0.008
    results = [estimate_diffusivity(compute_msd(host(brownian(s, true)), "Li"), 3.0) for s in range(30)]
    bounds = [result.upper_bound for result in results if result.value is None]
    assert len(bounds) > 20
    assert all(bound > true * 1e-4 for bound in bounds)


def test_caged_motion_beyond_the_threshold_is_no_diffusion():
    result = estimate_diffusivity(compute_msd(host(brownian(2, 0.0, vibration=1.5)), "Li"), 2.0)
    assert result.value is None
    assert "caged" in result.method


def test_motion_in_a_plane_counts_two_dimensions():
    walkers = brownian(3, 0.05, num_walkers=100)
    walkers[..., 2] = 0.0
    msd = compute_msd(host(walkers), "Li")
    planar = estimate_diffusivity(msd, 2.0, directions="xy")
    assert planar.dimension == 2
    assert abs(planar.value - 5e-6) < 3 * planar.error_fit
    assert estimate_diffusivity(msd, 2.0, directions="z").value is None


def test_langevin_is_warned_about():
    msd = compute_msd(host(brownian(0, 0.05)), "Li")
    assert any(
        "Langevin" in warning for warning in estimate_diffusivity(msd, 2.0, thermostat="langevin").warnings
    )
    assert not any(
        "Langevin" in w for w in estimate_diffusivity(msd, 2.0, thermostat="nose_hoover_chain").warnings
    )


def test_brownian_covariance_is_that_of_simulated_walkers():
    lags, num_frames = np.array([1, 4, 9, 20]), 30
    rng = np.random.default_rng(5)
    paths = np.cumsum(rng.normal(scale=np.sqrt(2.0), size=(num_frames, 20000)), axis=0)
    samples = np.array([((paths[m:] - paths[:-m]) ** 2).mean(axis=0) for m in lags])
    expected = brownian_covariance(lags, num_frames, 1, 1)
    np.testing.assert_allclose(np.cov(samples), expected, rtol=0.08)
    assert np.linalg.eigvalsh(brownian_covariance(np.arange(1, 60), 80, 10, 3)).min() > 0
