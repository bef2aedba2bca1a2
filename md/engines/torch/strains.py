"""Which strains a barostat allows, in the frame of the cell: it may stand in space as it likes."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Directions of `cell_axes` that are stretched together.
GROUPS: dict[str, tuple[tuple[int, ...], ...]] = {
    "iso": ((0, 1, 2),),
    "z": ((2,),),
    "xy": ((0, 1),),
    "orthorhombic": ((0,), (1,), (2,)),
}


def cell_axes(cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """Orthonormal rows: along the first cell vector, along the rest of the second, normal to both.

    Args:
        cell: Lattice vectors as rows, shape (3, 3), A.
    """
    return np.linalg.qr(cell.T)[0].T


def allowed_strains(mode: str | None, cell: NDArray[np.float64]) -> Tensor:
    """The projector onto the strains of a mode, (9, 9) float64, for the rows of a 3x3 matrix in a row.

    Args:
        mode: `iso`, `z` (normal to the first two cell vectors), `xy` (their plane), `orthorhombic`,
            `flexible`, or None for none.
        cell: Lattice vectors as rows, shape (3, 3), A.
    """
    projector = np.zeros((9, 9))
    if mode == "flexible":
        transposed = np.eye(9)[np.arange(9).reshape(3, 3).T.ravel()]
        projector = 0.5 * (np.eye(9) + transposed)
    elif mode is not None:
        axes = cell_axes(cell)
        for group in GROUPS[mode]:
            together = np.sum([np.outer(axes[k], axes[k]) for k in group], axis=0).ravel()
            projector += np.outer(together, together) / len(group)
    return torch.from_numpy(projector)


def projected(matrices: Tensor, allowed: Tensor) -> Tensor:
    """Matrices (S, 3, 3) along the strains that `allowed_strains` (S, 9, 9) leaves free."""
    return torch.bmm(allowed, matrices.reshape(-1, 9, 1)).view(-1, 3, 3)


def column(of_systems: Tensor) -> Tensor:
    """Numbers (S,) as (S, 1, 1), to multiply the matrices of systems by."""
    return of_systems.view(-1, 1, 1)
