"""Rings of the covalent network, by the number of formers in them."""

from collections import Counter
from itertools import combinations

import numpy as np

from md.analysis.census import Census, find_formers, take_census
from md.analysis.frames import Frames
from md.analysis.network import Network

LARGEST_RING = 12

# a former in one of the cells: its index, and the lattice translation
Site = tuple[int, int, int, int]
Neighbors = dict[int, list[Site]]


def compute_rings(frames: Frames, max_frames: int = 20) -> Census:
    """Count the rings of formers that anions (or bonds between formers) connect.

    A ring is a shortest closed way through two neighbors of a former. It closes in space, not through a
    periodic image. Each counts once. Rings of more than twelve formers are not looked for.

    Args:
        frames: the frames.
        max_frames: at most so many frames are used, evenly spread.

    Raises:
        DataError: There is nothing that covalent units form around.

    Source:
        King, Nature 213, 1112 (1967), 10.1038/2131112a0; all of several equally short ways are counted.
    """
    find_formers(frames)
    method = (
        f"shortest closed ways through two neighbors of a former (King 1967), up to {LARGEST_RING} formers"
    )
    return take_census(
        frames,
        "formers in a ring",
        lambda network: Counter({str(size): number for size, number in count_rings(network).items()}),
        method,
        max_frames,
    )


def count_rings(network: Network) -> Counter[int]:
    """Count the rings of one frame; number of formers -> number of rings."""
    neighbors = _former_graph(network)
    found: set[frozenset[Site]] = set()
    for start, around in neighbors.items():
        for first, second in combinations(around, 2):
            found.update(map(_at_home, _shortest_rings(neighbors, (start, 0, 0, 0), first, second)))
    return Counter(len(ring) for ring in found)


def _former_graph(network: Network) -> Neighbors:
    """Formers that each former is bonded to, directly or by an anion, with the translations to them."""
    by_anion: dict[int, list[tuple[int, np.ndarray]]] = {}
    for former, anion, vector in zip(network.former, network.anion, network.vectors, strict=True):
        by_anion.setdefault(int(anion), []).append((int(former), vector))
    links = [
        (first, second, to_anion - from_anion)
        for bonded in by_anion.values()
        for (first, to_anion), (second, from_anion) in combinations(bonded, 2)
    ]
    links += [(int(a), int(b), v) for (a, b), v in zip(network.pairs, network.pair_vectors, strict=True)]
    neighbors: dict[int, set[Site]] = {int(former): set() for former in network.formers}
    inverse = np.linalg.inv(network.cell)
    for first, second, vector in links:
        within = network.fractional[second] - network.fractional[first]
        x, y, z = (int(shift) for shift in np.round(vector @ inverse - within))
        neighbors[first].add((second, x, y, z))
        neighbors[second].add((first, -x, -y, -z))
    return {former: sorted(around) for former, around in neighbors.items()}


def _shortest_rings(neighbors: Neighbors, middle: Site, first: Site, second: Site) -> list[list[Site]]:
    """All rings through `first`, `middle` and `second` that are as short as any."""
    before: dict[Site, list[Site]] = {first: []}
    edge = [first]
    for _ in range(LARGEST_RING - 2):
        reached: dict[Site, list[Site]] = {}
        for site in edge:
            for other, x, y, z in neighbors[site[0]]:
                step = (other, site[1] + x, site[2] + y, site[3] + z)
                if step != middle and step not in before:
                    reached.setdefault(step, []).append(site)
        before |= reached
        if second in reached:
            return [[middle, *way] for way in _ways_back(before, second)]
        edge = list(reached)
    return []


def _ways_back(before: dict[Site, list[Site]], site: Site) -> list[list[Site]]:
    """All shortest ways from a site back to where the search began."""
    if not before[site]:
        return [[site]]
    return [[site, *way] for earlier in before[site] for way in _ways_back(before, earlier)]


def _at_home(ring: list[Site]) -> frozenset[Site]:
    """The ring moved by a translation, so that it is the same from wherever it was found."""
    _, x, y, z = min(ring)
    return frozenset((former, a - x, b - y, c - z) for former, a, b, c in ring)
