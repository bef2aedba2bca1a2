"""Ions and molecular units that glasses are packed of: shape, charge, size."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from mlip.errors import ConfigError

# Charge in e and ionic radius in A, six-fold but for the small network formers.
# Source: R. D. Shannon, Acta Crystallogr. A 32, 751 (1976).
IONS: dict[str, tuple[int, float]] = {
    "Li": (1, 0.76),
    "Na": (1, 1.02),
    "K": (1, 1.38),
    "Mg": (2, 0.72),
    "Zn": (2, 0.74),
    "Al": (3, 0.54),
    "B": (3, 0.25),
    "Si": (4, 0.26),
    "Ge": (4, 0.39),
    "P": (5, 0.17),
    "N": (-3, 1.46),
    "O": (-2, 1.40),
    "S": (-2, 1.84),
    "F": (-1, 1.33),
    "Cl": (-1, 1.81),
    "Br": (-1, 1.96),
    "I": (-1, 2.20),
}
# An anion by another name, for phosphorus is a cation elsewhere.
PHOSPHIDE = "P3-"
PHOSPHIDE_ION = (-3, 2.12)
NETWORK_FORMERS = ("B", "Si", "Ge", "P")

_TETRAHEDRAL = np.arccos(-1.0 / 3.0)


@dataclass(frozen=True)
class Unit:
    """A rigid group of atoms.

    Attributes:
        symbols: Elements.
        positions: From the first atom or the bridge, shape (n, 3), A.
        charge: In e.
    """

    symbols: tuple[str, ...]
    positions: NDArray[np.float64]
    charge: int


@cache
def unit_named(name: str) -> Unit:
    """A unit by name: a molecular one such as PS4, an ion such as Li, or P3-.

    Bond lengths are typical of crystals: Li3PO4 and Li3PS4 for the tetrahedra, Li4P2O7, Li7P3S11 and Li4P2S6
    for pairs of them, Li3BO3 and Li6B4O9 for borate.

    Args:
        name: One of `MOLECULES`, a symbol in `IONS`, or P3-.

    Returns:
        The unit, in an orientation of its own.

    Raises:
        ConfigError: There is no such unit.
    """
    if name in MOLECULES:
        return MOLECULES[name]
    if name == PHOSPHIDE:
        return Unit(("P",), np.zeros((1, 3)), PHOSPHIDE_ION[0])
    if name in IONS:
        return Unit((name,), np.zeros((1, 3)), IONS[name][0])
    raise ConfigError(
        f"found the unit {name}; expected {', '.join(MOLECULES)}, {PHOSPHIDE} or an ion of {', '.join(IONS)}"
    )


def _tetrahedron(former: str, corners: Sequence[str], lengths: Sequence[float], charge: int) -> Unit:
    directions = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3.0)
    arms = directions * np.asarray(lengths)[:, None]
    return Unit((former, *corners), np.vstack([np.zeros(3), arms]), charge)


def _triangle(former: str, corner: str, length: float, charge: int) -> Unit:
    angles = np.deg2rad([0.0, 120.0, 240.0])
    arms = length * np.stack([np.cos(angles), np.sin(angles), np.zeros(3)], axis=1)
    return Unit((former, *[corner] * 3), np.vstack([np.zeros(3), arms]), charge)


def _arms(axis: NDArray[np.float64], away: NDArray[np.float64], length: float) -> NDArray[np.float64]:
    """Three bonds, shape (3, 3), that complete a tetrahedron whose fourth points against `axis`."""
    side = np.cross(axis, away)
    angles = np.deg2rad([0.0, 120.0, 240.0])[:, None]
    around = np.cos(angles) * away + np.sin(angles) * side
    return length * (-np.cos(_TETRAHEDRAL) * axis + np.sin(_TETRAHEDRAL) * around)


def _shared_corner(bridge: str, corner: str, terminal_A: float, bridge_A: float, angle_deg: float) -> Unit:
    """Two tetrahedra of phosphorus with a common corner, mirror images of each other."""
    half = np.deg2rad(angle_deg) / 2
    centres, corners = [], []
    for side in (1.0, -1.0):
        axis = np.array([side * np.sin(half), 0.0, np.cos(half)])
        away = np.array([side * np.cos(half), 0.0, -np.sin(half)])
        centres.append(bridge_A * axis)
        corners.append(bridge_A * axis + _arms(axis, away, terminal_A))
    positions = np.vstack([np.zeros(3), *centres, *corners])
    charge = 2 * 5 + IONS[bridge][0] + 6 * IONS[corner][0]
    return Unit((bridge, "P", "P", *[corner] * 6), positions, charge)


def _ethane_like(corner: str, terminal_A: float, bond_A: float, charge: int) -> Unit:
    """Two phosphorus atoms in a bond, three corners each, staggered."""
    up, away = np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0])
    top = bond_A / 2 * up
    positions = np.vstack(
        [top, -top, top + _arms(up, away, terminal_A), -top + _arms(-up, -away, terminal_A)]
    )
    return Unit(("P", "P", *[corner] * 6), positions, charge)


MOLECULES: dict[str, Unit] = {
    "PO4": _tetrahedron("P", "OOOO", [1.54] * 4, -3),
    "PO3N": _tetrahedron("P", "OOON", [1.56] * 3 + [1.62], -4),
    "P2O7": _shared_corner("O", "O", 1.52, 1.60, 130.0),
    "P2O6N": _shared_corner("N", "O", 1.53, 1.60, 125.0),
    "PS4": _tetrahedron("P", "SSSS", [2.05] * 4, -3),
    "P2S6": _ethane_like("S", 2.02, 2.25, -4),
    "P2S7": _shared_corner("S", "S", 2.02, 2.12, 110.0),
    "BO3": _triangle("B", "O", 1.37, -3),
    "BO4": _tetrahedron("B", "OOOO", [1.47] * 4, -5),
}
