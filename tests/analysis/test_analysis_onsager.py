"""Onsager coefficients, charge diffusion and Haven ratio of walkers with known correlations."""

from dataclasses import replace

import numpy as np
import pytest
from analysis.walkers import brownian, in_lattice

from md.analysis import Frames, compute_msd, estimate_diffusivity
from md.analysis.collective import compute_charge_diffusion
from md.analysis.collective_transport import measure_collective_transport
from md.analysis.conductivity import compute_conductivity
from md.analysis.fluxes import compute_fluxes
from md.analysis.onsager import compute_onsager
from md.analysis.transport import analyze_transport
from md.analysis.walker import brownian_covariance, fit_line, slope_weights
from mlip.errors import DataError

CELL = np.array([[20.0, 0.0, 0.0], [5.0, 18.0, 0.0], [-3.0, 2.0, 16.0]])
TEMPERATURE, D, SHARED = 600.0, 0.05, 0.5
COUNTS = {"Li": 20, "Na": 10}
KTV = 8.617333262e-5 * TEMPERATURE * np.linalg.det(CELL)


def correlated(seed, num_frames=400):
    """Two species whose steps share one random mode: each D, and the correlation of any two is SHARED^2."""
    rng = np.random.default_rng(seed)
    mode = brownian(rng, num_frames, 1, D * SHARED**2)
    own = brownian(rng, num_frames, 30, D * (1 - SHARED**2))
    rattling = rng.normal(scale=0.05, size=own.shape)
    return in_lattice(own + mode + rattling, [3] * 20 + [11] * 10, CELL)


def true_onsager():
    counts = np.array(list(COUNTS.values()))
    return D * (np.diag(counts * (1 - SHARED**2)) + np.outer(counts, counts) * SHARED**2) / KTV


def measure(frames, **options):
    return compute_onsager([frames], list(COUNTS), TEMPERATURE, 1.0, "framework", **options)


def coverage(seeds):
    truth, gradients = true_onsager(), {"Li": 0.02, "Na": -0.01}
    flux = -truth @ np.array([0.02, -0.01])
    inside, fluxes, values = [], [], []
    for seed in seeds:
        found = measure(correlated(seed), seed=seed)
        values.append(found.value)
        inside.append((found.interval[0] < truth) & (truth < found.interval[1]))
        intervals = np.array([each.interval for each in compute_fluxes(found, gradients)])
        fluxes.append((intervals[:, 0] < flux) & (flux < intervals[:, 1]))
    return np.mean(values, axis=0) / truth, np.mean(inside, axis=0), np.mean(fluxes, axis=0)


def test_correlated_walkers_give_their_coefficients():
    ratio, inside, fluxes = coverage(range(60))
    np.testing.assert_allclose(ratio, 1.0, atol=0.1)
    assert inside.min() > 0.83  # 60 runs: standard error 0.03
    assert fluxes.min() > 0.83


@pytest.mark.slow
def test_intervals_of_coefficients_cover_500_runs():
    ratio, inside, fluxes = coverage(range(500))
    np.testing.assert_allclose(ratio, 1.0, atol=0.03)
    assert inside.min() >= 0.90
    assert fluxes.min() >= 0.90


def test_slope_equals_a_naive_loop_over_origins():
    frames = correlated(3, num_frames=60)
    found = measure(frames)
    positions = frames.fractional @ frames.mean_cell
    sums = [(positions[:, :20]).sum(axis=1), (positions[:, 20:30]).sum(axis=1)]
    centre = positions[:, 30:].mean(axis=1)
    sums = [sums[0] - 20 * centre, sums[1] - 10 * centre]
    lags = np.unique(np.geomspace(10, 41, 20).round().astype(int))
    products = [
        np.mean([(sums[0][t + m] - sums[0][t]) @ (sums[1][t + m] - sums[1][t]) for t in range(60 - m)])
        for m in lags
    ]
    line, _ = fit_line(0.1 * lags, np.array(products), brownian_covariance(lags, 60, 1, 3))
    assert found.value[0, 1] == pytest.approx(line[1] / (6 * KTV), rel=1e-9)
    weights, variance = slope_weights(0.1 * lags, brownian_covariance(lags, 60, 1, 3))
    assert weights @ (3.0 + 2.0 * 0.1 * lags) == pytest.approx(2.0)
    assert variance > 0


