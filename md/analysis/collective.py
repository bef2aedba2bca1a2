"""Collective (charge) diffusion and the Haven ratio: what ions that move together carry."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from md.analysis.diffusion import Diffusivity
from md.analysis.onsager import Onsager
from mlip.errors import DataError
from mlip.units import A2_PER_PS_IN_CM2_PER_S, BOLTZMANN_EV_PER_K, ELEMENTARY_CHARGE_C

# e^2/(eV A ps) in S/cm: e/V = C/V, 1e8 A/cm, 1e12 ps/s
_S_PER_CM = ELEMENTARY_CHARGE_C * 1e20


@dataclass(frozen=True)
class ChargeDiffusion:
    """Diffusion of the charge of some species.

    Attributes:
        species: symbols of the ions.
        value: D_sigma in cm^2/s.
        error: its standard error.
        interval: 95 % confidence interval of D_sigma.
        conductivity: sigma in S/cm, with nothing assumed on how ions move.
        conductivity_interval: its 95 % confidence interval.
        haven_ratio: D_tracer / D_sigma; None where the tracer has no D.
        haven_interval: its 95 % confidence interval.
        frame: frame of reference.
        num_samples: independent samples of collective motion.
        method: how it was found.
        warnings: why it should be believed less.
    """

    species: tuple[str, ...]
    value: float
    error: float
    interval: tuple[float, float]
    conductivity: float
    conductivity_interval: tuple[float, float]
    haven_ratio: float | None
    haven_interval: tuple[float, float] | None
    frame: str
    num_samples: float
    method: str
    warnings: tuple[str, ...] = ()

    unit = "cm^2/s"


def compute_charge_diffusion(
    onsager: Onsager,
    charges: Mapping[str, float],
    counts: Mapping[str, int],
    tracers: Mapping[str, Diffusivity],
) -> ChargeDiffusion:
    """Turn Onsager coefficients into the diffusivity of charge, conductivity and Haven ratio.

    D_sigma = kT V z.L.z / sum_i N_i z_i^2; sigma = e^2 z.L.z; H_R = D_tracer / D_sigma, D_tracer averaged
    with weights N_i z_i^2. Intervals are multiplicative: exp(ln value +- t s).

    Args:
        onsager: coefficients.
        charges: symbol -> charge z, e; of all species of `onsager`.
        counts: symbol -> number of ions.
        tracers: symbol -> self-diffusivity.

    Raises:
        DataError: The coefficients carry no current: the charge does not move.

    Source:
        Murch, Solid State Ionics 7, 177 (1982), 10.1016/0167-2738(82)90050-9: Haven ratio.
    """
    charge = np.array([charges[symbol] for symbol in onsager.species])
    number = np.array([counts[symbol] for symbol in onsager.species])
    current = float(charge @ onsager.value @ charge)
    if current <= 0:
        raise DataError(f"found z.L.z = {current:.3g}; expected a charge that moves: run longer")
    relative = _relative_error(onsager, charge)
    factor = BOLTZMANN_EV_PER_K * onsager.temperature_K * onsager.volume_A3 * A2_PER_PS_IN_CM2_PER_S
    value = factor * current / float(number @ charge**2)
    spread = float(np.exp(onsager.quantile * relative))
    sigma = _S_PER_CM * current
    haven, interval = _haven(onsager, charge**2 * number, tracers, value, relative)
    return ChargeDiffusion(
        species=onsager.species,
        value=value,
        error=relative * value,
        interval=(value / spread, value * spread),
        conductivity=sigma,
        conductivity_interval=(sigma / spread, sigma * spread),
        haven_ratio=haven,
        haven_interval=interval,
        frame=onsager.frame,
        num_samples=onsager.num_samples,
        method=f"k T V z.L.z / sum N z^2, sigma = e^2 z.L.z; {onsager.method}",
        warnings=onsager.warnings,
    )


def _relative_error(onsager: Onsager, charge: np.ndarray) -> float:
    """Standard error of z.L.z over its value: the larger of the fit's and of the bootstrap's."""
    fit = float(np.sqrt(2.0 / onsager.num_samples))
    if not len(onsager.samples):
        return fit
    drawn = np.einsum("i,bij,j->b", charge, onsager.samples, charge)
    return max(fit, float(drawn.std(ddof=1) / (charge @ onsager.value @ charge)))


def _haven(
    onsager: Onsager,
    weights: np.ndarray,
    tracers: Mapping[str, Diffusivity],
    collective: float,
    relative: float,
) -> tuple[float | None, tuple[float, float] | None]:
    found = [tracers[symbol] for symbol in onsager.species]
    known = [(each.value, each.error) for each in found if each.value is not None and each.error is not None]
    if len(known) < len(found):
        return None, None
    values, errors = np.array(known).T
    tracer = float(weights @ values / weights.sum())
    tracer_error = float(np.sqrt(weights**2 @ errors**2) / weights.sum())
    total = float(np.hypot(relative, tracer_error / tracer))
    spread = float(np.exp(onsager.quantile * total))
    return tracer / collective, (tracer / collective / spread, tracer / collective * spread)
