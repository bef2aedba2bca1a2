"""Empty slabs across a structure: how wide the widest one is along each lattice vector."""

import numpy as np
from numpy.typing import NDArray

from md.state import State
from mlip.data.neighbors import complete_cell


def widest_gaps(state: State) -> NDArray[np.float64]:
    """The widest slab without atoms across each lattice vector, periodic images included.

    Atoms are projected onto the normal of the other two vectors; a void that does not reach from wall to wall
    is not seen.

    Args:
        state: The structure.

    Returns:
        Widths, shape (3,), A; zero along open directions.
    """
    cell = complete_cell(state.cell, state.pbc)
    inverse = np.linalg.inv(cell)
    # planes of the cell are as far apart as the inverse of a reciprocal vector is long
    heights = 1.0 / np.linalg.norm(inverse, axis=0)
    heads = np.sort((state.positions @ inverse) % 1.0, axis=0)
    steps = np.diff(heads, axis=0, append=heads[:1] + 1.0)
    return np.where(state.pbc, steps.max(axis=0) * heights, 0.0)
