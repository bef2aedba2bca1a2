"""From a formula to ions and molecular units of it that are neutral together."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from ase.formula import Formula
from scipy.optimize import LinearConstraint, milp

from mlip.errors import ConfigError
from mlip.structures.molecules import IONS, MOLECULES, NETWORK_FORMERS, PHOSPHIDE, unit_named

# What a composition is made of where it can be: few pieces, and anions in units rather than alone. Nitrogen
# is rather apical than a bridge (Seth et al. 2025, Fig. 3), and a bond of two phosphorus atoms is a last
# resort.
_COST = {"P2O6N": 1.5, "P2S6": 1.6} | {name: 3.0 for name, (charge, _) in IONS.items() if charge < 0}
_NEAR = 4


def count_units(formula: str, num_atoms: int) -> dict[str, int]:
    """Compose a glass of molecular units and ions.

    Network formers (P, B, Si, Ge) are all in units; where that cannot be, as in Li3B11O18, every atom is an
    ion.

    Args:
        formula: Such as Li3PS4 or Li47P16O56N5.
        num_atoms: About how many atoms; the next number of whole formula units that can be composed is taken.

    Returns:
        Unit -> number, as `pack_units` takes them.

    Raises:
        ConfigError: The formula cannot be read, or no neutral set of units and ions has that composition.
    """
    elements = read_formula(formula)
    unknown = sorted(set(elements) - set(IONS))
    if unknown:
        raise ConfigError(f"found {unknown[0]} in {formula}; expected elements among {', '.join(IONS)}")
    wanted = max(1, round(num_atoms / sum(elements.values())))
    numbers = sorted(range(max(1, wanted - _NEAR), wanted + _NEAR + 1), key=lambda n: (abs(n - wanted), -n))
    anions = [name for name, (charge, _) in IONS.items() if charge < 0]
    mobile = [name for name in IONS if name not in NETWORK_FORMERS]
    for pieces in ([*MOLECULES, *mobile], [*IONS], [*mobile, PHOSPHIDE]):
        for number in numbers:
            counts = _compose({symbol: number * n for symbol, n in elements.items()}, pieces)
            if counts:
                return counts
    raise ConfigError(
        f"found {formula}; expected a neutral composition of {', '.join(MOLECULES)}, cations and the anions "
        f"{', '.join(anions)}: mend the formula, or name units and counts"
    )


def read_formula(formula: str) -> dict[str, int]:
    """Element -> number of atoms.

    Args:
        formula: Such as Li3PS4.

    Raises:
        ConfigError: It is no formula of elements in whole numbers.
    """
    try:
        elements = Formula(formula).count()
    except ValueError:
        elements = {}
    if not elements or min(elements.values()) < 1:
        raise ConfigError(
            f"found the formula {formula!r}; expected whole numbers of elements, such as Li3PS4"
        )
    return elements


def total_charge(counts: Mapping[str, int]) -> int:
    """Charge of units and ions together, e.

    Args:
        counts: Unit -> number.

    Raises:
        ConfigError: A unit is unknown, or there are fewer than none of it.
    """
    for name, number in counts.items():
        if number < 0:
            raise ConfigError(f"found {number} {name}; expected none or more")
    return sum(number * unit_named(name).charge for name, number in counts.items())


def require_neutral(counts: Mapping[str, int]) -> None:
    """Refuse units and ions that are charged together.

    Args:
        counts: Unit -> number.

    Raises:
        ConfigError: Their charges do not add up to zero.
    """
    charge = total_charge(counts)
    if charge:
        shown = " ".join(f"{number} {name}" for name, number in counts.items())
        raise ConfigError(f"found a charge of {charge:+d} e of {shown}; expected none: change the counts")


def _compose(elements: Mapping[str, int], pieces: Sequence[str]) -> dict[str, int]:
    """The cheapest neutral set of pieces with these elements, or nothing: a small integer linear program."""
    names = [name for name in pieces if set(unit_named(name).symbols) <= set(elements)]
    if not names:
        return {}
    contents = [Counter(unit_named(name).symbols) for name in names]
    rows = [[content[symbol] for content in contents] for symbol in elements]
    rows.append([unit_named(name).charge for name in names])
    target = [*elements.values(), 0]
    solution = milp(
        [_COST.get(name, 1.0) for name in names],
        constraints=LinearConstraint(np.array(rows), target, target),
        integrality=np.ones(len(names)),
    )
    if not solution.success:
        return {}
    return {name: round(n) for name, n in zip(names, solution.x, strict=True) if round(n)}
