"""How far species have gathered among themselves: the intensity of segregation.

    I = Var(c) / x (1 - x)

c is the share of a species among the atoms around each atom, x its share in all. A random mixture has 1/n
with n atoms around each, separate phases have 1.

Source: Danckwerts 1952 (10.1007/BF03184936).
"""

import numpy as np
from ase import Atoms

from mlip.data.neighbors import neighbor_list

# Atoms around each atom that make up its surroundings, more than a shell: order within is no segregation.
_SURROUNDINGS = 40


def measure_segregation(atoms: Atoms) -> dict[str, float]:
    """Intensity of segregation of each species; empty where there is one species.

    Args:
        atoms: Periodic in three directions.
    """
    volume_per_atom = atoms.get_volume() / len(atoms)
    radius = (3.0 * _SURROUNDINGS * volume_per_atom / (4.0 * np.pi)) ** (1.0 / 3.0)
    (centres, neighbors), _ = neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, radius)
    counts = np.bincount(centres, minlength=len(atoms))
    symbols = np.array(atoms.get_chemical_symbols())
    found = {}
    for symbol in dict.fromkeys(symbols):
        is_species = symbols == symbol
        share = is_species.mean()
        around = np.bincount(centres, weights=is_species[neighbors], minlength=len(atoms))
        if share < 1.0:
            found[str(symbol)] = float(np.var(around / np.maximum(counts, 1)) / (share * (1.0 - share)))
    return found
