"""Diffusivity from a mean squared displacement: the window, the slope, the error, or only a bound."""

from dataclasses import dataclass

from md.analysis.msd import MeanSquaredDisplacement
from md.analysis.window import Motion
from mlip.errors import DataError
from mlip.units import A2_PER_PS_IN_CM2_PER_S

_FEWEST_LAGS = 5
_SHORTEST_WINDOW_RATIO = 1.25
_LOG_SLOPE_RANGE = (0.8, 1.2)
_LOG_SLOPE_OF_CAGE = 0.5
_LARGEST_BEND = 3.0


@dataclass(frozen=True)
class Diffusivity:
    """Self-diffusivity of one species, or an upper bound of it.

    Attributes:
        species: symbol.
        value: D in cm^2/s, None where only a bound can be given.
        error: one standard error of `value` in cm^2/s: the largest of He's, the fit's and the replicas'.
        upper_bound: D is below this, cm^2/s; None where there is a value.
        window_ps: first and last lag of the fit, or of what was looked at for a bound.
        intercept_A2: MSD of the fitted line at lag zero (vibrations), A^2; None for a bound.
        log_slope: slope of ln MSD against ln lag in the window: 1 for diffusion.
        error_he: standard error after He et al., cm^2/s.
        error_fit: standard error of the generalised least squares fit, cm^2/s.
        error_replicas: standard error of the mean from the spread of replicas, cm^2/s; None for one run.
        num_hops: effective number of hops N_eff = N max(MSD) / a^2.
        hop_distance_A: site-to-site distance a.
        dimension: directions summed over.
        method: how value and error were found.
        warnings: why the number should be believed less.
        num_replicas: runs that were averaged over.
    """

    species: str
    value: float | None
    error: float | None
    upper_bound: float | None
    window_ps: tuple[float, float]
    intercept_A2: float | None
    log_slope: float | None
    error_he: float | None
    error_fit: float | None
    num_hops: float
    hop_distance_A: float
    dimension: int
    method: str
    warnings: tuple[str, ...] = ()
    error_replicas: float | None = None
    num_replicas: int = 1

    unit = "cm^2/s"


def estimate_diffusivity(
    msd: MeanSquaredDisplacement,
    hop_distance_A: float,
    directions: str = "xyz",
    thermostat: str | None = None,
) -> Diffusivity:
    """Estimate a diffusivity from the slope of the mean squared displacement.

    The window begins where the MSD first reaches 0.5 a^2, so that ions rattling on their sites do not
    count, and ends at 70 % of the run. Without such a window, or where the MSD in it is flat, the result
    is an upper bound: with a larger D the MSD would have come further. The bound takes the MSD two of
    He's standard errors higher, as few hops may have been fewer than usual.

    Args:
        msd: the mean squared displacement.
        hop_distance_A: site-to-site distance a, A.
        directions: Cartesian directions to sum over: "xyz", or "xy", "z" for anisotropic motion.
        thermostat: thermostat of the run, if known; Langevin friction slows diffusion.

    Source:
        He, Zhu, Epstein and Mo, npj Comput. Mater. 4, 18 (2018), 10.1038/s41524-018-0074-y: window and
        relative error 3.43/sqrt(N_eff) + 0.04.
    """
    if hop_distance_A <= 0:
        raise DataError(f"found a hop distance of {hop_distance_A} A; expected a positive distance")
    motion = Motion(msd, msd.along(directions), hop_distance_A, len(directions))
    warnings = _thermostat_warnings(thermostat)
    reason = _why_no_slope(motion)
    return _bound(motion, reason, warnings) if reason else _slope(motion, warnings)


def _thermostat_warnings(thermostat: str | None) -> tuple[str, ...]:
    if thermostat is None or "langevin" not in thermostat.lower():
        return ()
    return (
        "the run used a Langevin thermostat, whose friction changes D; take nose_hoover_chain for production",
    )


