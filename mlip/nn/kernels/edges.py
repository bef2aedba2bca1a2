"""Edges as an interaction reads them: sorted by centre, some of them sharing a row of weights."""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Edges(NamedTuple):
    """E edges of N atoms, and R rows of radial weights.

    Attributes:
        edge_index: (2, E) centre and neighbour.
        start: (N + 1,) first edge of each centre, where they are sorted; empty where nobody asks.
        weight_row: (E,) row of weights of each edge: of the edge that visits it first the row itself, of the
            reverse edge, which has the same length, its complement -1 - row.
        row_edge: (R,) the edge that each row is computed for.
    """

    edge_index: Tensor
    start: Tensor
    weight_row: Tensor
    row_edge: Tensor


class SeparateEdges(nn.Module):
    """Every edge has a row of weights of its own, in any order of edges.

    Args:
        may_share: Whether weights depend on the length of an edge alone, but for cutoffs of pairs of species,
            so that a faster back end may let an edge and its reverse share a row.
    """

    def __init__(self, may_share: bool) -> None:
        super().__init__()
        self.may_share = may_share

    def forward(self, edge_index: Tensor, edge_vec: Tensor, num_atoms: int) -> Edges:
        """Describe the edges (2, E) with vectors (E, 3)."""
        every = torch.arange(edge_index.shape[1], device=edge_index.device)
        return Edges(edge_index, every.narrow(0, 0, 0), every, every)
