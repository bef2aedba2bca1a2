"""Diffusivity and conductivity at a temperature that was not simulated, along an Arrhenius line."""

from dataclasses import dataclass

from md.analysis.arrhenius import Arrhenius
from md.analysis.conductivity import compute_conductivity

ROOM_TEMPERATURE_K = 300.0


@dataclass(frozen=True)
class Extrapolation:
    """D and sigma on an Arrhenius line.

    Attributes:
        temperature_K: temperature extrapolated to.
        value: D in cm^2/s.
        error: its standard error.
        log_error: that of ln D.
        interval: 95 % confidence interval of D, by bootstrap.
        conductivity: sigma in S/cm by Nernst and Einstein; None for an unknown charge.
        conductivity_error: its standard error.
        conductivity_interval: its 95 % confidence interval.
        method: how it was found.
    """

    temperature_K: float
    value: float
    error: float
    log_error: float
    interval: tuple[float, float]
    conductivity: float | None
    conductivity_error: float | None
    conductivity_interval: tuple[float, float] | None
    method: str

    unit = "cm^2/s"


def extrapolate(
    fit: Arrhenius,
    number_density: float,
    charge: float | None,
    temperature_K: float = ROOM_TEMPERATURE_K,
) -> Extrapolation:
    """Follow an Arrhenius line to another temperature.

    Args:
        fit: the line.
        number_density: ions per A^3 there, or at the nearest temperature simulated.
        charge: charge of an ion, e, if known.
        temperature_K: where to.

    Raises:
        DataError: There is no line.
    """
    value, log_error = (float(each) for each in fit.predict(temperature_K))
    interval = fit.predict_interval(temperature_K)
    method = f"extrapolated along the Arrhenius line; {fit.method}"
    conductivity = error = ends = None
    if charge is not None:
        low, middle, high = (
            compute_conductivity(each, value * log_error, None, number_density, charge, temperature_K)
            for each in (interval[0], value, interval[1])
        )
        conductivity, error = middle.value, middle.error
        ends = None if low.value is None or high.value is None else (low.value, high.value)
        method += f"; {middle.method}"
    return Extrapolation(
        temperature_K, value, value * log_error, log_error, interval, conductivity, error, ends, method
    )
