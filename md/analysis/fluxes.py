"""Fluxes under gradients of chemical potentials, by Onsager coefficients."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from md.analysis.onsager import Onsager
from mlip.errors import DataError


@dataclass(frozen=True)
class Flux:
    """Flux of one species under given gradients of chemical potentials.

    Attributes:
        species: symbol.
        value: J, 1/(A^2 ps), positive along the axis of the gradients.
        error: its standard error.
        interval: 95 % confidence interval.
        method: how it was found.
    """

    species: str
    value: float
    error: float
    interval: tuple[float, float]
    method: str

    unit = "1/(A^2 ps)"


def compute_fluxes(onsager: Onsager, gradients: Mapping[str, float]) -> list[Flux]:
    """Fluxes of all species under gradients of (electro)chemical potentials along one direction.

    Args:
        onsager: the coefficients.
        gradients: symbol -> gradient, eV/A; zero for species that are not named.

    Raises:
        DataError: A species has no coefficients.
    """
    unknown = [symbol for symbol in gradients if symbol not in onsager.species]
    if unknown:
        raise DataError(
            f"found a gradient of {unknown[0]}; expected some of {', '.join(onsager.species)}: see species="
        )
    force = -np.array([gradients.get(symbol, 0.0) for symbol in onsager.species])
    values = onsager.value @ force
    work = max(float(force @ values), 0.0)
    variance = (np.diag(onsager.value) * work + values**2) / onsager.num_samples
    if len(onsager.samples):
        variance = np.maximum(variance, (onsager.samples @ force).var(axis=0, ddof=1))
    errors = np.sqrt(variance)
    named = ", ".join(f"{symbol} {value:g}" for symbol, value in gradients.items())
    method = f"J_i = -sum_j L_ij grad mu_j with gradients {named} eV/A, 95 % interval; {onsager.frame} frame"
    return [
        Flux(symbol, float(value), float(error), (value - half, value + half), method)
        for symbol, value, error in zip(onsager.species, values, errors, strict=True)
        for half in [float(onsager.quantile * error)]
    ]
