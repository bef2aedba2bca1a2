"""Rigid bodies in a periodic cell are moved and turned until no two atoms of different bodies overlap."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from mlip.data.neighbors import neighbor_list

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

# Pairs further apart than they may be by this much are not looked at before the next list, A.
_SKIN = 1.0
_STEPS_PER_LIST = 30
_MAX_LISTS = 80
# Overlaps that have not shrunk by a tenth after so many lists will not go.
_PATIENCE = 8


@dataclass(frozen=True)
class RigidBodies:
    """Groups of atoms that keep their shape.

    Attributes:
        arms: Each atom's position from the centre of its body, shape (N, 3), A.
        body: Which body each atom belongs to, shape (N,), from 0 without gaps.
        kind: Row and column of each atom in the table of least distances, shape (N,).
        centres: Positions of the bodies, shape (M, 3), A.
    """

    arms: Array
    body: Indices
    kind: Indices
    centres: Array

    @property
    def positions(self) -> Array:
        """Positions of the atoms, shape (N, 3), A; not wrapped."""
        return self.centres[self.body] + self.arms

    def moved(self, shifts: Array, turns: Array) -> "RigidBodies":
        """Each body shifted, and turned about its centre.

        Args:
            shifts: Shape (M, 3), A.
            turns: Rotation vectors, shape (M, 3), radian.
        """
        arms = rotate(self.arms, turns[self.body])
        return replace(self, arms=arms, centres=self.centres + shifts)


@dataclass(frozen=True)
class Contacts:
    """Pairs of atoms of different bodies, each pair once, and how close they may come.

    Attributes:
        first: Index of one atom, shape (E,).
        second: Index of the other, shape (E,).
        shift: Translation of the other, shape (E, 3), A.
        least: Least distance, shape (E,), A.
    """

    first: Indices
    second: Indices
    shift: Array
    least: Array

    def depths(self, positions: Array) -> tuple[Array, Array]:
        """By how much pairs are too close, shape (E,), A, and directions to the second, shape (E, 3)."""
        vectors = positions[self.second] + self.shift - positions[self.first]
        lengths = np.linalg.norm(vectors, axis=1)
        return self.least - lengths, vectors / np.maximum(lengths, 1e-9)[:, None]

    def energy(self, positions: Array) -> tuple[float, Array]:
        """Half the sum of squared overlaps, A^2, and its gradient, shape (N, 3), A."""
        depths, directions = self.depths(positions)
        depths = np.maximum(depths, 0.0)
        gradient = np.zeros_like(positions)
        for axis in range(3):
            pulls = depths * directions[:, axis]
            gradient[:, axis] = np.bincount(self.first, pulls, len(positions))
            gradient[:, axis] -= np.bincount(self.second, pulls, len(positions))
        return float(0.5 * np.sum(depths**2)), gradient


def find_contacts(bodies: RigidBodies, cell: Array, least: Array, skin: float) -> Contacts:
    """List the pairs of atoms of different bodies, or of a body and its image, that are close.

    Args:
        bodies: Where they are.
        cell: Lattice vectors, shape (3, 3), A.
        least: Least distance of each two kinds, shape (K, K), A.
        skin: How much further than `least` pairs are listed, A.
    """
    positions = bodies.positions
    (first, second), shift = neighbor_list(positions, cell, True, float(least.max()) + skin)
    # one of the two directions of a pair, and of an atom with its own image
    once = (first < second) | ((first == second) & (shift @ [1e6, 1e3, 1.0] > 0))
    apart = (bodies.body[first] != bodies.body[second]) | shift.any(axis=1)
    kept = once & apart
    first, second, shift = first[kept], second[kept], shift[kept]
    limits = least[bodies.kind[first], bodies.kind[second]]
    return Contacts(first, second, shift @ cell, limits)


def separate(bodies: RigidBodies, cell: Array, least: Array) -> tuple[RigidBodies, float]:
    """Remove overlaps: minimise sum_ij max(0, d_ij - r_ij)^2 / 2 over places and orientations by L-BFGS.

    Args:
        bodies: Where to begin.
        cell: Lattice vectors of a cell that is periodic in all directions, shape (3, 3), A.
        least: Least distance d_ij of each two kinds of atoms in different bodies, shape (K, K), A.

    Returns:
        The bodies, and the deepest overlap that is left, A.

    Source:
        L. Martinez et al., J. Comput. Chem. 30, 2157 (2009): the objective of packmol, but with a distance
        for each pair of elements and in cells of any angles.
    """
    deepest: list[float] = []
    while True:
        contacts = find_contacts(bodies, cell, least, _SKIN)
        deepest.append(float(contacts.depths(bodies.positions)[0].max(initial=0.0)))
        stuck = len(deepest) > _PATIENCE and deepest[-1] > 0.9 * deepest[-1 - _PATIENCE]
        if deepest[-1] == 0.0 or stuck or len(deepest) > _MAX_LISTS:
            return bodies, deepest[-1]
        bodies = _descend(bodies, contacts)


def _descend(bodies: RigidBodies, contacts: Contacts) -> RigidBodies:
    """Some steps of L-BFGS with one list of pairs; turns are measured from the orientations at its start."""
    number = len(bodies.centres)

    def objective(moves: Array) -> tuple[float, Array]:
        shifts, turns = moves.reshape(2, number, 3)
        moved = bodies.moved(shifts, turns)
        energy, gradient = contacts.energy(moved.positions)
        torques = _sum_bodies(np.cross(moved.arms, gradient), bodies.body, number)
        turning = np.einsum("mji,mj->mi", left_jacobian(turns), torques)
        return energy, np.concatenate([_sum_bodies(gradient, bodies.body, number), turning]).ravel()

    found = minimize(
        objective,
        np.zeros(6 * number),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": _STEPS_PER_LIST, "ftol": 0.0, "gtol": 0.0},
    )
    shifts, turns = found.x.reshape(2, number, 3)
    return bodies.moved(shifts, turns)


def rotate(vectors: Array, turns: Array) -> Array:
    """Rotate each vector by a rotation vector (Rodrigues' formula), shapes (N, 3)."""
    angle = np.linalg.norm(turns, axis=1, keepdims=True)
    once = np.cross(turns, vectors)
    twice = np.cross(turns, once)
    return vectors + np.sinc(angle / np.pi) * once + 0.5 * np.sinc(angle / (2 * np.pi)) ** 2 * twice


def left_jacobian(turns: Array) -> Array:
    """d(rotation) = left_jacobian d(turn): how rotation vectors change the orientation, shape (M, 3, 3).

    Args:
        turns: Rotation vectors, shape (M, 3), radian.

    Source:
        J. Sola, J. Deray, D. Atchuthan, arXiv:1812.01537, eq. 145.
    """
    x, y, z = turns.T
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)
    angle = np.linalg.norm(turns, axis=1)[:, None, None]
    small = angle < 1e-4
    safe = np.where(small, 1.0, angle)
    third = np.where(small, 1.0 / 6.0, (safe - np.sin(safe)) / safe**3)
    return np.eye(3) + 0.5 * np.sinc(angle / (2 * np.pi)) ** 2 * cross + third * cross @ cross


def _sum_bodies(values: Array, body: Indices, number: int) -> Array:
    return np.stack([np.bincount(body, values[:, axis], number) for axis in range(3)], axis=1)
