"""Laws of growth and glass transitions: known laws found again, with intervals that hold the truth."""

import numpy as np
import pytest

from md.analysis.glass_transition import fit_glass_transition
from md.analysis.kinetics import LAWS, fit_growth
from mlip.errors import DataError

TIMES = np.linspace(0.0, 400.0, 201)


def noise(rng, size, sigma, memory):
    """Noise that remembers, of standard deviation sigma."""
    series = np.empty(size)
    series[0] = rng.normal()
    for step in range(1, size):
        series[step] = memory * series[step - 1] + np.sqrt(1 - memory**2) * rng.normal()
    return sigma * series


@pytest.mark.parametrize("law", LAWS)
def test_each_law_is_chosen_where_it_holds(law):
    rate = {"log t": 0.1, "sqrt t": 0.03, "t": 0.002}[law]
    values = 0.1 + rate * LAWS[law](np.maximum(TIMES, 1e-3)) + noise(np.random.default_rng(0), 201, 0.01, 0.6)
    growth = fit_growth(TIMES, values)
    assert growth.best.law == law
    assert growth.best.weight > 0.99
    assert growth.best.interval[0] < rate < growth.best.interval[1]
    assert sum(each.weight for each in growth.laws) == pytest.approx(1.0)
    np.testing.assert_allclose(growth.best.predict(TIMES[1:]).mean(), values[1:].mean(), atol=1e-6)


def test_intervals_hold_the_rate_as_often_as_they_say():
    rng = np.random.default_rng(1)
    rate, inside, samples = 0.03, [], []
    for _ in range(200):
        growth = fit_growth(TIMES, rate * np.sqrt(TIMES) + noise(rng, 201, 0.02, 0.8))
        fit = next(each for each in growth.laws if each.law == "sqrt t")
        inside.append(fit.interval[0] < rate < fit.interval[1])
        samples.append(growth.num_independent)
    # independent samples of noise with memory 0.8: 201 (1 - 0.8) / (1 + 0.8) = 22
    assert 0.86 < np.mean(inside) <= 0.99
    assert 15 < np.median(samples) < 50


def test_fit_ends_where_growth_has_ended():
    values = np.minimum(0.2 * np.log(1 + TIMES), 0.2 * np.log(101.0))
    growth = fit_growth(TIMES, values + noise(np.random.default_rng(2), 201, 1e-4, 0.0))
    assert growth.window_ps[1] == pytest.approx(100.0 * 0.8, rel=0.1)
    assert growth.best.law == "log t"
    assert fit_growth(TIMES, 0.2 * np.log(1 + TIMES)).window_ps[1] == 400.0


def test_what_does_not_decide_is_said():
    flat = fit_growth(TIMES, 0.5 + noise(np.random.default_rng(3), 201, 0.05, 0.5))
    assert any("zero within its interval" in each for each in flat.warnings)
    assert any("do not decide" in each for each in flat.warnings)
    short = fit_growth(np.linspace(50.0, 80.0, 30), np.linspace(0.1, 0.2, 30))
    assert any("decade" in each for each in short.warnings)
    with pytest.raises(DataError, match="expected 8 or more"):
        fit_growth(np.arange(5.0), np.arange(5.0))


def quench(rng, knee=620.0, slopes=(-1e-4, -4e-4), sigma=0.002, size=200):
    temperature = np.linspace(1200.0, 250.0, size)
    away = temperature - knee
    density = 2.0 + np.where(away < 0, slopes[0], slopes[1]) * away
    return temperature, density + noise(rng, size, sigma, 0.5)


def test_glass_transition_is_where_the_lines_meet():
    temperature, density = quench(np.random.default_rng(0), sigma=0.0)
    exact = fit_glass_transition(temperature, density)
    assert exact.value == pytest.approx(620.0, abs=2.0)
    assert exact.slopes == pytest.approx((-1e-4, -4e-4), rel=0.02)
    np.testing.assert_allclose(exact.predict(temperature), density, atol=2e-4)


def test_interval_of_the_glass_transition_holds_it():
    inside, errors, values = [], [], []
    for seed in range(8):
        result = fit_glass_transition(*quench(np.random.default_rng(seed)))
        inside.append(result.interval[0] <= 620.0 <= result.interval[1])
        errors.append(result.error)
        values.append(result.value)
    assert np.mean(inside) > 0.75
    assert 0.4 < np.mean(errors) / np.std(values) < 2.5


def test_a_straight_line_has_no_glass_transition():
    temperature, density = quench(np.random.default_rng(5), slopes=(-3e-4, -3e-4))
    result = fit_glass_transition(temperature, density)
    assert result.value is result.error is result.interval is None
    np.testing.assert_allclose(result.predict(temperature), density, atol=0.01)
    assert "no glass transition" in result.warnings[0]
    with pytest.raises(DataError, match="along a quench"):  # a hold
        fit_glass_transition(np.full(50, 300.0), np.arange(50.0))


@pytest.mark.parametrize(
    ("quantity", "slopes"),
    [
        ("density", (-4e-4, -1e-4)),  # the colder line is the steeper one
        ("density", (1e-4, 6e-4)),  # a vapour: it gets thinner while it cools
        ("energy", (6e-4, 3e-4)),
        ("enthalpy", (-6e-4, 18e-4)),  # of a vapour, too
    ],
)
def test_lines_that_bend_the_other_way_are_no_glass_transition(quantity, slopes):
    temperature, series = quench(np.random.default_rng(1), slopes=slopes)
    result = fit_glass_transition(temperature, series, quantity)
    assert result.value is result.interval is None
    assert result.slopes == pytest.approx(slopes, rel=0.5)
    assert "the melt faster" in result.warnings[0]
