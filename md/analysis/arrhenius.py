"""Activation energy from diffusivities at several temperatures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlip.errors import DataError
from mlip.units import BOLTZMANN_EV_PER_K

_FEWEST_TEMPERATURES = 3


@dataclass(frozen=True)
class Arrhenius:
    """D = D0 exp(-E_a / kT) through measured diffusivities.

    Attributes:
        activation_energy_eV: E_a, None where no fit could be made.
        error_eV: its standard error.
        log_prefactor: ln of D0 in cm^2/s.
        covariance: covariance of (ln D0, E_a), shape (2, 2).
        chi_squared: weighted sum of squared residuals per degree of freedom.
        reason: why there is no fit; empty where there is one.
        method: how it was found.
        warnings: why it should be believed less.
    """

    activation_energy_eV: float | None
    error_eV: float | None
    log_prefactor: float | None
    covariance: np.ndarray | None
    chi_squared: float | None
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
        inverse = -1.0 / (BOLTZMANN_EV_PER_K * np.asarray(temperature_K, dtype=np.float64))
        terms = np.stack([np.ones_like(inverse), inverse], axis=-1)
        log_value = terms @ np.array([self.log_prefactor, self.activation_energy_eV])
        variance = np.einsum("...i,ij,...j->...", terms, self.covariance, terms)
        return np.exp(log_value), np.sqrt(variance)


def fit_arrhenius(
    temperatures_K: Sequence[float], diffusivities: Sequence[float | None], errors: Sequence[float | None]
) -> Arrhenius:
    """Fit ln D against 1/kT by least squares weighted with the errors of ln D.

    Errors are enlarged by the root of chi^2 per degree of freedom where the points scatter more than
    their errors allow, and never made smaller.

    Args:
        temperatures_K: temperatures of the runs.
        diffusivities: D in cm^2/s, None where a run gave only a bound.
        errors: standard errors of D in cm^2/s, None likewise.

    Source:
        He et al., npj Comput. Mater. 4, 18 (2018), 10.1038/s41524-018-0074-y: s^2(ln D) = s^2(D) / D^2;
        enlarged errors: Particle Data Group, Review of Particle Physics, section 5.2.2.
    """
    valid = [
        (temperature, value, error)
        for temperature, value, error in zip(temperatures_K, diffusivities, errors, strict=True)
        if value is not None and error is not None
    ]
    distinct = len({round(temperature) for temperature, _, _ in valid})
    if distinct < _FEWEST_TEMPERATURES:
        return _no_fit(
            f"{distinct} of {len({round(t) for t in temperatures_K})} temperatures gave a diffusivity, "
            f"the others only a bound; an activation energy needs {_FEWEST_TEMPERATURES}"
        )
    temperature, value, error = np.array(valid, dtype=np.float64).T
    sigma = error / value
    design = np.stack([np.ones_like(value), -1.0 / (BOLTZMANN_EV_PER_K * temperature)], axis=1)
    weighted = design / sigma[:, None]
    covariance = np.linalg.inv(weighted.T @ weighted)
    solution = covariance @ weighted.T @ (np.log(value) / sigma)
    residuals = (np.log(value) - design @ solution) / sigma
    chi_squared = float(residuals @ residuals) / (len(value) - 2)
    covariance *= max(1.0, chi_squared)
    return Arrhenius(
        activation_energy_eV=float(solution[1]),
        error_eV=float(np.sqrt(covariance[1, 1])),
        log_prefactor=float(solution[0]),
        covariance=covariance,
        chi_squared=chi_squared,
        reason="",
        method="least squares of ln D on 1/kT weighted by 1/s^2(ln D), s(ln D) = s(D)/D (He et al. 2018)",
        warnings=_fit_warnings(chi_squared, len(valid), len(temperatures_K)),
    )


def _no_fit(reason: str) -> Arrhenius:
    return Arrhenius(None, None, None, None, None, reason, f"no fit: {reason}")


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
