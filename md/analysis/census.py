"""How many of what there are, frame by frame: the form that counts of units, sites and rings come in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from md.analysis.averages import Average, compute_average
from md.analysis.chemistry import FORMERS
from md.analysis.frames import Frames
from md.analysis.network import Network, find_network
from md.analysis.pairs import map_frames, spread_frames
from mlip.errors import DataError


@dataclass(frozen=True)
class Census:
    """Kinds of something and how many of each there were.

    Attributes:
        subject: what is counted, such as "polyhedra around P".
        counts: kind -> number in each frame used, shape (T,).
        times_ps: times of these frames, shape (T,), or None.
        method: how it was counted.
    """

    subject: str
    counts: Mapping[str, np.ndarray]
    times_ps: np.ndarray | None
    method: str

    @property
    def totals(self) -> np.ndarray:
        """All kinds together in each frame, shape (T,)."""
        return np.sum(list(self.counts.values()), axis=0)

    def shares(self) -> dict[str, Average]:
        """Time average of the share of each kind in all, the largest first; empty where there is nothing."""
        if not self.counts or not self.totals.all():
            return {}
        found = {kind: compute_average(count / self.totals) for kind, count in self.counts.items()}
        return dict(sorted(found.items(), key=lambda item: -item[1].value))


def take_census(
    frames: Frames,
    subject: str,
    count: Callable[[Network], Mapping[str, int]],
    method: str,
    max_frames: int = 100,
) -> Census:
    """Count kinds in the covalent network of each frame.

    Args:
        frames: the frames.
        subject: what is counted.
        count: from the network of a frame to the number of each kind.
        method: how it is counted.
        max_frames: at most so many frames are used, evenly spread.
    """
    found = map_frames(
        frames,
        lambda fractional, cell: count(find_network(fractional, cell, frames.numbers)),
        max_frames,
    )
    kinds = sorted({kind for each in found for kind in each})
    chosen = spread_frames(frames.num_frames, max_frames)
    return Census(
        subject=subject,
        counts={kind: np.array([each.get(kind, 0) for each in found]) for kind in kinds},
        times_ps=None if frames.times_ps is None else frames.times_ps[chosen],
        method=f"{method}; bonds up to 1.3 sums of covalent radii; {len(found)} frames",
    )


def find_formers(frames: Frames) -> list[str]:
    """Symbols of the elements in the frames that covalent units form around.

    Raises:
        DataError: There are none.
    """
    present = [symbol for symbol in frames.species if symbol in FORMERS]
    if not present:
        raise DataError(
            f"found {', '.join(frames.species)}; expected an element that covalent units form around: "
            f"{', '.join(FORMERS)}"
        )
    return present
