"""What elements are in solid electrolytes: formers of covalent units, anions, formal charges."""

import numpy as np
from ase.data import atomic_numbers, covalent_radii

# oxidation states in stoichiometric solid electrolytes, e
FORMAL_CHARGES = {
    **dict.fromkeys(("Li", "Na", "K", "Rb", "Cs", "Ag", "Cu"), 1),
    **dict.fromkeys(("Be", "Mg", "Ca", "Sr", "Ba", "Zn"), 2),
    **dict.fromkeys(("B", "Al", "Ga", "In", "Sc", "Y", "La"), 3),
    **dict.fromkeys(("Si", "Ge", "Sn", "Ti", "Zr", "Hf"), 4),
    **dict.fromkeys(("P", "As", "Sb", "Nb", "Ta"), 5),
    "W": 6,
    "N": -3,
    **dict.fromkeys(("O", "S", "Se", "Te"), -2),
    **dict.fromkeys(("F", "Cl", "Br", "I"), -1),
}
ANIONS = tuple(symbol for symbol, charge in FORMAL_CHARGES.items() if charge < 0)
# atoms in the middle of covalent polyhedra
FORMERS = ("B", "Al", "Ga", "Si", "Ge", "Sn", "P", "As", "Sb")
# longer than a bond that heat stretches, shorter than the second shell
_LONGEST_BOND = 1.3


def is_one_of(numbers: np.ndarray, symbols: tuple[str, ...]) -> np.ndarray:
    """Which atoms are of some elements; atomic numbers (N,) -> bool (N,)."""
    return np.isin(numbers, [atomic_numbers[symbol] for symbol in symbols])


def bond_limits(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Longest distances at which two atoms count as bonded, 1.3 times the sum of their covalent radii.

    Args:
        first: atomic numbers, shape (E,).
        second: atomic numbers, shape (E,).

    Returns:
        Distances, shape (E,), A: 2.76 for P-S, 1.95 for B-O, 2.25 for P-O.

    Source:
        Radii of Cordero et al., Dalton Trans. 2832 (2008), 10.1039/b801115j, as in ASE.
    """
    return _LONGEST_BOND * (covalent_radii[first] + covalent_radii[second])
