"""How many formers each anion is bonded to: free, terminal (apical Na), bridging (Nd), triple (Nt)."""

from collections import Counter

import numpy as np
from ase.data import atomic_numbers

from md.analysis.census import Census, take_census
from md.analysis.frames import Frames
from md.analysis.network import Network

_NAMES = ("free", "terminal", "bridging", "triple")
_NITROGEN = ("free", "Na", "Nd", "Nt")


def compute_anion_sites(frames: Frames, anion: str, max_frames: int = 100) -> Census:
    """Count the atoms of an anion by the number of formers they are bonded to.

    Args:
        frames: the frames.
        anion: symbol, such as N, O or S.
        max_frames: at most so many frames are used, evenly spread.

    Raises:
        DataError: There is no such atom.

    Source:
        Names of nitrogen in Seth, Kulkarni, Sai Gautam 2025 (LiPON): apical Na has one P, double Nd two,
        triple Nt three.
    """
    frames.select(anion)
    return take_census(
        frames,
        f"sites of {anion}",
        lambda network: count_anion_sites(network, anion),
        f"formers bonded to each {anion}",
        max_frames,
    )


def count_anion_sites(network: Network, anion: str) -> Counter[str]:
    """Count the atoms of an anion in one frame by their number of formers; name -> number."""
    formers = network.sharing[network.numbers == atomic_numbers[anion]]
    names = _NITROGEN if anion == "N" else _NAMES
    numbers = np.bincount(np.minimum(formers, len(names) - 1), minlength=len(names))
    return Counter({name: int(number) for name, number in zip(names, numbers, strict=True)})
