"""Bond-valence parameters: lengths R0 of bonds of valence one.

Pairs that solid electrolytes are made of have values fitted to crystals with the softness b = 0.37 A; for
others R0 follows from sizes and electronegativities of the two elements, which is less exact: P-O would be
1.70 A instead of 1.617.
"""

import math

from mlip.errors import DataError

SOFTNESS_A = 0.37

# Source: Brown and Altermatt, Acta Cryst. B 41, 244 (1985), 10.1107/S0108768185002063
_BROWN_ALTERMATT = {
    ("Li", "O"): 1.466,
    ("Li", "F"): 1.360,
    ("Na", "O"): 1.803,
    ("Na", "S"): 2.300,
    ("Na", "F"): 1.677,
    ("Mg", "O"): 1.693,
    ("La", "O"): 2.172,
    ("Si", "S"): 2.126,
    ("P", "O"): 1.617,
    ("P", "N"): 1.704,
    ("P", "S"): 2.145,
}
# Source: Brese and O'Keeffe, Acta Cryst. B 47, 192 (1991), 10.1107/S0108768190011041
_BRESE_OKEEFFE = {
    ("Li", "N"): 1.61,
    ("Li", "S"): 1.94,
    ("Li", "Cl"): 1.91,
    ("Li", "Br"): 2.02,
    ("Li", "I"): 2.22,
    ("Na", "N"): 1.93,
    ("Na", "Cl"): 2.15,
    ("Si", "O"): 1.624,
}
# symbol -> size r in A and electronegativity c
# Source: O'Keeffe and Brese, J. Am. Chem. Soc. 113, 3226 (1991), 10.1021/ja00009a002, table 1
_SIZES = {
    "Li": (1.0, 0.97),
    "Be": (0.81, 1.47),
    "B": (0.79, 1.6),
    "N": (0.72, 2.61),
    "O": (0.63, 3.15),
    "F": (0.58, 3.98),
    "Na": (1.36, 1.01),
    "Mg": (1.21, 1.23),
    "Al": (1.13, 1.47),
    "Si": (1.12, 1.58),
    "P": (1.09, 1.96),
    "S": (1.03, 2.35),
    "Cl": (0.99, 2.74),
    "K": (1.73, 0.91),
    "Ca": (1.5, 1.04),
    "Sc": (1.34, 1.2),
    "Ti": (1.27, 1.32),
    "Cu": (0.87, 1.75),
    "Zn": (1.07, 1.66),
    "Ga": (1.14, 1.82),
    "Ge": (1.21, 1.51),
    "As": (1.21, 2.23),
    "Se": (1.18, 2.51),
    "Br": (1.13, 2.58),
    "Rb": (1.84, 0.89),
    "Sr": (1.66, 0.99),
    "Y": (1.52, 1.11),
    "Zr": (1.43, 1.22),
    "Nb": (1.4, 1.23),
    "Ag": (1.12, 1.42),
    "In": (1.34, 1.49),
    "Sn": (1.37, 1.72),
    "Sb": (1.41, 1.72),
    "Te": (1.4, 2.72),
    "I": (1.33, 2.38),
    "Cs": (2.05, 0.86),
    "Ba": (1.88, 0.97),
    "La": (1.71, 1.08),
    "Hf": (1.42, 1.23),
    "Ta": (1.39, 1.33),
    "W": (1.38, 1.4),
}


def bond_length(cation: str, anion: str) -> tuple[float, str]:
    """Length of a bond of valence one, A, and where it is from.

    Args:
        cation: symbol.
        anion: symbol.

    Raises:
        DataError: An element is in none of the tables.
    """
    pair = (cation, anion)
    if pair in _BROWN_ALTERMATT:
        return _BROWN_ALTERMATT[pair], "Brown and Altermatt 1985"
    if pair in _BRESE_OKEEFFE:
        return _BRESE_OKEEFFE[pair], "Brese and O'Keeffe 1991"
    return estimate_bond_length(cation, anion), "O'Keeffe and Brese 1991, from sizes and electronegativities"


def estimate_bond_length(first: str, second: str) -> float:
    """Length of a bond of valence one from sizes and electronegativities of the two elements, A.

    R0 = r1 + r2 - r1 r2 (sqrt(c1) - sqrt(c2))^2 / (c1 r1 + c2 r2).

    Raises:
        DataError: An element is not in the table.

    Source:
        O'Keeffe and Brese, J. Am. Chem. Soc. 113, 3226 (1991), 10.1021/ja00009a002, eq. 3.
    """
    unknown = [symbol for symbol in (first, second) if symbol not in _SIZES]
    if unknown:
        raise DataError(
            f"found {unknown[0]}, which the table of bond valences lacks; expected {', '.join(_SIZES)}"
        )
    (r1, c1), (r2, c2) = _SIZES[first], _SIZES[second]
    return r1 + r2 - r1 * r2 * (math.sqrt(c1) - math.sqrt(c2)) ** 2 / (c1 * r1 + c2 * r2)
