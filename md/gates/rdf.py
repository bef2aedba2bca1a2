"""The gate `rdf`: the structure of a run beside that of reference dynamics, pair by pair.

    error = integral |g - g_ref| dr / integral (g + g_ref) dr

Source: Schran et al. 2021 (10.1073/pnas.2110077118), whose score is one minus this.
"""

from dataclasses import dataclass, replace

import numpy as np

from md.analysis import Frames, RadialDistribution, compute_rdf
from mlip.deploy.gates import Check, GateResult
from mlip.errors import DataError
from mlip.report.panels import Panel

_NOISE_FACTOR = 2.0


@dataclass(frozen=True)
class RdfLimits:
    """How close is close enough.

    Attributes:
        error: Of each pair; where the halves of the reference differ by half as much or more, twice that.
        r_max_A: Largest distance.
        bin_width_A: Of the histogram.
    """

    error: float = 0.1
    r_max_A: float = 6.0
    bin_width_A: float = 0.1


def check_rdf(frames: Frames, reference: Frames, limits: RdfLimits) -> GateResult:
    """Compare the radial distributions of a run with those of reference dynamics.

    Args:
        frames: Of the potential.
        reference: Of the labeler, at the same temperature and density.
        limits: What is close enough.

    Raises:
        DataError: The two are of other species, or the reference has fewer than four frames.
    """
    if frames.species != reference.species or reference.num_frames < 4:
        raise DataError(
            f"found reference dynamics of {', '.join(reference.species)} with {reference.num_frames} frames; "
            f"expected {', '.join(frames.species)} and four frames or more"
        )
    half = reference.num_frames // 2
    settled = _part(frames, slice(frames.num_frames // 4, None))
    mine, theirs, early, late = (
        compute_rdf(each, r_max=limits.r_max_A, bin_width=limits.bin_width_A)
        for each in (
            settled,
            reference,
            _part(reference, slice(None, half)),
            _part(reference, slice(half, None)),
        )
    )
    checks, panels = [], []
    for pair, found in mine.items():
        noise = rdf_error(early[pair], late[pair])
        limit = max(limits.error, _NOISE_FACTOR * noise)
        checks.append(_check(pair, rdf_error(found, theirs[pair]), limit, reference))
        lines = {"reference": (found.r, theirs[pair].g), "potential": (found.r, found.g)}
        panels.append(Panel("-".join(pair), "distance (A)", "g(r)", lines))
    method = (
        f"g(r) to {limits.r_max_A:g} A of {settled.num_frames} frames, the last three quarters of the run, "
        f"and of {reference.num_frames} of the reference; integral of the difference over that of the sum"
    )
    return GateResult("rdf", tuple(checks), method, tuple(panels))


def rdf_error(one: RadialDistribution, other: RadialDistribution) -> float:
    """Share of two radial distributions in which they differ: 0 if they are the same, 1 without overlap."""
    together = np.sum(one.g + other.g)
    return float(np.sum(np.abs(one.g - other.g)) / together) if together > 0.0 else 0.0


def _check(pair: tuple[str, str], error: float, limit: float, reference: Frames) -> Check:
    name = "-".join(pair)
    where = "" if reference.temperature_K is None else f" at {reference.temperature_K:.0f} K"
    advice = f"{name} distances are not those of the reference: add frames of reference dynamics{where}"
    return Check(f"{name} g(r) error", error, "", limit, advice)


def _part(frames: Frames, chosen: slice) -> Frames:
    times = None if frames.times_ps is None else frames.times_ps[chosen]
    return replace(
        frames, fractional=frames.fractional[chosen], cells=frames.cells[chosen], times_ps=times, centers=None
    )
