"""The two ends of a path: whether they belong together, and a first guess of what lies between them."""

import logging

import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms
from ase.geometry import find_mic
from ase.mep import NEB
from numpy.typing import NDArray

from mlip.errors import DataError

logger = logging.getLogger(__name__)

INTERPOLATIONS = ("idpp", "linear")
_SAME_CELL_A = 1e-4
# Ends that are closer are one structure; an atom that goes further than a hop perhaps changed its number.
_SAME_PLACE_A, _LONG_WAY_A = 0.05, 6.0


def match_ends(initial: Atoms, final: Atoms) -> Atoms:
    """The final structure with each atom at the periodic image that is next to where it started.

    Raises:
        DataError: The two are not the same atoms, in the same order, in the same cell.
    """
    if len(initial) != len(final):
        raise DataError(f"found {len(initial)} atoms in initial and {len(final)} in final; expected the same")
    different = np.flatnonzero(initial.numbers != final.numbers)
    if len(different):
        k = int(different[0])
        raise DataError(
            f"atom {k} is {initial.symbols[k]} in initial and {final.symbols[k]} in final; expected the same "
            "atoms in the same order"
        )
    if np.any(initial.pbc != final.pbc) or np.abs(initial.cell.array - final.cell.array).max() > _SAME_CELL_A:
        raise DataError(
            "found different cells or periodic directions in initial and final; expected the same: relax the "
            "cell of one, and put the atoms of the other into it"
        )
    matched = initial.copy()
    matched.positions += find_mic(final.positions - initial.positions, initial.cell, initial.pbc)[0]
    return matched


def require_distinct(initial: NDArray[np.float64], final: NDArray[np.float64], symbols: list[str]) -> None:
    """Say in the log which atom goes furthest.

    Args:
        initial: Positions, shape (N, 3), A.
        final: Positions, shape (N, 3), A.
        symbols: Chemical symbol of each atom.

    Raises:
        DataError: The ends are one and the same structure.
    """
    ways = np.linalg.norm(final - initial, axis=1)
    atom = int(np.argmax(ways))
    if ways[atom] < _SAME_PLACE_A:
        raise DataError(
            f"initial and final are one minimum: no atom is further than {ways[atom]:.3f} A from where it "
            "was; expected two (relax_ends may have taken one to the other)"
        )
    logger.info("atom %d (%s) goes furthest, %.2f A", atom, symbols[atom], ways[atom])
    if ways[atom] > _LONG_WAY_A:
        logger.warning(
            "atom %d goes %.1f A, further than a hop: are the atoms of initial and final in the same order?",
            atom,
            ways[atom],
        )


def interpolate(initial: Atoms, final: Atoms, num_between: int, method: str) -> NDArray[np.float64]:
    """Positions of the ends and of images between them, shape (num_between + 2, N, 3), A.

    Args:
        initial: One end.
        final: The other, as of `match_ends`.
        num_between: How many images stand between the ends.
        method: `linear`, or `idpp`, which bends the straight lines so that pairs of atoms keep apart.

    Source: Smidstrup et al. 2014 (10.1063/1.4878664).
    """
    images = [initial.copy() for _ in range(num_between + 1)] + [final.copy()]
    for image in images:
        image.set_constraint()
    band = NEB(images, method="improvedtangent")
    band.interpolate(method, mic=bool(initial.pbc.any()))
    return np.array([image.positions for image in images])


def fixed_atoms(atoms: Atoms) -> NDArray[np.bool_]:
    """Which atoms a structure file says shall stay (`FixAtoms`), shape (N,)."""
    fixed = np.zeros(len(atoms), dtype=bool)
    for constraint in atoms.constraints:
        if isinstance(constraint, FixAtoms):
            fixed[constraint.index] = True
        else:
            kind = type(constraint).__name__
            logger.warning("found a constraint %s in initial; only atoms that are fixed in full stay", kind)
    return fixed
