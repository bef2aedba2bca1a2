"""Perfect surroundings that real ones are compared with: fcc, hcp, bcc, simple cubic."""

from dataclasses import dataclass
from functools import cache
from itertools import permutations, product

import numpy as np

# pairs of directions closer to one line than this fix no orientation
_COLLINEAR = 0.99


@dataclass(frozen=True)
class Template:
    """Neighbors of an atom in a perfect lattice.

    Attributes:
        name: fcc, hcp, bcc or sc.
        points: the neighbors, then the atom itself, shape (k + 1, 3), about their centre, mean distance 1.
        starts: rotations from the standard orientation of two directions, shape (C, 3, 3), one for each way
            (up to the template's own symmetry) in which two neighbors can be those two.
    """

    name: str
    points: np.ndarray
    starts: np.ndarray

    @property
    def num_neighbors(self) -> int:
        """Neighbors k."""
        return len(self.points) - 1


@cache
def lattice_templates() -> tuple[Template, ...]:
    """The templates; 12 neighbors for fcc and hcp, 14 for bcc, 6 for simple cubic."""
    surroundings = {
        "fcc": _fcc(),
        "hcp": _hcp(),
        "bcc": _bcc(),
        "sc": np.concatenate([np.eye(3), -np.eye(3)]),
    }
    return tuple(_build(name, neighbors) for name, neighbors in surroundings.items())


def standard_triads(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Right-handed orthonormal axes that two directions define.

    Args:
        first: shape (..., 3).
        second: shape (..., 3), not along the first.

    Returns:
        Axes as rows, shape (..., 3, 3): the bisector, the normal to it in their plane, and that of the plane.
    """
    a = first / np.linalg.norm(first, axis=-1, keepdims=True)
    b = second / np.linalg.norm(second, axis=-1, keepdims=True)
    along = a + b
    along /= np.linalg.norm(along, axis=-1, keepdims=True)
    across = a - b
    across /= np.linalg.norm(across, axis=-1, keepdims=True)
    return np.stack([along, across, np.cross(along, across)], axis=-2)


def centre_and_scale(points: np.ndarray) -> np.ndarray:
    """Points about their centre, at a mean distance of 1 from it; shape (..., n, 3)."""
    centred = points - points.mean(axis=-2, keepdims=True)
    size = np.linalg.norm(centred, axis=-1).mean(axis=-1)
    return centred / size[..., None, None]


def _build(name: str, neighbors: np.ndarray) -> Template:
    points = centre_and_scale(np.concatenate([neighbors, np.zeros((1, 3))]))
    directions = neighbors / np.linalg.norm(neighbors, axis=1, keepdims=True)
    pairs = [
        (i, j)
        for i, j in permutations(range(len(neighbors)), 2)
        if abs(directions[i] @ directions[j]) < _COLLINEAR
    ]
    triads = np.array([standard_triads(neighbors[i], neighbors[j]) for i, j in pairs])
    symmetry = [
        turn
        for turn in (triad.T @ triads[0] for triad in triads)
        if np.linalg.norm((neighbors @ turn.T)[:, None] - neighbors[None], axis=2).min(axis=0).max() < 1e-6
    ]
    kept: list[np.ndarray] = []
    for triad in triads:
        if not any(np.allclose(other @ turn.T, triad, atol=1e-6) for other, turn in product(kept, symmetry)):
            kept.append(triad)
    return Template(name, points, np.array(kept))


def _fcc() -> np.ndarray:
    signs = np.array(list(product((1.0, -1.0), repeat=2)))
    zeros = np.zeros(4)
    a, b = signs.T
    return np.concatenate(
        [np.stack(columns, axis=1) for columns in ((a, b, zeros), (a, zeros, b), (zeros, a, b))]
    )


def _hcp() -> np.ndarray:
    angles = np.arange(6) * np.pi / 3
    plane = np.stack([np.cos(angles), np.sin(angles), np.zeros(6)], axis=1)
    tilted = np.pi / 6 + np.arange(3) * 2 * np.pi / 3
    above = np.stack([np.cos(tilted), np.sin(tilted), np.full(3, np.sqrt(2.0))], axis=1) / np.sqrt(3.0)
    return np.concatenate([plane, above, above * [1.0, 1.0, -1.0]])


def _bcc() -> np.ndarray:
    corners = np.array(list(product((1.0, -1.0), repeat=3)))
    return np.concatenate([corners, 2 * np.eye(3), -2 * np.eye(3)])
