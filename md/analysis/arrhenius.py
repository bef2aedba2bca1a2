"""Activation energy from diffusivities at several temperatures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from md.analysis.glasses import draw_ordinates, fit_glasses
from mlip.errors import DataError
from mlip.units import BOLTZMANN_EV_PER_K

_FEWEST_TEMPERATURES = 3
_NUM_BOOTSTRAPS = 1000


@dataclass(frozen=True)
class Arrhenius:
    """D = D0 exp(-E_a / kT) through measured diffusivities.

    Attributes:
        activation_energy_eV: E_a, None where no fit could be made.
        error_eV: its standard error.
        log_prefactor: ln of D0 in cm^2/s.
        covariance: covariance of (ln D0, E_a), shape (2, 2).
        interval_eV: 95 % confidence interval of E_a, by bootstrap.
        chi_squared: weighted sum of squared residuals per degree of freedom.
        num_glasses: glasses that the points are of.
        spread_of_glasses: standard deviation of ln D from glass to glass; None with one glass.
        draws: (ln D0, E_a) of points drawn again around the line, less those of the line, shape (B, 2).
        draw_covariances: covariance that each of them would have been given, shape (B, 2, 2).
        reason: why there is no fit; empty where there is one.
        method: how it was found.
        warnings: why it should be believed less.
    """

    activation_energy_eV: float | None
    error_eV: float | None
    log_prefactor: float | None
    covariance: np.ndarray | None
    interval_eV: tuple[float, float] | None
    chi_squared: float | None
    num_glasses: int
    spread_of_glasses: float | None
    draws: np.ndarray
    draw_covariances: np.ndarray
    reason: str
    method: str
    warnings: tuple[str, ...] = ()

    def predict(self, temperature_K: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Diffusivity on the line and the standard error of its logarithm.

        Args:
            temperature_K: temperatures.

        Returns:
            D in cm^2/s and the standard error of ln D, of the shape of `temperature_K`.

        Raises:
            DataError: There is no fit.
        """
        if self.log_prefactor is None or self.activation_energy_eV is None or self.covariance is None:
            raise DataError(f"found no Arrhenius fit to predict from: {self.reason}")
        terms = _terms(temperature_K)
        log_value = terms @ np.array([self.log_prefactor, self.activation_energy_eV])
        return np.exp(log_value), np.sqrt(_variance(terms, self.covariance))

    def predict_interval(self, temperature_K: float) -> tuple[float, float]:
        """95 % confidence interval of the diffusivity on the line, cm^2/s.

        Raises:
            DataError: There is no fit.
        """
        value, log_error = self.predict(temperature_K)
        terms = _terms(temperature_K)
        deviations = self.draws @ terms / np.sqrt(_variance(terms, self.draw_covariances))
        low, high = studentised_interval(float(np.log(value)), float(log_error), deviations)
        return float(np.exp(low)), float(np.exp(high))


def _terms(temperature_K: float | np.ndarray) -> np.ndarray:
    """What ln D0 and E_a are multiplied with, shape (..., 2)."""
    inverse = -1.0 / (BOLTZMANN_EV_PER_K * np.asarray(temperature_K, dtype=np.float64))
    return np.stack([np.ones_like(inverse), inverse], axis=-1)


