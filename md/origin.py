"""Where each atom of an interface comes from: ions of the metal and of the compound can be told apart."""

import numpy as np
from ase import Atoms
from ase.formula import Formula
from numpy.typing import NDArray

from mlip.errors import ConfigError

COMPOUND, METAL = 0, 1


def given_origin(atoms: Atoms) -> NDArray[np.int64]:
    """What a structure says itself: its array `origin`, or ASE's tags unless all are zero.

    Returns:
        A number for each atom, shape (N,), or (0,) if the structure says nothing.
    """
    if "origin" in atoms.arrays:
        return np.asarray(atoms.arrays["origin"]).astype(np.int64)
    tags = atoms.get_tags()
    return tags.astype(np.int64) if tags.any() else np.zeros(0, dtype=np.int64)


def tag_metal(atoms: Atoms, compound: str) -> NDArray[np.int64]:
    """Tell the atoms of a metal from those of the compound that it is stacked on along the third vector.

    The element in excess of whole formula units of the compound is the metal. Of its atoms, as many as the
    compound needs belong to it: those among the layers of other elements, then the closest above or below.
    Where both sides end in a layer of the metal that is a choice; an array `origin` in the structure is
    better where its maker knows.

    Args:
        atoms: The structure, periodic along the third vector.
        compound: Formula, such as Li6PS5Cl.

    Returns:
        METAL (1) or COMPOUND (0) for each atom, shape (N,).

    Raises:
        ConfigError: The structure is not whole formula units and one element more.
    """
    symbols = np.array(atoms.get_chemical_symbols())
    metal, needed = _excess(symbols, compound)
    is_metal = symbols == metal
    heights = atoms.get_scaled_positions(wrap=True)[:, 2]
    others = np.sort(heights[~is_metal])
    widths = np.diff(others, append=others[:1] + 1.0)
    gap = int(np.argmax(widths))
    above = (heights[is_metal] - others[(gap + 1) % len(others)]) % 1.0
    outside = np.minimum(above - (1.0 - widths[gap]), 1.0 - above).clip(min=0.0)
    outside[above <= 1.0 - widths[gap]] = 0.0
    origin = np.where(is_metal, METAL, COMPOUND).astype(np.int64)
    origin[np.flatnonzero(is_metal)[np.argsort(outside, kind="stable")[:needed]]] = COMPOUND
    return origin


def _excess(symbols: NDArray[np.str_], compound: str) -> tuple[str, int]:
    """The element in excess, and how many of its atoms the compound needs."""
    try:
        formula = {symbol: count for symbol, count in Formula(compound).count().items() if count}
    except ValueError:
        raise ConfigError(f"found origin={compound}; expected a formula such as Li6PS5Cl") from None
    found = dict(zip(*np.unique(symbols, return_counts=True), strict=True))
    units = {symbol: found.get(symbol, 0) / count for symbol, count in formula.items()}
    number = min(units.values(), default=0.0)
    excess = [symbol for symbol in found if found[symbol] > number * formula.get(symbol, 0)]
    if number < 1 or number % 1 or len(excess) != 1:
        raise ConfigError(
            f"found {Formula.from_dict({str(k): int(n) for k, n in found.items()}):metal} for "
            f"origin={compound}; expected whole formula units of it and one element more: give the structure "
            "an array origin"
        )
    return str(excess[0]), int(number) * formula.get(str(excess[0]), 0)
