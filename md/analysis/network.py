"""The covalent network of a frame: formers such as P and B, and the anions that are bonded to them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from md.analysis.chemistry import ANIONS, FORMERS, bond_limits, is_one_of
from md.analysis.pairs import find_pairs


@dataclass(frozen=True)
class Network:
    """Bonds of one frame.

    Attributes:
        numbers: atomic numbers, shape (N,).
        fractional: fractional coordinates, shape (N, 3).
        cell: lattice vectors as rows, shape (3, 3), A.
        formers: indices of the formers, shape (F,).
        anions: indices of the anions, shape (A,).
        former: former of each former-anion bond, shape (E,).
        anion: anion of each of these bonds, shape (E,).
        vectors: from the former to the anion, shape (E, 3), A.
        pairs: formers bonded to each other, each bond in both directions, shape (H, 2).
        pair_vectors: from the first to the second, shape (H, 3), A.
    """

    numbers: np.ndarray
    fractional: np.ndarray
    cell: np.ndarray
    formers: np.ndarray
    anions: np.ndarray
    former: np.ndarray
    anion: np.ndarray
    vectors: np.ndarray
    pairs: np.ndarray
    pair_vectors: np.ndarray

    @cached_property
    def coordination(self) -> np.ndarray:
        """Anions bonded to each atom, shape (N,); zero but for formers."""
        return np.bincount(self.former, minlength=len(self.numbers))

    @cached_property
    def sharing(self) -> np.ndarray:
        """Formers bonded to each atom, shape (N,); zero but for anions."""
        return np.bincount(self.anion, minlength=len(self.numbers))

    @cached_property
    def units(self) -> np.ndarray:
        """Index of the covalent unit that each atom belongs to, shape (N,); an atom alone is one."""
        rows = np.concatenate([self.former, self.pairs[:, 0]])
        columns = np.concatenate([self.anion, self.pairs[:, 1]])
        size = len(self.numbers)
        graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(size, size))
        return connected_components(graph, directed=False)[1]


def find_network(fractional: np.ndarray, cell: np.ndarray, numbers: np.ndarray) -> Network:
    """Find the bonds between formers and anions, and among formers.

    Args:
        fractional: fractional coordinates, shape (N, 3).
        cell: lattice vectors as rows, shape (3, 3), A.
        numbers: atomic numbers, shape (N,).
    """
    is_former, is_anion = is_one_of(numbers, FORMERS), is_one_of(numbers, ANIONS)
    members = np.flatnonzero(is_former | is_anion)
    elements = np.unique(numbers[members])
    reach = float(bond_limits(elements[:, None], elements[None, :]).max(initial=1.0))
    centre, neighbor, vector = find_pairs(fractional[members], cell, reach)
    centre, neighbor = members[centre], members[neighbor]
    near = np.linalg.norm(vector, axis=1) < bond_limits(numbers[centre], numbers[neighbor])
    to_anion = near & is_former[centre] & is_anion[neighbor]
    to_former = near & is_former[centre] & is_former[neighbor]
    return Network(
        numbers=numbers,
        fractional=fractional - np.floor(fractional),
        cell=cell,
        formers=np.flatnonzero(is_former),
        anions=np.flatnonzero(is_anion),
        former=centre[to_anion],
        anion=neighbor[to_anion],
        vectors=vector[to_anion],
        pairs=np.stack([centre[to_former], neighbor[to_former]], axis=1),
        pair_vectors=vector[to_former],
    )