def test_one_direction_gives_its_own_coefficient():
    rng = np.random.default_rng(5)
    paths = brownian(rng, 3000, 4, D)
    paths[..., 2] *= 2.0
    frames = in_lattice(paths, [3] * 4, CELL)
    along = {
        axis: compute_onsager([frames], ["Li"], TEMPERATURE, 0.1, "framework", axis) for axis in ("xy", "z")
    }
    for axis, factor in (("xy", 1.0), ("z", 4.0)):
        found = along[axis]
        assert abs(found.value[0, 0] - factor * 4 * D / KTV) < 3 * found.error[0, 0]


def test_replicas_narrow_the_interval_as_their_number_says():
    one = measure(correlated(0))
    four = compute_onsager(
        [correlated(seed) for seed in range(4)], list(COUNTS), TEMPERATURE, 1.0, "framework"
    )
    assert four.num_samples == pytest.approx(4 * one.num_samples, rel=1e-9)
    np.testing.assert_allclose(four.value, np.mean([measure(correlated(s)).value for s in range(4)], axis=0))


def test_charge_diffusion_and_haven_ratio_of_ions_that_move_together():
    found = compute_onsager(
        [correlated(seed, 1500) for seed in range(4)], ["Li", "Na"], TEMPERATURE, 1.0, "framework"
    )
    tracers = {
        symbol: estimate_diffusivity(compute_msd(correlated(0, 1500), symbol), 1.5) for symbol in ("Li", "Na")
    }
    result = compute_charge_diffusion(found, {"Li": 1, "Na": 2}, COUNTS, tracers)
    charge, counts = np.array([1.0, 2.0]), np.array([20.0, 10.0])
    true = KTV * charge @ true_onsager() @ charge / (counts @ charge**2) * 1e-4
    assert result.interval[0] < true < result.interval[1]
    assert result.haven_interval[0] < D * 1e-4 / true < result.haven_interval[1]
    assert result.haven_ratio == pytest.approx(
        (20 * tracers["Li"].value + 40 * tracers["Na"].value) / 60 / result.value
    )
    # conductivity: n z^2 e^2 D_sigma / kT with the mean squared charge 2 of 30 ions
    same = compute_conductivity(result.value, None, None, 30 / np.linalg.det(CELL), np.sqrt(2.0), TEMPERATURE)
    assert result.conductivity == pytest.approx(same.value, rel=1e-6)


def test_independent_ions_have_a_haven_ratio_of_one():
    rng = np.random.default_rng(2)
    frames = in_lattice(brownian(rng, 6000, 10, D), [3] * 10, CELL)
    found = compute_onsager([frames], ["Li"], TEMPERATURE, 0.1, "framework")
    tracer = estimate_diffusivity(compute_msd(frames, "Li"), 1.0)
    result = compute_charge_diffusion(found, {"Li": 1}, {"Li": 10}, {"Li": tracer})
    assert result.haven_interval[0] < 1.0 < result.haven_interval[1]
    assert result.haven_interval[1] - result.haven_interval[0] < 0.6
    assert "framework" in result.method


def test_coefficients_refuse_what_they_cannot_say():
    frames = correlated(0, 40)
    with pytest.raises(DataError, match="several times as long"):
        compute_onsager([frames], ["Li"], TEMPERATURE, 3.5, "framework")
    with pytest.raises(DataError, match="gradient of S"):
        compute_fluxes(measure(correlated(0, 200)), {"S": 1.0})


def test_collective_motion_says_why_it_is_missing():
    rng = np.random.default_rng(7)
    metal = Frames(
        brownian(rng, 200, 20, D) @ np.linalg.inv(CELL),
        np.tile(CELL, (200, 1, 1)),
        np.full(20, 3),
        0.1 * np.arange(200),
        temperature_K=TEMPERATURE,
    )
    (found,) = measure_collective_transport(analyze_transport([metal], ["Li"], 1.5))
    assert found.onsager is None
    assert "one species" in found.reason
    still = replace(correlated(0), temperature_K=TEMPERATURE)
    (found,) = measure_collective_transport(analyze_transport([still], ["Li", "Na"], 9.0))
    assert "left its site" in found.reason
    (found,) = measure_collective_transport(
        analyze_transport([still], ["Li", "Na"], 1.5), gradients={"Li": 0.01}
    )
    assert found.charge.frame == "framework"
    assert len(found.fluxes) == 2
    with pytest.raises(DataError, match="temperature_K="):
        measure_collective_transport(analyze_transport([correlated(0)], ["Li"], 1.5))
