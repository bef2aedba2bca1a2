"""Random interactions and random graphs, for the tests of compiled kernels."""

from dataclasses import dataclass

import torch
from e3nn import o3
from torch import Tensor

from mlip.nn.kernels.edges import Edges


@dataclass(frozen=True)
class Irreps:
    """What an interaction maps: features times harmonics up to l_max to what is wanted of it."""

    features: str
    l_max: int
    wanted: str

    @property
    def parts(self) -> tuple[o3.Irreps, o3.Irreps, o3.Irreps]:
        """Features, harmonics, wanted: arguments of `EdgeTensorProduct`."""
        harmonics = o3.Irreps.spherical_harmonics(self.l_max)
        return o3.Irreps(self.features), harmonics, o3.Irreps(self.wanted)


def random_irreps(seed: int) -> Irreps:
    """Multiplicities from 1 to 33 that differ from l to l, with or without both parities, l up to 2."""
    generator = torch.Generator().manual_seed(seed)

    def choose(options):
        return options[int(torch.randint(len(options), (1,), generator=generator))]

    l_max = choose([0, 1, 2])
    parity = choose([True, False])
    kinds = [f"{degree}{p}" for degree in range(l_max + 1) for p in ("eo" if parity else "eo"[degree % 2])]
    taken = [kind for kind in kinds if choose([True, True, False])] or ["0e"]
    features = "+".join(f"{choose([1, 3, 5, 16, 17, 33])}x{kind}" for kind in taken)
    return Irreps(features, choose([0, 1, 2]), "+".join(f"1x{kind}" for kind in kinds))


def pair_graph(
    seed: int, num_atoms: int, num_pairs: int, lonely: int = 0, directed: bool = False
) -> tuple[Tensor, Tensor]:
    """Random edges, sorted by centre, and their vectors; any pair of atoms may have many, an atom itself too.

    Args:
        seed: Of the random numbers.
        num_atoms: Atoms.
        num_pairs: Pairs; each is two edges, there and back.
        lonely: How many of the atoms have no neighbours.
        directed: Leave out edges at random, so that not every edge has its reverse.

    Returns:
        edge_index (2, E) and edge_vec (E, 3).
    """
    generator = torch.Generator().manual_seed(seed)
    atoms = torch.randperm(num_atoms, generator=generator)[lonely:]
    i, j = (atoms[torch.randint(len(atoms), (num_pairs,), generator=generator)] for _ in range(2))
    vec = torch.randn(num_pairs, 3, dtype=torch.float64, generator=generator)
    centre, neighbor = torch.cat([i, j]), torch.cat([j, i])
    shuffled = torch.randperm(2 * num_pairs, generator=generator)
    if directed:
        shuffled = shuffled[: len(shuffled) * 2 // 3]
    order = shuffled[torch.argsort(centre[shuffled], stable=True)]
    return torch.stack([centre[order], neighbor[order]]), torch.cat([vec, -vec])[order]


NO_EDGES = (torch.zeros(2, 0, dtype=torch.int64), torch.zeros(0, 3, dtype=torch.float64))
# Number of atoms, edge_index, edge_vec.
GRAPHS = {
    "molecule": (7, *pair_graph(1, 7, 15)),
    "atoms without neighbours": (9, *pair_graph(2, 9, 12, lonely=4)),
    "images of itself": (1, *pair_graph(3, 1, 4)),
    "many edges of one pair": (2, *pair_graph(4, 2, 12)),
    "one way only": (6, *pair_graph(5, 6, 14, directed=True)),
    "no edges": (3, *NO_EDGES),
    "no atoms": (0, *NO_EDGES),
}
# Thousands of edges: several vectors, many chunks of centres.
LARGE = (150, *pair_graph(6, 150, 3000, lonely=20))


def separate_rows(edges: Edges) -> Edges:
    """The same edges with a row of weights each, as the reference takes them."""
    every = torch.arange(edges.edge_index.shape[1])
    return Edges(edges.edge_index, edges.start, every, every)


def row_of_edge(edges: Edges) -> Tensor:
    """(E,) the row of weights of each edge, without the mark of who visits it first."""
    return torch.where(edges.weight_row >= 0, edges.weight_row, -1 - edges.weight_row)
