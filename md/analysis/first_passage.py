"""Diffusion out of a layer, by the time until ions leave it for the first time."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from md.analysis.frames import Frames
from md.analysis.msd import require_interval
from md.analysis.paths import ReferenceFrame, find_reference, sum_over_paths
from md.analysis.planes import lattice_index, plane_distances
from md.analysis.regions import Region
from md.analysis.walker import compute_survival
from mlip.errors import DataError
from mlip.units import A2_PER_PS_IN_CM2_PER_S

_HORIZON_FRACTION, _FEWEST_LOOKS, _THINNEST_TO_HOP = 0.3, 3, 2.0
_FEWEST_PASSAGES, _FEWEST_IONS = 10, 2.0
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class FirstPassage:
    """Diffusivity normal to a layer, from ions that leave it.

    Attributes:
        species: symbol.
        value: D in cm^2/s; None where ions do not come far enough.
        error: its standard error, ions taken as independent; None for a bound.
        interval: 95 % confidence interval, cm^2/s; None for a bound.
        upper_bound: D is below this, cm^2/s; None where there is a value.
        mean_time_ps: mean time until ions leave, those that stay counted to the horizon.
        width_A: thickness of the layer.
        num_passages: times that ions left the layer.
        num_ions: effective number of ions that were in it.
        times_ps: times since the origin, shape (K,).
        survival: share of ions that have not left by then, shape (K,).
        expected: the same of ions spread evenly over it that diffuse with D, shape (K,); NaN for a bound.
        method: how value and error were found.
        warnings: why the number should be believed less.
    """

    species: str
    value: float | None
    error: float | None
    interval: tuple[float, float] | None
    upper_bound: float | None
    mean_time_ps: float
    width_A: float
    num_passages: float
    num_ions: float
    times_ps: np.ndarray
    survival: np.ndarray
    expected: np.ndarray
    method: str
    warnings: tuple[str, ...] = ()

    unit = "cm^2/s"


@dataclass(frozen=True)
class _Passages:
    """Sums over ions i of their squared distances a_i and numbers of looks b_i until they left.

    Attributes:
        a: sum of a_i, A^2; b, aa, ab, bb likewise of b_i, a_i^2, a_i b_i, b_i^2.
        num_passages: times that ions left.
        counts: origins, then those whose ion was first seen outside at look 1, 2, ..., shape (K,).
    """

    a: float
    b: float
    aa: float
    ab: float
    bb: float
    num_passages: float
    counts: np.ndarray


def estimate_first_passage(
    frames: Frames,
    species: str,
    region: Region,
    first_lag_ps: float,
    hop_distance_A: float,
    reference: ReferenceFrame | None = None,
) -> FirstPassage:
    """Estimate the diffusivity normal to a layer from the time until ions leave it.

    From every time origin an ion in the layer is followed until it is first seen outside, or to a horizon of
    30 % of the run. Both are stopping times of a random walk, so that <dz^2> = 2 D <time> between origin and
    stop holds exactly (Wald): no matter how far ions jump beyond the wall between two looks, where they
    begin, and how many have not left. With ever finer steps <time> is the mean first-passage time L^2 / 12 D
    of ions spread evenly over a layer of thickness L.

    Ions are looked at every `first_lag_ps`, so that rattling at a wall is no passage; distances are taken one
    frame after origin and stop, when the vibration that took an ion over the wall has passed.

    Args:
        frames: evenly spaced frames.
        species: symbol.
        region: the layer.
        first_lag_ps: lag from which motion is diffusive.
        hop_distance_A: site-to-site distance a, A.
        reference: what the layer rests in; by default the centre of mass of all atoms.

    Raises:
        DataError: The layer is too thin, the run too short, or no ions are in the layer.

    Source:
        Wald, Ann. Math. Stat. 15, 283 (1944), 10.1214/aoms/1177731235: second moment of a stopped sum;
        Redner, A Guide to First-Passage Processes (2001), chapter 2: times and survival.
    """
    interval_ps, column = require_interval(frames), lattice_index(region.axis)
    reference = reference or find_reference(frames)
    width_A = region.width * float(plane_distances(frames.cells, column).mean())
    if region.width >= 1 or width_A < _THINNEST_TO_HOP * hop_distance_A:
        raise DataError(
            f"found a layer {region.name} of {width_A:.1f} A; expected less than the cell, and at least "
            f"{_THINNEST_TO_HOP:g} site-to-site distances of {hop_distance_A:.1f} A, for ions to leave it"
        )
    stride = max(1, int(np.ceil(first_lag_ps / interval_ps - 1e-9)))
    looks = int(_HORIZON_FRACTION * frames.num_frames) // stride
    if looks < _FEWEST_LOOKS:
        raise DataError(
            f"found {frames.num_frames} frames where motion is diffusive from a lag of {stride} on; "
            "expected a run several times as long for first passages"
        )
    found = _collect(frames, species, region, stride, looks, reference)
    num_ions = found.b**2 / found.bb if found.bb else 0.0
    if num_ions < _FEWEST_IONS:
        raise DataError(f"found {num_ions:.1f} {species} in the layer {region.name}; expected at least two")
    return _estimate(found, species, region, width_A, stride * interval_ps, hop_distance_A, reference)


def _collect(
    frames: Frames, species: str, region: Region, stride: int, looks: int, reference: ReferenceFrame
) -> _Passages:
    inverse = np.linalg.inv(frames.mean_cell)[:, lattice_index(region.axis)]
    kernel = _passage_kernel(inverse, region, stride, looks)
    sums = sum_over_paths(frames, frames.select(species), reference, kernel)
    a, b, aa, ab, bb, num_passages = sums[:6].tolist()
    return _Passages(a, b, aa, ab, bb, num_passages, sums[6:])


def _passage_kernel(
    inverse: np.ndarray, region: Region, stride: int, looks: int
) -> Callable[[np.ndarray], np.ndarray]:
    """From paths to the sums of `_Passages`, one after the other."""
    length = np.linalg.norm(inverse)

    def measure(paths: np.ndarray) -> np.ndarray:
        heights = np.einsum("nat,a->nt", paths, inverse)
        inside = (heights - region.start) % 1.0 < region.width
        heights /= length
        num_origins = paths.shape[2] - looks * stride - 1
        per_ion, counts = np.zeros((2, len(paths))), np.zeros(looks + 1)
        for phase in range(min(stride, num_origins)):
            seen = inside[:, phase::stride]
            origins = np.arange(len(range(phase, num_origins, stride)))
            # first look at which an ion is outside, counted from the end backwards
            outside = np.where(seen, seen.shape[1], np.arange(seen.shape[1]))
            leaves = np.minimum.accumulate(outside[:, ::-1], axis=1)[:, ::-1][:, : len(origins)]
            stops = np.minimum(leaves, origins + looks)
            starts_in = seen[:, : len(origins)]
            after = np.take_along_axis(heights, phase + stops * stride + 1, axis=1)
            moved = after - heights[:, phase + 1 + origins * stride]
            waited = (stops - origins) * starts_in
            per_ion += np.array([(moved**2 * starts_in).sum(axis=1), waited.sum(axis=1)])
            is_out = starts_in & (leaves <= origins + looks)
            counts += np.bincount(waited[is_out], minlength=looks + 1)
            counts[0] += starts_in.sum()
        a, b = per_ion
        passages = (inside[:, :-stride] & ~inside[:, stride:]).sum() / stride
        return np.array([a.sum(), b.sum(), a @ a, a @ b, b @ b, passages, *counts])

    return measure


def _estimate(
    found: _Passages,
    species: str,
    region: Region,
    width_A: float,
    look_ps: float,
    hop_distance_A: float,
    reference: ReferenceFrame,
) -> FirstPassage:
    num_ions, num_origins = found.b**2 / found.bb, found.counts[0]
    ratio = found.a / found.b
    diffusivity = ratio / (2 * look_ps)
    spread = max(found.aa - 2 * ratio * found.ab + ratio**2 * found.bb, 0.0) * num_ions / (num_ions - 1)
    relative = float(np.sqrt(spread) / found.a) if found.a else np.inf
    factor = float(np.exp(student.ppf(0.5 + _CONFIDENCE / 2, num_ions - 1) * relative))
    is_known = bool(found.a / num_origins >= 0.5 * hop_distance_A**2)
    mean_time_ps = float(found.b / num_origins * look_ps)
    bound = max(0.5 * hop_distance_A**2 / (2 * mean_time_ps), diffusivity * factor)
    times = look_ps * np.arange(len(found.counts))
    unit = A2_PER_PS_IN_CM2_PER_S
    where = f"the layer {region.axis} = {region.start:g} to {region.end:g}"
    return FirstPassage(
        species=species,
        value=diffusivity * unit if is_known else None,
        error=relative * diffusivity * unit if is_known else None,
        interval=(diffusivity / factor * unit, diffusivity * factor * unit) if is_known else None,
        upper_bound=None if is_known else bound * unit,
        mean_time_ps=mean_time_ps,
        width_A=width_A,
        num_passages=found.num_passages,
        num_ions=num_ions,
        times_ps=times,
        survival=1 - np.concatenate([[0.0], np.cumsum(found.counts[1:])]) / num_origins,
        expected=compute_survival(times, diffusivity, width_A, look_ps)
        if is_known
        else np.full(len(times), np.nan),
        method=(
            f"<dz^2> / (2 <time>) of {species} until they are first seen outside {where}, looked at every "
            f"{look_ps:.3g} ps (Wald 1944); {reference.method}; error: between ions, interval by Student"
            if is_known
            else f"upper bound, the larger of 0.5 a^2 / (2 <time>) and the 95 % interval's end: {species} "
            f"come less far than 0.7 a until they are seen outside {where}, or within {times[-1]:.3g} ps"
        ),
        warnings=(
            (f"{species} leave the layer fewer than ten times",)
            if found.num_passages < _FEWEST_PASSAGES
            else ()
        ),
    )
