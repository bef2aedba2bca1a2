"""Formal charges of ions, and what they make of a surface."""

import warnings
from collections.abc import Mapping

import numpy as np
from ase import Atoms

# Charges and dipoles per cell below these are rounding: e, and e A.
_NO_CHARGE = 1e-6
_NO_DIPOLE = 0.01


def guess_charges(atoms: Atoms) -> dict[str, float] | None:
    """Guess oxidation states of the formula by what is common; None where no guess is neutral.

    Args:
        atoms: A compound; all atoms of a species have one charge. Elements are neutral.
    """
    from pymatgen.core import Composition

    symbols = set(atoms.get_chemical_symbols())
    if len(symbols) == 1:
        return dict.fromkeys(symbols, 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        guesses = Composition(atoms.get_chemical_formula(empirical=True)).oxi_state_guesses()
    return {str(symbol): float(charge) for symbol, charge in guesses[0].items()} if guesses else None


def tasker_type(slab: Atoms, charges: Mapping[str, float] | None, layer_A: float) -> int | None:
    """Tell the type of a slab's surfaces after Tasker: by the charges of its layers and its dipole.

    Args:
        slab: A slab with its surface normal along z, all of it inside the cell.
        charges: Of the ions, e, by species; None if they are not known.
        layer_A: Atoms whose heights differ by less are one layer.

    Returns:
        1: every layer is neutral. 2: layers are charged, but there is no dipole along z. 3: there is one, and
        the energy of the surface grows with the thickness of the slab. None: not known.
    """
    if charges is None or not set(slab.get_chemical_symbols()) <= charges.keys():
        return None
    ions = np.array([charges[symbol] for symbol in slab.get_chemical_symbols()])
    heights = slab.positions[:, 2]
    order = np.argsort(heights)
    starts = np.concatenate([[0], np.flatnonzero(np.diff(heights[order]) > layer_A) + 1])
    if np.abs(np.add.reduceat(ions[order], starts)).max() < _NO_CHARGE:
        return 1
    middle = (heights.min() + heights.max()) / 2
    return 2 if abs(ions @ (heights - middle)) < _NO_DIPOLE else 3
