"""What the symmetry of a crystal makes of its sites: which one goes where."""

import numpy as np
import spglib
from ase import Atoms
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from mlip.errors import DataError

# An image of a site may miss it by this many tolerances: spglib's is one of operations, not of positions.
_SLACK = 5.0


def find_operations(atoms: Atoms, tolerance_A: float = 0.01) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Operations that map a crystal onto itself, translations within the cell among them.

    Args:
        atoms: The crystal.
        tolerance_A: How far atoms may be from where symmetry has them.

    Returns:
        Rotations (G, 3, 3) and translations (G, 3), both for columns of fractional coordinates.

    Raises:
        DataError: Atoms lie on top of each other, or there is no cell.
    """
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    try:
        found = spglib.get_symmetry(cell, symprec=tolerance_A)
    except spglib.SpglibError:
        found = None
    if found is None:
        raise DataError(
            f"found no symmetry of {atoms.get_chemical_formula()}, not even the identity; expected atoms "
            "that are apart, in a cell"
        )
    return found["rotations"].astype(np.int64), found["translations"]


def apply_operations(
    operations: tuple[NDArray[np.int64], NDArray[np.float64]], fractional: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Images of points (S, 3) under every operation, in the cell: (G, S, 3)."""
    rotations, translations = operations
    images = np.einsum("gij,sj->gsi", rotations, fractional) + translations[:, None]
    return wrap(images)


def wrap(fractional: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fractional coordinates from 0 up to, but never, 1."""
    wrapped = fractional % 1.0
    wrapped[wrapped >= 1.0] = 0.0  # of tiny negative numbers
    return wrapped


def permute_sites(
    atoms: Atoms,
    fractional: NDArray[np.float64],
    operations: tuple[NDArray[np.int64], NDArray[np.float64]],
    tolerance_A: float = 0.01,
) -> NDArray[np.int64]:
    """Where each operation takes each site.

    Args:
        atoms: The crystal whose cell it is.
        fractional: Sites (S, 3); a set that the operations map onto itself.
        operations: Of `find_operations`.
        tolerance_A: The one they were found with.

    Returns:
        (G, S): operation g takes site s to site [g, s].

    Raises:
        DataError: An image is no site.
    """
    tree = cKDTree(wrap(fractional), boxsize=1.0)
    images = apply_operations(operations, fractional)
    _, nearest = tree.query(images)
    missed = images - wrap(fractional)[nearest]
    missed_A = np.linalg.norm((missed - np.rint(missed)) @ atoms.cell.array, axis=-1)
    if missed_A.max() > _SLACK * tolerance_A:
        raise DataError(
            f"found sites that symmetry misses by {missed_A.max():.2g} A; expected a crystal whose symmetry "
            f"is clear at {tolerance_A} A: relax it, or give another builder.tolerance_A"
        )
    return nearest
