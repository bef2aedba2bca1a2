"""Units and compositions: charges, shapes, and what a formula is made of."""

import numpy as np
import pytest
from ase.data import atomic_numbers, covalent_radii
from ase.formula import Formula

from mlip.errors import ConfigError
from mlip.structures.composition import count_units, require_neutral, total_charge
from mlip.structures.molecules import IONS, MOLECULES, unit_named


@pytest.mark.parametrize("name", MOLECULES)
def test_units_have_the_atoms_of_their_name_and_bonds_of_crystals(name):
    unit = unit_named(name)
    assert Formula("".join(unit.symbols)).count() == Formula(name).count()
    distances = np.linalg.norm(unit.positions[:, None] - unit.positions[None], axis=-1)
    radii = np.array([covalent_radii[atomic_numbers[s]] for s in unit.symbols])
    contact = radii[:, None] + radii[None]
    bonded = (distances < 1.2 * contact) & (distances > 0)
    former = np.isin(unit.symbols, ["P", "B"])
    corners = {"BO3": 3}.get(name, 4)
    assert (bonded[former].sum(axis=1) == corners).all()
    assert not bonded[~former][:, ~former].any()
    apart = distances[~former][:, ~former]
    assert apart[apart > 0].min() > (2.9 if "S" in name else 2.35)


def test_charges_are_those_of_the_oxidation_states():
    """P is +5 (in P2S6, with its bond, +4), B +3, N -3, O and S -2."""
    for name in MOLECULES:
        states = {symbol: charge for symbol, (charge, _) in IONS.items()}
        states["P"] = 4 if name == "P2S6" else 5
        assert unit_named(name).charge == sum(states[symbol] for symbol in unit_named(name).symbols), name


@pytest.mark.parametrize(
    ("formula", "num_atoms", "expected"),
    [
        ("Li3PS4", 96, {"PS4": 12, "Li": 36}),
        ("Li7P3S11", 42, {"PS4": 2, "P2S7": 2, "Li": 14}),
        ("Li4P2S6", 24, {"P2S6": 2, "Li": 8}),
        ("Li6PS5Cl", 52, {"PS4": 4, "Li": 24, "S": 4, "Cl": 4}),
        ("Li47P16O56N5", 124, {"PO4": 5, "PO3N": 5, "P2O7": 3, "Li": 47}),
        ("Li3B11O18", 128, {"Li": 12, "B": 44, "O": 72}),
        ("Li3BO3", 21, {"BO3": 3, "Li": 9}),
        ("Li3P", 16, {"Li": 12, "P3-": 4}),
        ("Li2S", 3, {"Li": 2, "S": 1}),
    ],
)
def test_formulas_become_the_units_that_a_chemist_would_name(formula, num_atoms, expected):
    counts = count_units(formula, num_atoms)
    assert counts == expected
    assert total_charge(counts) == 0


def test_a_number_of_formula_units_that_pairs_up_is_found():
    """Li2PS3 has one phosphorus with a bond to another: odd numbers of formula units have one left over."""
    assert count_units("Li2PS3", 18) == {"P2S6": 2, "Li": 8}


@pytest.mark.parametrize("formula", ["Li3PS5", "LiP", "XyO", "Li0.5S", "", "HfO2"])
def test_what_cannot_be_composed_is_refused(formula):
    with pytest.raises(ConfigError, match=r"expected"):
        count_units(formula, 50)


def test_charged_sets_and_unknown_units_are_refused():
    with pytest.raises(ConfigError, match=r"charge of \+1 e of 1 PS4 4 Li; expected none"):
        require_neutral({"PS4": 1, "Li": 4})
    with pytest.raises(ConfigError, match="found the unit PS5; expected PO4"):
        require_neutral({"PS5": 1})
    with pytest.raises(ConfigError, match="found -1 Li"):
        total_charge({"Li": -1})