def _variance(terms: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    return np.asarray(np.einsum("...i,...ij,...j->...", terms, covariance, terms))


def studentised_interval(value: float, error: float, deviations: np.ndarray) -> tuple[float, float]:
    """95 % confidence interval from deviations of drawn values in units of their own errors.

    Args:
        value: the estimate.
        error: its standard error.
        deviations: (drawn - estimate) / (error of the drawn one), shape (B,).

    Source:
        Efron, Can. J. Stat. 9, 139 (1981), 10.2307/3314608: the bootstrap-t.
    """
    low, high = np.percentile(deviations, [2.5, 97.5])
    return float(value - high * error), float(value - low * error)


def fit_arrhenius(
    temperatures_K: Sequence[float],
    diffusivities: Sequence[float | None],
    errors: Sequence[float | None],
    glasses: Sequence[str] | None = None,
    seed: int = 0,
) -> Arrhenius:
    """Fit ln D against 1/kT by least squares weighted with the errors of ln D.

    Runs of several glasses share what their glass is off by: its variance is found from the points and
    enters the weights. Errors are enlarged by the root of chi^2 per degree of freedom where the points
    scatter more than all that allows, and never made smaller.

    Args:
        temperatures_K: temperatures of the runs.
        diffusivities: D in cm^2/s, None where a run gave only a bound.
        errors: standard errors of D in cm^2/s, None likewise.
        glasses: a name for each run, the same for those of one glass; by default all are of one.
        seed: of the bootstrap.

    Source:
        He et al., npj Comput. Mater. 4, 18 (2018), 10.1038/s41524-018-0074-y: s^2(ln D) = s^2(D) / D^2;
        enlarged errors: Particle Data Group, Review of Particle Physics, section 5.2.2.
    """
    names = list(glasses) if glasses is not None else [""] * len(temperatures_K)
    runs = zip(temperatures_K, diffusivities, errors, names, strict=True)
    valid = [(t, d, error, name) for t, d, error, name in runs if d is not None and error is not None]
    distinct = len({round(temperature) for temperature, *_ in valid})
    if distinct < _FEWEST_TEMPERATURES:
        return _no_fit(
            f"{distinct} of {len({round(t) for t in temperatures_K})} temperatures gave a diffusivity, "
            f"the others only a bound; an activation energy needs {_FEWEST_TEMPERATURES}"
        )
    temperature, value, error = np.array([run[:3] for run in valid], dtype=np.float64).T
    _, glass = np.unique([run[3] for run in valid], return_inverse=True)
    sigma, design = error / value, _terms(temperature)
    fit = fit_glasses(design, np.log(value)[None], sigma, glass)
    solution, covariance, chi_squared = fit.solution[0], fit.covariance[0], float(fit.chi_squared[0])
    scatter = sigma * np.sqrt(max(1.0, chi_squared))
    drawn = draw_ordinates(design @ solution, scatter, glass, fit.between[0], _NUM_BOOTSTRAPS, seed)
    again = fit_glasses(design, drawn, sigma, glass)
    draws = again.solution - solution
    deviations = draws[:, 1] / np.sqrt(again.covariance[:, 1, 1])
    error_eV, num_glasses = float(np.sqrt(covariance[1, 1])), int(glass.max()) + 1
    return Arrhenius(
        activation_energy_eV=float(solution[1]),
        error_eV=error_eV,
        log_prefactor=float(solution[0]),
        covariance=covariance,
        interval_eV=studentised_interval(float(solution[1]), error_eV, deviations),
        chi_squared=chi_squared,
        num_glasses=num_glasses,
        spread_of_glasses=float(np.sqrt(fit.between[0])) if num_glasses > 1 else None,
        draws=draws,
        draw_covariances=again.covariance,
        reason="",
        method=(
            "least squares of ln D on 1/kT weighted by 1/s^2(ln D), s(ln D) = s(D)/D (He et al. 2018), "
            f"{num_glasses} {'glass' if num_glasses == 1 else 'glasses with the variance between them'}; "
            f"95 % interval by bootstrap-t, {_NUM_BOOTSTRAPS} draws"
        ),
        warnings=_fit_warnings(chi_squared, len(valid), len(temperatures_K)),
    )


def _no_fit(reason: str) -> Arrhenius:
    nothing = np.zeros((0, 2)), np.zeros((0, 2, 2))
    return Arrhenius(None, None, None, None, None, None, 0, None, *nothing, reason, f"no fit: {reason}")


def _fit_warnings(chi_squared: float, num_valid: int, num_all: int) -> tuple[str, ...]:
    warnings = []
    if chi_squared > 3.0:
        warnings.append(
            f"chi^2 per degree of freedom is {chi_squared:.1f}: one activation energy does not fit all points"
        )
    if num_valid < num_all:
        warnings.append(
            f"{num_all - num_valid} of {num_all} temperatures gave only a bound and are not in the fit"
        )
    return tuple(warnings)