def _why_no_slope(motion: Motion) -> str:
    """Say why the MSD has no diffusive window, or nothing where it has one."""
    window = motion.window
    if len(window) == 0:
        return (
            f"the MSD reaches {motion.furthest_A2:.3g} A^2 within {motion.lags_ps[motion.last]:.4g} ps, "
            f"below 0.5 a^2 = {motion.threshold_A2:.3g} A^2"
        )
    if len(window) < _FEWEST_LAGS or window[-1] < _SHORTEST_WINDOW_RATIO * window[0]:
        return f"the MSD reaches 0.5 a^2 = {motion.threshold_A2:.3g} A^2 only at the end of the run"
    if motion.moved[window].min() <= 0 or motion.log_slope < _LOG_SLOPE_OF_CAGE or motion.fit.value <= 0:
        return "the MSD is flat where it exceeds 0.5 a^2: caged motion, not diffusion"
    return ""


def _bound(motion: Motion, reason: str, warnings: tuple[str, ...]) -> Diffusivity:
    longest_ps = float(motion.lags_ps[motion.last])
    raised = motion.furthest_A2 * (1 + 2 * motion.relative_error_he) if motion.num_hops > 0 else 0.0
    furthest = max(raised, motion.threshold_A2)
    return Diffusivity(
        species=motion.msd.species,
        value=None,
        error=None,
        upper_bound=furthest / (2 * motion.dimension * longest_ps) * A2_PER_PS_IN_CM2_PER_S,
        window_ps=(0.0, longest_ps),
        intercept_A2=None,
        log_slope=None,
        error_he=None,
        error_fit=None,
        num_hops=motion.num_hops,
        hop_distance_A=motion.hop_distance_A,
        dimension=motion.dimension,
        method=f"upper bound max(MSD (1 + 2 RSD), 0.5 a^2) / (2 d t), RSD of He et al. 2018: {reason}",
        warnings=warnings,
    )


def _slope(motion: Motion, warnings: tuple[str, ...]) -> Diffusivity:
    value, error_fit = motion.fit.value, motion.fit.error
    error_he = motion.relative_error_he * value
    unit = A2_PER_PS_IN_CM2_PER_S
    return Diffusivity(
        species=motion.msd.species,
        value=value * unit,
        error=max(error_he, error_fit) * unit,
        upper_bound=None,
        window_ps=(float(motion.lags_ps[motion.window[0]]), float(motion.lags_ps[motion.last])),
        intercept_A2=motion.fit.intercept,
        log_slope=motion.log_slope,
        error_he=error_he * unit,
        error_fit=error_fit * unit,
        num_hops=motion.num_hops,
        hop_distance_A=motion.hop_distance_A,
        dimension=motion.dimension,
        method=(
            "slope of the MSD / 2d by generalised least squares with the covariance of Brownian walkers, "
            "lags from MSD = 0.5 a^2 to 70 % of the run; error: the larger of the fit's and of He et al. 2018"
        ),
        warnings=warnings + _slope_warnings(motion, value, error_he, error_fit),
    )


def _slope_warnings(motion: Motion, value: float, error_he: float, error_fit: float) -> tuple[str, ...]:
    warnings = []
    low, high = _LOG_SLOPE_RANGE
    if not low <= motion.log_slope <= high:
        warnings.append(
            f"ln MSD against ln t has slope {motion.log_slope:.2f}, not 1: not yet diffusive, run longer"
        )
    error = max(error_he, error_fit)
    if error >= value:
        warnings.append("the error is as large as D: too few hops, run longer or with more atoms")
    if abs(motion.fit.bend) > _LARGEST_BEND:
        warnings.append(
            "the MSD bends inside the window more than chance allows: D depends on the lags fitted"
        )
    if not 0.5 <= error_he / error_fit <= 2.0:
        warnings.append("the errors of He et al. and of the fit differ by more than 2x; the larger is quoted")
    return tuple(warnings)
