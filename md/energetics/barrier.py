"""What a path says: its barriers, and the curve of the energy along it."""

from dataclasses import dataclass

import numpy as np
from ase.utils.forcecurve import fit_raw
from numpy.typing import NDArray

from md.energetics.neb import EnergyPath

# An image this much below both of its neighbors is a minimum between the ends, eV.
_DIP_EV = 0.005


@dataclass(frozen=True)
class Barrier:
    """Energies along a path.

    Attributes:
        forward_eV, reverse_eV: From either end to the highest point, eV.
        reaction_eV: Energy of the final end less that of the initial one, eV.
        method: What the highest point is.
        coordinates_A: (M,) length of the path up to each image: straight lines in 3N dimensions, A.
        energies_eV: (M,) of the images from the initial one, eV.
        curve_A, curve_eV: A curve through them with the slopes of their forces.
        warnings: What to know before believing the numbers.
    """

    forward_eV: float
    reverse_eV: float
    reaction_eV: float
    method: str
    coordinates_A: NDArray[np.float64]
    energies_eV: NDArray[np.float64]
    curve_A: NDArray[np.float64]
    curve_eV: NDArray[np.float64]
    warnings: tuple[str, ...]


def compute_barrier(path: EnergyPath) -> Barrier:
    """Read the barriers off a path.

    With a climbing image it is the saddle point; else the highest point is that of the curve, a cubic between
    each two images with their energies and forces along the path.
    """
    fit = fit_raw(path.energies, path.forces, list(path.positions))
    energies = path.energies - path.energies[0]
    top = float(energies.max() if path.climbed else fit.fit_energies.max())
    return Barrier(
        forward_eV=top,
        reverse_eV=top - float(energies[-1]),
        reaction_eV=float(energies[-1]),
        method="climbing image" if path.climbed else "highest point of the curve through the images",
        coordinates_A=np.array(fit.path),
        energies_eV=energies,
        curve_A=fit.fit_path,
        curve_eV=fit.fit_energies,
        warnings=_warnings(path, energies),
    )


def _warnings(path: EnergyPath, energies: NDArray[np.float64]) -> tuple[str, ...]:
    found = []
    if not path.is_converged:
        found.append(
            f"The path has not converged, {path.residual_eV_A:.2g} eV/A are left: its barriers are not those "
            "of a minimum-energy path. Give more max_steps."
        )
    if energies[1:-1].max() <= max(energies[0], energies[-1]):
        found.append(
            "No image is higher than both ends: there is no barrier between them, or too few images."
        )
    dips = np.minimum(energies[:-2], energies[2:]) - energies[1:-1] > _DIP_EV
    if dips.any():
        image = int(np.flatnonzero(dips)[0]) + 1
        found.append(
            f"Image {image} lies in a minimum between the ends. The barrier is that of the whole path; for "
            "that of each part take this image as an end."
        )
    return tuple(found)
