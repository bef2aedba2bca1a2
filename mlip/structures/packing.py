"""Glasses: ions and molecular units packed at random at a density, for a melt and quench to begin from."""

import logging
from collections.abc import Mapping
from itertools import combinations_with_replacement

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers, covalent_radii
from numpy.typing import ArrayLike, NDArray

from mlip.errors import ConfigError, DataError
from mlip.structures.composition import require_neutral
from mlip.structures.rigid_bodies import RigidBodies, rotate, separate
from mlip.structures.molecules import IONS, PHOSPHIDE, PHOSPHIDE_ION, unit_named

logger = logging.getLogger(__name__)

GRAMS_PER_AMU = 1.66053906660e-24
# Of the sum of two ionic radii; two cations of any kind stay this far from each other, A.
_CLOSEST = 0.85
_CATIONS_APART = 2.5
# Distances are met with this much to spare, relative, so that nothing rounds across them.
_MARGIN = 1.002
_ATTEMPTS = 3


def pack_units(
    counts: Mapping[str, int],
    density_g_cm3: float,
    seed: int,
    in_plane: ArrayLike | None = None,
    min_distances: Mapping[str, float] | None = None,
) -> Atoms:
    """Pack ions and molecular units at random so that none are too close, also through the boundaries.

    Args:
        counts: Unit (`mlip.structures.molecules`) -> number; neutral together.
        density_g_cm3: Mass over volume, g/cm^3.
        seed: The same seed gives the same structure.
        in_plane: The first two lattice vectors, shape (2, 2), A; the third is normal to them and as long as
            the density wants. A cube by default.
        min_distances: Pair such as Li-Li -> least distance of two such atoms in different units, A, instead
            of what `least_distances` takes from ionic radii.

    Returns:
        The structure, sorted by unit, wrapped, periodic in all directions.

    Raises:
        ConfigError: Units are unknown or charged together, or numbers make no sense.
        DataError: No packing without overlap was found.
    """
    require_neutral(counts)
    names = [name for name, number in counts.items() for _ in range(number)]
    if not names or density_g_cm3 <= 0:
        raise ConfigError(f"found {len(names)} units at {density_g_cm3:g} g/cm3; expected some of each")
    symbols = [symbol for name in names for symbol in unit_named(name).symbols]
    cell = _cell_of(symbols, density_g_cm3, in_plane)
    elements = sorted(set(symbols))
    least = least_distances(names, min_distances or {})
    table = np.array([[least["-".join(sorted((a, b)))] for b in elements] for a in elements])
    kind = np.array([elements.index(symbol) for symbol in symbols])
    rng = np.random.default_rng(seed)
    for _ in range(_ATTEMPTS):
        bodies, overlap = separate(_throw(names, kind, cell, rng), cell, table * _MARGIN)
        if overlap <= (_MARGIN - 1) * table.min():
            atoms = Atoms(symbols, bodies.positions, cell=cell, pbc=True)
            atoms.wrap()
            return atoms
        logger.info("a packing still overlaps by %.2f A: thrown again", overlap)
    raise DataError(
        f"found no packing of {len(symbols)} atoms at {density_g_cm3:g} g/cm3: some are {overlap:.2f} A "
        "closer than they may be; expected room for them: lower the density or min_distances"
    )


def closest_contact(first: str, second: str, phosphide: bool = False) -> float:
    """How close two ions may come that are not bonded, A.

    0.85 of the sum of ionic radii for two anions, or an anion and a cation; 2.5 A for two cations. An element
    without ions in `mlip.structures.molecules` is a cation of its covalent radius.

    Args:
        first: Symbol of an element.
        second: Symbol of the other.
        phosphide: Phosphorus is an anion here.
    """
    charges, radii = zip(*(_ion(symbol, phosphide) for symbol in (first, second)), strict=True)
    return _CATIONS_APART if min(charges) > 0 else _CLOSEST * sum(radii)


def _ion(symbol: str, phosphide: bool) -> tuple[int, float]:
    if symbol == "P" and phosphide:
        return PHOSPHIDE_ION
    return IONS.get(symbol, (1, float(covalent_radii[atomic_numbers[symbol]])))


def least_distances(names: list[str], given: Mapping[str, float]) -> dict[str, float]:
    """How close atoms of different units may come.

    Args:
        names: The units that are packed.
        given: Pair such as Li-Li -> distance, A, that is taken instead.

    Returns:
        Pair in alphabetical order -> least distance, A.

    Raises:
        ConfigError: A given pair is not in the structure.
    """
    symbols = sorted({symbol for name in names for symbol in unit_named(name).symbols})
    phosphide = PHOSPHIDE in names
    least = {
        f"{a}-{b}": closest_contact(a, b, phosphide) for a, b in combinations_with_replacement(symbols, 2)
    }
    for pair, distance in given.items():
        ordered = "-".join(sorted(pair.split("-")))
        if ordered not in least or distance <= 0:
            raise ConfigError(
                f"found min_distances {pair}: {distance:g}; expected a length for one of {', '.join(least)}"
            )
        least[ordered] = float(distance)
    return least


def _cell_of(symbols: list[str], density_g_cm3: float, in_plane: ArrayLike | None) -> NDArray[np.float64]:
    """A cell of the volume that the density asks for, shape (3, 3), A."""
    mass = sum(atomic_masses[atomic_numbers[symbol]] for symbol in symbols)
    volume = mass * GRAMS_PER_AMU / density_g_cm3 * 1e24
    if in_plane is None:
        return np.eye(3) * np.cbrt(volume)
    plane = np.asarray(in_plane, dtype=float)
    area = abs(np.linalg.det(plane)) if plane.shape == (2, 2) else 0.0
    if area <= 0:
        raise ConfigError(
            f"found in_plane={plane.tolist()}; expected two vectors of two components that span a plane"
        )
    cell = np.zeros((3, 3))
    cell[:2, :2], cell[2, 2] = plane, volume / area
    return cell


def _throw(
    names: list[str], kind: NDArray[np.int64], cell: NDArray[np.float64], rng: np.random.Generator
) -> RigidBodies:
    """Units anywhere in the cell in any orientation."""
    units = [unit_named(name) for name in names]
    arms = np.concatenate([unit.positions - unit.positions.mean(axis=0) for unit in units])
    body = np.repeat(np.arange(len(units)), [len(unit.symbols) for unit in units])
    axes = rng.normal(size=(len(units), 4))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)  # a random quaternion is a random rotation
    half = np.arccos(np.clip(axes[:, :1], -1.0, 1.0))
    turns = 2 * half * axes[:, 1:] / np.maximum(np.sin(half), 1e-12)
    return RigidBodies(rotate(arms, turns[body]), body, kind, rng.random((len(units), 3)) @ cell)
