"""Grids of k-points, from a length that one rule turns into a grid for every cell."""

from collections.abc import Sequence

import numpy as np
from ase import Atoms

from mlip.errors import ConfigError


def k_grid(atoms: Atoms, length_A: float) -> tuple[int, int, int]:
    """Divisions along the reciprocal vectors: n_i = max(1, round(length |b_i|)), 1 where nothing repeats.

    A grid of a length samples a cell as finely as the Gamma point samples a cell that long; 0 is the Gamma
    point alone.

    Args:
        atoms: A frame with a cell.
        length_A: The length R_k, A.

    Source: automatic grids of VASP's KPOINTS.
    """
    reciprocal = np.linalg.norm(atoms.cell.reciprocal(), axis=1)  # |b_i| without 2 pi, 1/A
    divisions = np.where(atoms.pbc, np.floor(length_A * reciprocal + 0.5), 1)
    n1, n2, n3 = (max(1, int(n)) for n in divisions)
    return n1, n2, n3


def choose_grid(atoms: Atoms, kpts: Sequence[int] | None, length_A: float) -> tuple[int, int, int]:
    """The grid that settings name, or else the one a length gives."""
    if kpts is None:
        return k_grid(atoms, length_A)
    n1, n2, n3 = kpts
    return n1, n2, n3


def require_grid(kpts: Sequence[int] | None, length_A: float) -> None:
    """Check settings of k-points.

    Raises:
        ConfigError: They are no grid and no length.
    """
    if kpts is not None and (len(kpts) != 3 or min(kpts) < 1):
        raise ConfigError(f"found labeler.kpts={list(kpts)}; expected three whole numbers from 1, or null")
    if length_A < 0:
        raise ConfigError(f"found labeler.k_length_A={length_A}; expected 0 (Gamma point) or more")
