"""The equilibrium shape of a crystal: of given volume the one with the least surface energy.

It is what the half spaces r . n <= g(n) of all planes have in common (Wulff 1901; Herring 1951). Planes that
the point group of the crystal makes equal have the same g; (hkl) and (-h-k-l) have it, too, for a slab has
both sides. pymatgen's `WulffShape` takes the point group of the lattice in place of the crystal's: the same
where they agree, too many facets in crystals such as zinc blende or quartz.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, HalfspaceIntersection, QhullError

from mlip.errors import DataError
from mlip.structures.symmetry import find_operations

Plane = tuple[int, int, int]
Numbers = NDArray[np.float64]

_SYMMETRY_A = 0.01
_SAME = 1e-8


@dataclass(frozen=True)
class Facet:
    """A face of the shape.

    Attributes:
        plane: Miller indices, of the set that symmetry makes equal.
        normal: (3,) unit vector outwards.
        corners: (C, 3) in order around the face, in units of g.
        area: In units of g squared.
    """

    plane: Plane
    normal: Numbers
    corners: Numbers
    area: float


@dataclass(frozen=True)
class WulffShape:
    """The shape.

    Attributes:
        facets: Those that show.
        shares: Plane -> its share of the surface; zero for those that do not show.
        surface_energy: Mean over the surface, in the unit of those given.
        anisotropy: Standard deviation of the surface energy over the surface, by its mean.
        shape_factor: Surface by volume^(2/3): 4.836 of a sphere, 6 of a cube.
    """

    facets: list[Facet]
    shares: dict[Plane, float]
    surface_energy: float
    anisotropy: float
    shape_factor: float


def build_wulff_shape(crystal: Atoms, surface_energies: Mapping[Plane, float]) -> WulffShape:
    """Build the shape.

    Args:
        crystal: Miller indices are those of its cell.
        surface_energies: Plane -> energy per area, above zero, any unit.

    Raises:
        DataError: Planes do not close around a volume, or an energy is not above zero.
    """
    if not surface_energies or min(surface_energies.values()) <= 0:
        raise DataError(
            f"found surface energies {dict(surface_energies)}; expected some, all above zero: a crystal "
            "whose surfaces win energy has no shape"
        )
    normals, energies, planes = _all_planes(crystal, surface_energies)
    try:
        corners = HalfspaceIntersection(np.column_stack([normals, -energies]), np.zeros(3)).intersections
        hull = ConvexHull(corners)
    except QhullError:
        raise DataError(
            f"found planes {list(surface_energies)}, which do not close around a volume; expected more: a "
            "larger energetics.max_index"
        ) from None
    facets = [
        facet
        for normal, energy, plane in zip(normals, energies, planes, strict=True)
        if (
            facet := _facet(
                plane, normal, corners[np.abs(corners @ normal - energy) < _SAME * energy + 1e-12]
            )
        )
    ]
    return _describe(facets, surface_energies, hull.volume)


def _all_planes(
    crystal: Atoms, surface_energies: Mapping[Plane, float]
) -> tuple[Numbers, Numbers, list[Plane]]:
    """Unit normals (P, 3), energies (P,), and the plane that was given, of every image of every plane."""
    rotations, _ = find_operations(crystal, _SYMMETRY_A)
    reciprocal = np.linalg.inv(crystal.cell.array).T
    normals, energies, planes = [], [], []
    for plane, energy in surface_energies.items():
        images = np.array(plane) @ rotations
        for image in np.unique(np.concatenate([images, -images]), axis=0):
            normal = image @ reciprocal
            normals.append(normal / np.linalg.norm(normal))
            energies.append(energy)
            planes.append(plane)
    return np.array(normals), np.array(energies), planes


def _facet(plane: Plane, normal: Numbers, corners: Numbers) -> Facet | None:
    """The face with these corners, in any order; None if they are fewer than three."""
    corners = np.unique(np.round(corners, 10), axis=0)
    if len(corners) < 3:
        return None
    along = corners[1] - corners[0]
    along /= np.linalg.norm(along)
    flat = (corners - corners.mean(axis=0)) @ np.array([along, np.cross(normal, along)]).T
    order = np.argsort(np.arctan2(flat[:, 1], flat[:, 0]))
    x, y = flat[order].T
    area = 0.5 * abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))
    return Facet(plane, normal, corners[order], area) if area > _SAME else None


def _describe(facets: list[Facet], surface_energies: Mapping[Plane, float], volume: float) -> WulffShape:
    areas = np.array([facet.area for facet in facets])
    energies = np.array([surface_energies[facet.plane] for facet in facets])
    weights = areas / areas.sum()
    mean = float(weights @ energies)
    shares = {
        plane: float(sum(w for w, facet in zip(weights, facets, strict=True) if facet.plane == plane))
        for plane in surface_energies
    }
    spread = float(np.sqrt(weights @ (energies - mean) ** 2))
    return WulffShape(facets, shares, mean, spread / mean, float(areas.sum()) / volume ** (2 / 3))
