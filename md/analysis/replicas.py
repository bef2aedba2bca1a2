"""One diffusivity from several runs at one temperature, with the spread between them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from md.analysis.diffusion import Diffusivity, estimate_diffusivity
from md.analysis.msd import MeanSquaredDisplacement
from md.analysis.walker import slope_weights
from md.analysis.window import Motion
from mlip.errors import DataError
from mlip.units import A2_PER_PS_IN_CM2_PER_S

# the spread of fewer replicas is often small by chance
_FEWEST_FOR_SMALL_SPREAD = 4


def estimate_pooled_diffusivity(
    replicas: Sequence[MeanSquaredDisplacement],
    hop_distance_A: float,
    directions: str = "xyz",
    thermostat: str | None = None,
) -> Diffusivity:
    """Estimate one diffusivity from runs of one material at one temperature.

    Their MSDs are averaged, and the window and both errors follow as for one run with all the atoms. The
    slopes of the runs in that window give a third error, s / sqrt(runs). The largest is quoted.

    Args:
        replicas: mean squared displacements of one species in each run.
        hop_distance_A: site-to-site distance a, A.
        directions: Cartesian directions to sum over.
        thermostat: thermostat of the runs, if known.

    Raises:
        DataError: The runs differ in the time between their frames.
    """
    pooled = _pool(replicas)
    result = estimate_diffusivity(pooled, hop_distance_A, directions, thermostat)
    result = replace(result, num_replicas=len(replicas), method=f"{len(replicas)} replicas: {result.method}")
    if result.value is None or result.error is None or len(replicas) < 2:
        return result
    motion = Motion(pooled, pooled.along(directions), hop_distance_A, len(directions))
    weights, _ = slope_weights(motion.lags_ps[motion.fit_lags], motion.covariance)
    slopes = np.array([each.along(directions)[motion.fit_lags] @ weights for each in replicas])
    spread = float(slopes.std(ddof=1) / np.sqrt(len(slopes))) / (2 * len(directions)) * A2_PER_PS_IN_CM2_PER_S
    return replace(
        result,
        error=max(result.error, spread),
        error_replicas=spread,
        warnings=result.warnings + _spread_warnings(spread, result.error_fit or 0.0, len(replicas)),
    )


def _pool(replicas: Sequence[MeanSquaredDisplacement]) -> MeanSquaredDisplacement:
    first = replicas[0]
    length = min(len(each.lags_ps) for each in replicas)
    intervals = [each.lags_ps[1] for each in replicas]
    if np.ptp(intervals) > 0.01 * np.mean(intervals):
        raise DataError(
            f"found replicas with frames {min(intervals):.4g} to {max(intervals):.4g} ps apart; expected one "
            "interval: analyse them one by one"
        )
    counts = np.array([each.num_atoms for each in replicas])
    tensor = np.tensordot(counts / counts.sum(), [each.tensor[:length] for each in replicas], (0, 0))
    drift = np.mean([each.drift_A for each in replicas], axis=0)
    return MeanSquaredDisplacement(
        first.species, first.lags_ps[:length], tensor, int(counts.sum()), drift, first.method
    )


def _spread_warnings(spread: float, fit: float, count: int) -> tuple[str, ...]:
    if spread > 2 * fit:
        return (
            "replicas differ by more than 2x of what their own errors allow: each is a sample of its own "
            "(another glass, another memory); the spread is quoted",
        )
    if count >= _FEWEST_FOR_SMALL_SPREAD and spread < fit / 2:
        return ("replicas differ by less than half of what their errors allow; the larger error is quoted",)
    return ()
