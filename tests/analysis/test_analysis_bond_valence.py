"""Bond-valence sums: hand values, a naive sum, pymatgen with its own parameters."""

import re

import numpy as np
import pytest
from ase.build import bulk

from md.analysis import Frames
from md.analysis.bond_valence import REACH_A, compute_bond_valence, sum_bond_valences
from md.analysis.bond_valence_table import _SIZES, bond_length, estimate_bond_length
from mlip.errors import DataError


def frames_of(atoms, count=1):
    scaled = np.tile(atoms.get_scaled_positions(), (count, 1, 1))
    return Frames(scaled, np.tile(atoms.cell.array, (count, 1, 1)), atoms.numbers)


def test_lithium_oxide_by_hand():
    """Antifluorite, a = 4.619 A: Li has 4 O at sqrt(3)/4 a = 2.0001 A, then 12 at sqrt(11)/4 a."""
    atoms = bulk("OLi2", "fluorite", a=4.619, cubic=True)
    near, far = (np.exp((1.466 - np.sqrt(n) / 4 * 4.619) / 0.37) for n in (3, 11))
    expected = 4 * near + 12 * far  # the next, at sqrt(19)/4 a = 5.03 A, are out of reach
    result = compute_bond_valence(frames_of(atoms, 3))
    assert result.sums["Li"].value == pytest.approx(expected, rel=1e-12)
    assert result.sums["O"].value == pytest.approx(2 * expected, rel=1e-12)
    index = np.sqrt((8 * (expected - 1) ** 2 + 4 * (2 * expected - 2) ** 2) / 12)
    assert result.value == pytest.approx(index, rel=1e-12)
    assert result.parameters == {"Li-O": (1.466, "Brown and Altermatt 1985")}
    assert result.error is None


def test_unstrained_crystals_have_small_indices_and_strained_ones_do_not():
    salt = bulk("LiCl", "rocksalt", a=5.13, cubic=True)
    assert compute_bond_valence(frames_of(salt)).value < 0.15
    salt.set_cell(salt.cell.array * [1.0, 1.0, 0.85], scale_atoms=True)
    assert compute_bond_valence(frames_of(salt)).value > 0.3


def test_sums_equal_a_naive_loop():
    rng = np.random.default_rng(0)
    cell = np.array([[6.0, 0, 0], [1.0, 6.5, 0], [-1.0, 0.5, 7.0]])
    fractional, numbers = rng.uniform(size=(8, 3)), np.array([3, 3, 3, 15, 16, 16, 16, 17])
    charges = {3: 1, 15: 5, 16: -2, 17: -1}
    symbols = {3: "Li", 15: "P", 16: "S", 17: "Cl"}
    shifts = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3), -1).reshape(-1, 3)
    expected = np.zeros(8)
    for i in range(8):
        for j in range(8):
            if charges[numbers[i]] * charges[numbers[j]] > 0:
                continue
            pair = sorted((numbers[i], numbers[j]), key=lambda number: -charges[number])
            lengths = np.linalg.norm((fractional[j] - fractional[i] + shifts) @ cell, axis=1)
            r0 = bond_length(symbols[pair[0]], symbols[pair[1]])[0]
            expected[i] += np.exp((r0 - lengths[lengths < REACH_A]) / 0.37).sum()
    np.testing.assert_allclose(sum_bond_valences(fractional, cell, numbers), expected, rtol=1e-10)


def test_sizes_and_sums_are_those_of_pymatgen_but_for_its_softness():
    """pymatgen takes R0 from sizes for every pair, and b = 0.31 A where the literature has 0.37 A."""
    bond_valence = pytest.importorskip("pymatgen.core.bond_valence")
    from pymatgen.core import Lattice, Structure

    table = {str(element): (each["r"], each["c"]) for element, each in bond_valence.BV_PARAMS.items()}
    assert all(table[symbol] == sizes for symbol, sizes in _SIZES.items())
    structure = Structure.from_spacegroup("Fm-3m", Lattice.cubic(4.619), ["Li", "O"], [[0.25] * 3, [0, 0, 0]])
    (site, *_) = [site for site in structure if site.specie.symbol == "Li"]
    theirs = bond_valence.calculate_bv_sum(site, structure.get_neighbors(site, 3.0))
    r0 = estimate_bond_length("Li", "O")
    assert theirs == pytest.approx(4 * np.exp((r0 - np.sqrt(3) / 4 * 4.619) / 0.31), rel=1e-6)


def test_unknown_ions_are_refused():
    with pytest.raises(DataError, match="found Xe"):
        compute_bond_valence(frames_of(bulk("Xe", "fcc", a=6.2)))
    with pytest.raises(DataError, match="cations and anions"):
        compute_bond_valence(frames_of(bulk("Li", "bcc", a=3.44)))


def test_metal_in_the_frames_is_said():
    salt = bulk("SLi2", "fluorite", a=5.72, cubic=True).repeat((1, 1, 2))
    metal = bulk("Li", "bcc", a=3.43, cubic=True).repeat((2, 2, 6))
    metal.set_cell([5.72, 5.72, 20.6], scale_atoms=True)
    metal.positions[:, 2] += 11.44 + 1.0
    stack = salt + metal
    stack.set_cell([5.72, 5.72, 11.44 + 20.6 + 1.0])
    assert compute_bond_valence(frames_of(salt)).warnings == ()
    (warning,) = compute_bond_valence(frames_of(stack)).warnings
    found, of = map(int, re.match(r"(\d+) of (\d+) Li have less than 30%", warning).groups())
    assert of == 16 + 48
    assert 36 <= found <= 48  # those next to the salt have some
