"""Q^n species: formers by how many of their anions bridge to another former."""

from collections import Counter

import numpy as np
from ase.data import atomic_numbers

from md.analysis.census import Census, take_census
from md.analysis.frames import Frames
from md.analysis.network import Network


def compute_connectivity(frames: Frames, former: str, max_frames: int = 100) -> Census:
    """Count the formers of one element as Q0, Q1, ... by their number of bridging anions.

    Args:
        frames: the frames.
        former: symbol, such as P or B.
        max_frames: at most so many frames are used, evenly spread.

    Raises:
        DataError: There is no such atom.

    Source:
        Lippmaa et al., J. Am. Chem. Soc. 102, 4889 (1980), 10.1021/ja00535a008.
    """
    frames.select(former)
    return take_census(
        frames,
        f"Qn of {former}",
        lambda network: count_connectivity(network, former),
        f"anions of each {former} that another former holds, too",
        max_frames,
    )


def count_connectivity(network: Network, former: str) -> Counter[str]:
    """Count the Q^n species of one frame; name -> number."""
    is_bridge = network.sharing[network.anion] > 1
    bridges = np.bincount(network.former[is_bridge], minlength=len(network.numbers))
    numbers = np.bincount(bridges[network.numbers == atomic_numbers[former]])
    return Counter({f"Q{n}": int(number) for n, number in enumerate(numbers) if number})
