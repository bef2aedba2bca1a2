"""Domains: atoms of one kind that touch each other, and how large their groups are."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from md.analysis.pairs import find_pairs


@dataclass(frozen=True)
class Domains:
    """Groups of connected atoms of one kind in one frame.

    Attributes:
        value: mean size over atoms (a large domain counts for each of its atoms), 0 without any.
        sizes: atoms in each domain, the largest first, shape (D,).
        labels: domain of each atom, 0 the largest, -1 for atoms that are in none, shape (N,).
        cutoff_A: atoms closer than this touch.
        method: how they were found.
    """

    value: float
    sizes: np.ndarray
    labels: np.ndarray
    cutoff_A: float
    method: str

    unit = "atoms"


def find_domains(fractional: np.ndarray, cell: np.ndarray, is_member: np.ndarray, cutoff_A: float) -> Domains:
    """Find groups of atoms that touch, through periodic images.

    Args:
        fractional: fractional coordinates, shape (N, 3).
        cell: lattice vectors as rows, shape (3, 3), A.
        is_member: which atoms count, such as the crystalline ones, shape (N,).
        cutoff_A: atoms closer than this touch, A.
    """
    members = np.flatnonzero(is_member)
    method = f"connected atoms closer than {cutoff_A:.2f} A"
    labels = np.full(len(fractional), -1)
    if len(members) == 0:
        return Domains(0.0, np.zeros(0, dtype=np.int64), labels, cutoff_A, method)
    centre, neighbor, _ = find_pairs(fractional[members], cell, cutoff_A)
    graph = coo_array((np.ones(len(centre)), (centre, neighbor)), shape=(len(members), len(members)))
    count, group = connected_components(graph, directed=False)
    sizes = np.bincount(group, minlength=count)
    order = np.argsort(-sizes, kind="stable")
    rank = np.empty(count, dtype=np.int64)
    rank[order] = np.arange(count)
    labels[members] = rank[group]
    return Domains(float((sizes**2).sum() / sizes.sum()), sizes[order], labels, cutoff_A, method)
