"""Arrhenius fit, Nernst-Einstein, block averages: answers known beforehand."""

import numpy as np
import pytest

from md.analysis import compute_average, compute_conductivity, fit_arrhenius
from mlip.errors import DataError
from mlip.units import BOLTZMANN_EV_PER_K

TEMPERATURES = np.array([500.0, 600.0, 700.0, 800.0])
PREFACTOR, BARRIER = 2e-3, 0.28


def line(temperatures):
    return PREFACTOR * np.exp(-BARRIER / (BOLTZMANN_EV_PER_K * np.asarray(temperatures)))


def test_exact_points_give_the_barrier_and_room_temperature():
    values = line(TEMPERATURES)
    fit = fit_arrhenius(TEMPERATURES, list(values), list(0.1 * values))
    assert fit.activation_energy_eV == pytest.approx(BARRIER, rel=1e-9)
    assert np.exp(fit.log_prefactor) == pytest.approx(PREFACTOR, rel=1e-9)
    assert fit.predict(300.0)[0] == pytest.approx(line(300.0), rel=1e-8)


def test_errors_cover_the_truth_as_often_as_they_should():
    rng = np.random.default_rng(0)
    sigma = np.array([0.3, 0.2, 0.1, 0.05])
    inside, inside_300 = [], []
    for _ in range(400):
        values = line(TEMPERATURES) * np.exp(rng.normal(scale=sigma))
        fit = fit_arrhenius(TEMPERATURES, list(values), list(sigma * values))
        inside.append(abs(fit.activation_energy_eV - BARRIER) < fit.error_eV)
        room, log_error = fit.predict(300.0)
        inside_300.append(abs(np.log(room / line(300.0))) < log_error)
    # 68 %, and a little more because scatter beyond the errors enlarges them
    assert 0.63 < np.mean(inside) < 0.85
    assert 0.63 < np.mean(inside_300) < 0.85


def test_precise_points_weigh_more():
    values = line(TEMPERATURES)
    values[0] *= 5.0
    errors = values * np.array([10.0, 0.01, 0.01, 0.01])
    assert fit_arrhenius(TEMPERATURES, list(values), list(errors)).activation_energy_eV == pytest.approx(
        BARRIER, rel=1e-3
    )


def test_bounds_do_not_enter_and_two_temperatures_are_not_enough():
    values = [None, *line(TEMPERATURES[1:])]
    errors = [None, *(0.1 * line(TEMPERATURES[1:]))]
    fit = fit_arrhenius(TEMPERATURES, values, errors)
    assert fit.activation_energy_eV == pytest.approx(BARRIER, rel=1e-9)
    assert any("bound" in warning for warning in fit.warnings)
    none = fit_arrhenius(TEMPERATURES, [None, None, *values[2:]], [None, None, *errors[2:]])
    assert none.activation_energy_eV is None
    assert "2 of 4 temperatures" in none.reason
    with pytest.raises(DataError, match="no Arrhenius fit"):
        none.predict(300.0)
    same = fit_arrhenius([600.0] * 4, list(line([600.0] * 4)), [1e-7] * 4)
    assert same.activation_energy_eV is None


def test_conductivity_equals_a_hand_value():
    # n = 2e22 /cm3, D = 1e-6 cm2/s, 300 K: 2e22 * 1.602177e-19 * 1e-6 / 0.0258520 = 0.123949 S/cm
    result = compute_conductivity(1e-6, 2e-7, None, 0.02, 1, 300.0)
    assert result.value == pytest.approx(0.123949, rel=1e-5)
    assert result.error == pytest.approx(0.2 * result.value)
    assert result.haven_ratio == 1.0
    assert "Haven ratio 1" in result.method
    assert compute_conductivity(1e-6, 2e-7, None, 0.02, 2, 300.0).value == pytest.approx(4 * result.value)
    bound = compute_conductivity(None, None, 1e-6, 0.02, -1, 300.0)
    assert bound.value is None
    assert bound.upper_bound == pytest.approx(result.value)


def test_block_error_of_a_correlated_series_is_the_true_one():
    rng = np.random.default_rng(1)
    memory, length = 0.95, 20000
    found = []
    for _ in range(20):
        noise = rng.normal(size=length)
        series = np.empty(length)
        series[0] = noise[0] / np.sqrt(1 - memory**2)
        for step in range(1, length):
            series[step] = memory * series[step - 1] + noise[step]
        found.append(compute_average(series).error)
    true = 1 / (1 - memory) / np.sqrt(length)
    assert np.mean(found) == pytest.approx(true, rel=0.25)
    assert compute_average(np.full(100, 7.3)).error is None
    assert compute_average(np.arange(3.0)).error is None
