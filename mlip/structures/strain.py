"""Strained crystals and series of volumes: the cell is deformed, and the atoms go with it."""

from collections.abc import Iterator, Sequence

import numpy as np
from ase import Atoms
from ase.geometry import Cell
from numpy.typing import NDArray

from mlip.errors import ConfigError, DataError

_NO_STRAIN = 1e-9


def build_strained(
    parent: Atoms,
    *,
    hydrostatic_percent: Sequence[float] = (-9.0, 10.0),
    hydrostatic_count: int = 20,
    orthorhombic_percent: Sequence[float] = (-10.0, 10.0),
    orthorhombic_count: int = 21,
    monoclinic_percent: Sequence[float] = (-8.65, 8.65),
    monoclinic_count: int = 9,
    random_percent: float = 5.0,
    random_count: int = 10,
    seed: int = 0,
) -> Iterator[Atoms]:
    """Strain a crystal in four ways.

    Args:
        parent: A structure that is periodic in three directions.
        hydrostatic_percent: From and to: change of the volume, shape kept.
        hydrostatic_count: How many, evenly spaced; one without strain is left out, here and below.
        orthorhombic_percent: From and to: change of the length of the first lattice vector alone.
        orthorhombic_count: How many.
        monoclinic_percent: From and to: change of the angle between the first two vectors, volume kept.
        monoclinic_count: How many.
        random_percent: Bound of each component of a symmetric strain, uniform within it.
        random_count: How many.
        seed: Of the random strains.

    Yields:
        Structures of config_type `strained_hydrostatic`, `strained_orthorhombic`, `strained_monoclinic` and
        `strained_random`; but for the last, `strain_percent` says how much.

    Raises:
        ConfigError: A range or a count makes no sense.
        DataError: The parent has no volume.

    Source: ranges of Seth et al. 2025 (10.1021/acsmaterialsau.4c00117); what the numbers mean, of the cells
        that they published.
    """
    _require_volume(parent)
    ranges = {
        "hydrostatic": (hydrostatic_percent, hydrostatic_count),
        "orthorhombic": (orthorhombic_percent, orthorhombic_count),
        "monoclinic": (monoclinic_percent, monoclinic_count),
    }
    for kind, (limits, count) in ranges.items():
        for percent in _evenly(kind, limits, count):
            atoms = _deformed(parent, _STRAINS[kind](parent.cell, percent / 100.0))
            atoms.info |= {"config_type": f"strained_{kind}", "strain_percent": float(percent)}
            yield atoms
    random = np.random.default_rng(seed)
    for _ in range(random_count):
        strain = np.triu(random.uniform(-random_percent, random_percent, (3, 3))) / 100.0
        symmetric = strain + np.triu(strain, 1).T
        atoms = _deformed(parent, parent.cell.array @ (np.eye(3) + symmetric))
        atoms.info["config_type"] = "strained_random"
        yield atoms


def build_volumes(
    parent: Atoms, *, relative_volumes: Sequence[float] = (0.7, 1.5), count: int = 17
) -> Iterator[Atoms]:
    """Scale a structure to a series of volumes, for an equation of state.

    Args:
        parent: A structure that is periodic in three directions.
        relative_volumes: From and to, as shares of the parent's volume.
        count: How many, evenly spaced.

    Yields:
        Structures of config_type `volume`; `relative_volume` says which.

    Raises:
        ConfigError: The range makes no sense.
        DataError: The parent has no volume.
    """
    _require_volume(parent)
    if len(relative_volumes) != 2 or not 0 < relative_volumes[0] <= relative_volumes[1] or count < 1:
        raise ConfigError(
            f"found builder.relative_volumes={list(relative_volumes)}, builder.count={count}; expected "
            "[from, to] above zero, and one or more"
        )
    for share in np.linspace(relative_volumes[0], relative_volumes[1], count):
        atoms = _deformed(parent, parent.cell.array * share ** (1 / 3))
        atoms.info |= {"config_type": "volume", "relative_volume": float(share)}
        yield atoms


def _hydrostatic(cell: Cell, strain: float) -> NDArray[np.float64]:
    return cell.array * (1.0 + strain) ** (1 / 3)


def _orthorhombic(cell: Cell, strain: float) -> NDArray[np.float64]:
    return cell.array * np.array([[1.0 + strain], [1.0], [1.0]])


def _monoclinic(cell: Cell, strain: float) -> NDArray[np.float64]:
    """The second vector is turned in the plane of the first two, then all are scaled to the old volume."""
    first, second, third = cell.array
    along = first / np.linalg.norm(first)
    across = second - (second @ along) * along
    across /= np.linalg.norm(across)
    angle = np.arctan2(second @ across, second @ along) * (1.0 + strain)
    turned = np.linalg.norm(second) * (np.cos(angle) * along + np.sin(angle) * across)
    new = np.array([first, turned, third])
    return new * (cell.volume / abs(np.linalg.det(new))) ** (1 / 3)


_STRAINS = {"hydrostatic": _hydrostatic, "orthorhombic": _orthorhombic, "monoclinic": _monoclinic}


def _deformed(parent: Atoms, cell: NDArray[np.float64]) -> Atoms:
    atoms = parent.copy()
    atoms.set_cell(cell, scale_atoms=True)
    return atoms


def _evenly(kind: str, limits: Sequence[float], count: int) -> NDArray[np.float64]:
    """Strains in percent from one limit to the other, without the one that is none."""
    if len(limits) != 2 or not -100 < limits[0] <= limits[1] < 100:
        raise ConfigError(
            f"found builder.{kind}_percent={list(limits)}; expected [from, to] within -100 and 100"
        )
    strains = np.linspace(limits[0], limits[1], count)
    return strains[np.abs(strains) > _NO_STRAIN]


def _require_volume(parent: Atoms) -> None:
    if not parent.pbc.all() or parent.cell.volume == 0:
        raise DataError(
            f"found {parent.get_chemical_formula()}, not periodic in three directions; expected a crystal"
        )
