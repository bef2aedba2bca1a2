"""Names of the tensors that enter and leave a deployed model: the contract with `pair_style nequip`.

Source: pair_nequip_allegro 0.7; the table stands in docs/lammps.md.
"""

from typing import Final

POSITIONS: Final = "pos"
ATOM_TYPES: Final = "atom_types"
EDGE_INDEX: Final = "edge_index"
EDGE_CELL_SHIFT: Final = "edge_cell_shift"
CELL: Final = "cell"
NUM_LOCAL: Final = "num_local"

TOTAL_ENERGY: Final = "total_energy"
ATOMIC_ENERGY: Final = "atomic_energy"
FORCES: Final = "forces"
VIRIAL: Final = "virial"
STRESS: Final = "stress"
EDGE_GRADIENT: Final = "edge_gradient"
EXTRAPOLATION_GRADE: Final = "extrapolation_grade"
