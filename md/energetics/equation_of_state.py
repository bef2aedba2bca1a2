"""The equation of state of Birch and Murnaghan, through energies or through pressures of some volumes.

    x = (V0 / V)^(1/3)
    E(V) = E0 + 9/16 V0 B0 [(x^2 - 1)^3 B0' + (x^2 - 1)^2 (6 - 4 x^2)]
    P(V) = -dE/dV = 3/2 B0 (x^7 - x^5) [1 + 3/4 (B0' - 4) (x^2 - 1)]

Source: Birch 1947 (10.1103/PhysRev.71.809), third order. Short runs at several volumes give the volume of a
melt: Aykol et al. 2018 (10.1126/sciadv.aaq0148); 4 ps at each in Li et al. 2025.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq, least_squares

from mlip.errors import DataError
from mlip.units import EV_PER_A3_IN_GPA

Numbers = NDArray[np.float64]

# Parameters of the fit, and one volume more, so that it can fail.
_FEWEST = {"pressure": 4, "energy": 5}


@dataclass(frozen=True)
class EquationOfState:
    """A fit of Birch and Murnaghan.

    Attributes:
        volume_A3: V0, where the pressure is zero.
        bulk_modulus_GPa: B0 there.
        bulk_modulus_slope: B0', its derivative by pressure.
        energy_eV: E0; NaN of a fit to pressures.
        volume_error_A3: one standard error of V0 from the scatter around the fit.
        bulk_modulus_error_GPa: one of B0.
        searched_A3: the smallest and the largest volume of the fit.
    """

    volume_A3: float
    bulk_modulus_GPa: float
    bulk_modulus_slope: float
    energy_eV: float
    volume_error_A3: float
    bulk_modulus_error_GPa: float
    searched_A3: tuple[float, float]

    def energies_at(self, volumes_A3: ArrayLike) -> Numbers:
        """Energies at volumes of any shape, eV."""
        modulus = self.bulk_modulus_GPa / EV_PER_A3_IN_GPA
        volumes = np.asarray(volumes_A3, dtype=float)
        return self.energy_eV + _energy(volumes, self.volume_A3, modulus, self.bulk_modulus_slope)

    def pressure_GPa(self, volume_A3: float) -> float:
        """Pressure at a volume."""
        modulus, slope = self.bulk_modulus_GPa, self.bulk_modulus_slope
        return float(_pressure(np.asarray(volume_A3), self.volume_A3, modulus, slope))

    def volume_at(self, pressure_GPa: float) -> float:
        """Volume at a pressure, A^3, among those that were searched.

        Raises:
            DataError: The pressure is reached at none of them.
        """
        low, high = self.searched_A3
        strongest, weakest = self.pressure_GPa(low), self.pressure_GPa(high)
        if not weakest <= pressure_GPa <= strongest:
            raise DataError(
                f"found pressures of {strongest:.3g} to {weakest:.3g} GPa at volumes of {low:.5g} to "
                f"{high:.5g} A^3; expected {pressure_GPa:g} GPa among them: search other volumes"
            )
        return float(brentq(lambda volume: self.pressure_GPa(volume) - pressure_GPa, low, high))


def fit_energies(volumes_A3: ArrayLike, energies_eV: ArrayLike) -> EquationOfState:
    """Fit static energies of five volumes or more.

    Args:
        volumes_A3: shape (V,).
        energies_eV: shape (V,).

    Raises:
        DataError: There are too few, or they have no minimum.
    """
    volumes, energies = _checked("energy", volumes_A3, energies_eV)
    a, b, _ = np.polyfit(volumes, energies, 2)
    middle = -b / (2.0 * a) if a > 0 else volumes.mean()
    first = [
        np.clip(middle, volumes[0], volumes[-1]),
        max(2.0 * a * middle, 1e-3),
        4.0,
        float(energies.min()),
    ]

    def misfit(parameters: Numbers) -> Numbers:
        volume, modulus, slope, energy = parameters
        return energy + _energy(volumes, volume, modulus, slope) - energies

    (volume, modulus, slope, energy), (error, modulus_error) = _fit(misfit, first, volumes)
    gpa = EV_PER_A3_IN_GPA
    searched = (float(volumes[0]), float(volumes[-1]))
    return EquationOfState(volume, modulus * gpa, slope, energy, error, modulus_error * gpa, searched)


def fit_pressures(volumes_A3: ArrayLike, pressures_GPa: ArrayLike) -> EquationOfState:
    """Fit mean pressures of four volumes or more, as short runs at one temperature give them.

    Args:
        volumes_A3: shape (V,).
        pressures_GPa: shape (V,).

    Raises:
        DataError: There are too few, or they do not fall with the volume.
    """
    volumes, pressures = _checked("pressure", volumes_A3, pressures_GPa)
    slope, offset = np.polyfit(volumes, pressures, 1)
    if slope >= 0.0:
        raise DataError(
            "found pressures that do not fall with the volume; expected longer runs or other volumes"
        )
    middle = float(np.clip(-offset / slope, volumes[0], volumes[-1]))

    def misfit(parameters: Numbers) -> Numbers:
        return _pressure(volumes, *parameters) - pressures

    (volume, modulus, slope), errors = _fit(misfit, [middle, -slope * middle, 4.0], volumes)
    searched = (float(volumes[0]), float(volumes[-1]))
    return EquationOfState(volume, modulus, slope, float("nan"), *errors, searched)


def _energy(volumes: Numbers, volume: float, modulus: float, slope: float) -> Numbers:
    square = np.cbrt(volume / volumes) ** 2
    away = square - 1.0
    return 9.0 / 16.0 * volume * modulus * (away**3 * slope + away**2 * (6.0 - 4.0 * square))


def _pressure(volumes: Numbers, volume: float, modulus: float, slope: float) -> Numbers:
    x = np.cbrt(volume / volumes)
    return 1.5 * modulus * (x**7 - x**5) * (1.0 + 0.75 * (slope - 4.0) * (x**2 - 1.0))


def _checked(kind: str, volumes_A3: ArrayLike, values: ArrayLike) -> tuple[Numbers, Numbers]:
    """Both in the order of the volume."""
    volumes, found = np.asarray(volumes_A3, dtype=float), np.asarray(values, dtype=float)
    if volumes.shape != found.shape or len(np.unique(volumes)) < _FEWEST[kind]:
        raise DataError(
            f"found {len(np.unique(volumes))} volumes; expected {_FEWEST[kind]} or more with a {kind} each"
        )
    if not np.isfinite(found).all() or volumes.min() <= 0.0:
        raise DataError(f"found a {kind} that is no number, or a volume that is not above zero")
    order = np.argsort(volumes)
    return volumes[order], found[order]


def _fit(
    misfit: Callable[[Numbers], Numbers], first: Sequence[float], volumes: Numbers
) -> tuple[list[float], tuple[float, float]]:
    """Parameters, volume and modulus first, by least squares, and the standard errors of these two."""
    found = least_squares(misfit, first, x_scale=np.maximum(np.abs(first), 1e-3), xtol=1e-14, ftol=1e-14)
    freedom = len(volumes) - len(first)
    covariance = np.linalg.pinv(found.jac.T @ found.jac) * 2.0 * found.cost / max(freedom, 1)
    if found.x[0] <= 0.0 or found.x[1] <= 0.0:
        raise DataError("found no equation of state with a volume and a bulk modulus above zero")
    errors = np.sqrt(np.diag(covariance))
    return [float(each) for each in found.x], (float(errors[0]), float(errors[1]))
