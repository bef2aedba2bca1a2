"""Ionic conductivity from a self-diffusivity by the Nernst-Einstein relation."""

from dataclasses import dataclass

from mlip.errors import DataError
from mlip.units import BOLTZMANN_EV_PER_K, ELEMENTARY_CHARGE_C

# charge of the ion in a solid electrolyte, e
ION_CHARGES = {
    "H": 1,
    "Li": 1,
    "Na": 1,
    "K": 1,
    "Ag": 1,
    "Cu": 1,
    "Mg": 2,
    "Ca": 2,
    "Zn": 2,
    "F": -1,
    "Cl": -1,
}

_A3_PER_CM3 = 1e24


@dataclass(frozen=True)
class Conductivity:
    """Ionic conductivity of one species.

    Attributes:
        value: sigma in S/cm, None where the diffusivity is only a bound.
        error: its standard error in S/cm.
        upper_bound: sigma is below this, S/cm; None where there is a value.
        haven_ratio: Haven ratio assumed.
        method: how it was found.
    """

    value: float | None
    error: float | None
    upper_bound: float | None
    haven_ratio: float
    method: str

    unit = "S/cm"


def compute_conductivity(
    diffusivity: float | None,
    error: float | None,
    upper_bound: float | None,
    number_density: float,
    charge: float,
    temperature_K: float,
) -> Conductivity:
    """Turn a self-diffusivity into a conductivity: sigma = n z^2 e^2 D / kT.

    Args:
        diffusivity: D in cm^2/s, or None.
        error: its standard error in cm^2/s, or None.
        upper_bound: bound of D in cm^2/s, or None.
        number_density: ions per A^3.
        charge: charge z of an ion, e.
        temperature_K: temperature of the run.

    Source:
        Nernst-Einstein relation with Haven ratio 1: ions move independently of each other.
    """
    if temperature_K <= 0 or number_density <= 0:
        raise DataError(f"found T={temperature_K} K and n={number_density} /A^3; expected positive numbers")
    thermal_volt = BOLTZMANN_EV_PER_K * temperature_K
    factor = number_density * _A3_PER_CM3 * charge**2 * ELEMENTARY_CHARGE_C / thermal_volt
    return Conductivity(
        value=None if diffusivity is None else factor * diffusivity,
        error=None if error is None else factor * error,
        upper_bound=None if upper_bound is None else factor * upper_bound,
        haven_ratio=1.0,
        method=(
            f"Nernst-Einstein, n z^2 e^2 D / kT with z = {charge:g} at {temperature_K:.0f} K; "
            "Haven ratio 1 assumed"
        ),
    )
