"""Structure of one or several stretches: g(r) of all pairs, coordination of the bonded ones, density."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ase.data import atomic_numbers, covalent_radii

from md.analysis.averages import Average, compute_average
from md.analysis.coordination import Coordination, compute_coordination
from md.analysis.frames import Frames
from md.analysis.rdf import RadialDistribution, compute_rdf
from mlip.units import AMU_PER_A3_IN_G_PER_CM3

# a first shell within this many sums of covalent radii is a bond, or an ionic contact such as Li-S
_BONDED = 1.25


@dataclass(frozen=True)
class StretchStructure:
    """Structure of one stretch.

    Attributes:
        frames: the stretch.
        rdf: pair of symbols -> g(r).
        coordination: (centre, neighbor) -> coordination, for pairs whose first shell is a bond.
        density_g_cm3: mass density.
    """

    frames: Frames
    rdf: Mapping[tuple[str, str], RadialDistribution]
    coordination: Mapping[tuple[str, str], Coordination]
    density_g_cm3: Average


def analyze_structure(
    stretches: Sequence[Frames], r_max: float = 8.0, max_frames: int = 100
) -> tuple[StretchStructure, ...]:
    """Measure the structure of each stretch.

    Args:
        stretches: frames of each run or stage.
        r_max: largest distance of g(r), A.
        max_frames: at most so many frames of a stretch are used, evenly spread.
    """
    return tuple(_measure_stretch(frames, r_max, max_frames) for frames in stretches)


def _measure_stretch(frames: Frames, r_max: float, max_frames: int) -> StretchStructure:
    rdf = compute_rdf(frames, r_max=r_max, max_frames=max_frames)
    coordination = {}
    for pair, result in rdf.items():
        if result.first_minimum_A is None or not _is_bonded(result):
            continue
        for ordered in dict.fromkeys([pair, pair[::-1]]):
            coordination[ordered] = compute_coordination(frames, ordered, result.first_minimum_A, max_frames)
    density = compute_average(frames.density * AMU_PER_A3_IN_G_PER_CM3)
    return StretchStructure(frames, rdf, coordination, density)


def _is_bonded(rdf: RadialDistribution) -> bool:
    contact = sum(covalent_radii[atomic_numbers[symbol]] for symbol in rdf.pair)
    return rdf.first_peak_A is not None and rdf.first_peak_A < _BONDED * contact
