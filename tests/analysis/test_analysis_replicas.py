"""Several runs of one material: replicas at one temperature, glasses over temperatures."""

import numpy as np
import pytest
from analysis.walkers import brownian, in_lattice

from md.analysis import compute_msd, estimate_diffusivity, fit_arrhenius
from md.analysis.conductivity import compute_conductivity
from md.analysis.extrapolation import extrapolate
from md.analysis.replicas import estimate_pooled_diffusivity
from mlip.errors import DataError
from mlip.units import BOLTZMANN_EV_PER_K

CELL = 20.0 * np.eye(3)
TEMPERATURES, BARRIER, PREFACTOR = np.array([500.0, 600.0, 700.0, 800.0]), 0.28, 2e-3
SIGMA = np.array([0.3, 0.2, 0.1, 0.05])


def msd_of(seed, diffusivity, interval_ps=0.1):
    paths = brownian(np.random.default_rng(seed), 400, 30, diffusivity, interval_ps)
    return compute_msd(in_lattice(paths, [3] * 30, CELL, interval_ps), "Li")


def test_replicas_are_worth_as_many_ions():
    runs = [msd_of(seed, 0.05) for seed in range(6)]
    pooled = estimate_pooled_diffusivity(runs, 2.0)
    single = [estimate_diffusivity(run, 2.0) for run in runs]
    assert pooled.num_replicas == 6
    assert pooled.error_fit == pytest.approx(
        np.mean([each.error_fit for each in single]) / np.sqrt(6), rel=0.2
    )
    assert pooled.error == max(pooled.error_he, pooled.error_fit, pooled.error_replicas)
    assert abs(pooled.value - 0.05e-4) < 3 * pooled.error_fit
    assert pooled.error_replicas == pytest.approx(pooled.error_fit, rel=0.9)


def test_replicas_that_differ_are_warned_about_and_their_spread_is_quoted():
    pooled = estimate_pooled_diffusivity([msd_of(0, 0.02), msd_of(1, 0.06), msd_of(2, 0.2)], 2.0)
    assert pooled.error == pooled.error_replicas
    assert any("replicas differ by more than 2x" in warning for warning in pooled.warnings)
    with pytest.raises(DataError, match="one interval"):
        estimate_pooled_diffusivity([msd_of(0, 0.05), msd_of(1, 0.05, 0.2)], 2.0)


def line(temperatures):
    return PREFACTOR * np.exp(-BARRIER / (BOLTZMANN_EV_PER_K * np.asarray(temperatures)))


def glasses(seed, count, between):
    rng = np.random.default_rng(seed)
    temperatures, names = np.tile(TEMPERATURES, count), np.repeat(np.arange(count), len(TEMPERATURES))
    sigma = np.tile(SIGMA, count)
    scatter = rng.normal(scale=sigma) + rng.normal(scale=between, size=count)[names]
    values = line(temperatures) * np.exp(scatter)
    return fit_arrhenius(temperatures, list(values), list(sigma * values), [str(n) for n in names], seed)


def test_intervals_know_the_spread_between_glasses():
    fits = [glasses(seed, 3, 0.4) for seed in range(120)]
    inside = [fit.interval_eV[0] < BARRIER < fit.interval_eV[1] for fit in fits]
    ends = [fit.predict_interval(300.0) for fit in fits]
    inside_300 = [low < line(300.0) < high for low, high in ends]
    assert 0.89 <= np.mean(inside) <= 1.0  # 120 fits: standard error 0.02
    assert 0.89 <= np.mean(inside_300) <= 1.0
    assert np.median([fit.spread_of_glasses for fit in fits]) == pytest.approx(0.4, rel=0.35)
    # points of one glass are off together: that says nothing about the slope, and much about the intercept
    blind = [fit_arrhenius(TEMPERATURES, list(line(TEMPERATURES)), list(SIGMA * line(TEMPERATURES)))]
    assert np.median([fit.covariance[0, 0] for fit in fits]) > 1.2 * blind[0].covariance[0, 0] / 3
    assert np.median([fit.error_eV for fit in fits]) < 1.3 * blind[0].error_eV / np.sqrt(3)
    assert blind[0].spread_of_glasses is None


def test_glasses_alike_give_what_one_glass_gives():
    values = list(line(np.tile(TEMPERATURES, 2)))
    errors = list(np.tile(SIGMA, 2) * values)
    several = fit_arrhenius(list(np.tile(TEMPERATURES, 2)), values, errors, list("aaaabbbb"))
    one = fit_arrhenius(list(np.tile(TEMPERATURES, 2)), values, errors)
    assert several.spread_of_glasses == 0.0
    np.testing.assert_allclose(several.covariance, one.covariance)
    assert several.num_glasses == 2


def test_conductivity_at_room_temperature_is_that_of_the_line():
    fit = fit_arrhenius(TEMPERATURES, list(line(TEMPERATURES)), list(SIGMA * line(TEMPERATURES)))
    room = extrapolate(fit, 0.02, 1.0)
    assert room.value == pytest.approx(line(300.0), rel=1e-8)
    assert room.conductivity == pytest.approx(
        compute_conductivity(float(line(300.0)), None, None, 0.02, 1.0, 300.0).value, rel=1e-8
    )
    low, high = room.conductivity_interval
    assert low < room.conductivity < high
    assert np.log(high / low) == pytest.approx(2 * 1.96 * room.log_error, rel=0.15)
    assert extrapolate(fit, 0.02, None).conductivity is None
