"""Covalent units, sites of anions, Qn, chains and rings of structures whose answer is known."""

from collections import Counter
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.formula import Formula
from ase.spacegroup import crystal

from md.analysis import Frames
from md.analysis.anion_sites import compute_anion_sites, count_anion_sites
from md.analysis.connectivity import compute_connectivity, count_connectivity
from md.analysis.network import find_network
from md.analysis.polyhedra import compute_polyhedra, count_polyhedra
from md.analysis.rings import compute_rings, count_rings
from md.analysis.units import compute_chains, compute_units, count_chains, count_units
from mlip.errors import DataError

TETRAHEDRON = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3.0)


def group(symbols, positions, at):
    return Atoms(symbols, positions=np.array(positions) + at)


def tetrahedra(symbols, length, at):
    """A former and its anions on the corners of a tetrahedron."""
    corners = length * TETRAHEDRON[: len([*Formula(symbols)]) - 1]
    return group(symbols, [np.zeros(3), *corners], at)


def bridged(former, bridge, ends, length, at):
    """Two tetrahedra that share a corner: former, bridging anion, former, three ends each."""
    corners = length * TETRAHEDRON
    second = 2 * corners[0]
    positions = [np.zeros(3), corners[0], second, *corners[1:], *(second - corners[1:])]
    return group([former, bridge, former, *ends], positions, at)


def network_of(atoms):
    return find_network(atoms.get_scaled_positions(), atoms.cell.array, atoms.numbers)


def frames_of(atoms, count=3):
    scaled = atoms.get_scaled_positions()
    return Frames(
        np.tile(scaled, (count, 1, 1)),
        np.tile(atoms.cell.array, (count, 1, 1)),
        atoms.numbers,
        np.arange(count),
    )


@pytest.fixture(name="glass")
def glass_fixture():
    """PS4, PS3, P2S7, P2S6 with a P-P bond and S alone, some across the walls of a triclinic cell."""
    cell = np.array([[40.0, 0.0, 0.0], [9.0, 40.0, 0.0], [-7.0, 5.0, 40.0]])
    atoms = Atoms(cell=cell, pbc=True)
    atoms += tetrahedra("PS4", 2.05, [0.5, 0.5, 0.5])
    atoms += tetrahedra("PS3", 2.05, [12.0, 1.0, 0.0])
    atoms += bridged("P", "S", ["S"] * 6, 2.1, [25.0, 0.0, 1.0])
    pair = 2.2 * TETRAHEDRON[0]
    ends = 2.05 * TETRAHEDRON[1:]
    atoms += group("P2S6", [np.zeros(3), pair, *ends, *(pair - ends)], [10.0, 20.0, 20.0])
    atoms += Atoms("S", positions=[[30.0, 25.0, 30.0]])
    atoms += Atoms("Li", positions=[[25.0, 2.0, 2.5]])
    return atoms


def test_units_of_a_thiophosphate_glass(glass):
    network = network_of(glass)
    assert count_units(network) == Counter({"PS4": 1, "PS3": 1, "P2S7": 1, "P2S6": 1, "free S": 1})
    assert count_polyhedra(network, "P") == Counter({"PS4": 3, "PS3": 3})
    assert count_chains(network) == Counter({"1": 2, "2": 2})
    assert count_connectivity(network, "P") == Counter({"Q0": 4, "Q1": 2})
    assert count_anion_sites(network, "S") == Counter({"free": 1, "terminal": 19, "bridging": 1, "triple": 0})
    assert count_rings(network) == Counter()


def test_units_do_not_depend_on_where_the_cell_begins_or_how_atoms_are_ordered(glass):
    rng = np.random.default_rng(3)
    moved = glass[rng.permutation(len(glass))]
    moved.positions += rng.normal(scale=20.0, size=3)
    moved.wrap()
    assert count_units(network_of(moved)) == count_units(network_of(glass))


def test_nitrogen_is_apical_double_or_triple():
    atoms = Atoms(cell=np.diag([40.0, 40.0, 40.0]), pbc=True)
    atoms += tetrahedra("PO3N", 1.6, [1.0, 1.0, 1.0])
    atoms += bridged("P", "N", ["O"] * 6, 1.65, [15.0, 1.0, 1.0])
    flat = [[np.cos(a), np.sin(a), 0.0] for a in np.deg2rad([0, 120, 240])]
    atoms += group("NP3", [np.zeros(3), *(1.7 * np.array(flat))], [20.0, 20.0, 20.0])
    network = network_of(atoms)
    assert count_anion_sites(network, "N") == Counter({"free": 0, "Na": 1, "Nd": 1, "Nt": 1})
    assert count_units(network) == Counter({"PO3N": 1, "P2O6N": 1, "P3N": 1})
    assert count_polyhedra(network, "P") == Counter({"PO3N": 3, "PN": 3})


def test_borate_rings_and_fractions():
    """A boroxol ring B3O6 and a BO4 group."""
    atoms = Atoms(cell=np.diag([30.0, 30.0, 30.0]), pbc=True)
    angles = np.deg2rad([0, 120, 240])
    boron = 1.4 * np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
    bridge = -1.4 * np.roll(boron, 1, axis=0) / 1.4
    atoms += group("B3O6", [*boron, *bridge, *(boron * (1 + 1.36 / 1.4))], [0.2, 0.2, 0.2])
    atoms += tetrahedra("BO4", 1.48, [15.0, 15.0, 15.0])
    network = network_of(atoms)
    assert count_polyhedra(network, "B") == Counter({"BO3": 3, "BO4": 1})
    assert count_rings(network) == Counter({3: 1})
    assert count_connectivity(network, "B") == Counter({"Q2": 3, "Q0": 1})


@pytest.mark.parametrize("repeat", [1, 2])
def test_rings_of_silicon_and_of_cristobalite_are_those_of_six(repeat):
    """Through each pair of bonds of the diamond lattice go two rings of six: two rings an atom."""
    diamond = bulk("Si", "diamond", a=5.43, cubic=True).repeat(repeat)
    assert count_rings(network_of(diamond)) == Counter({6: 2 * len(diamond)})
    silica = crystal(
        ["Si", "O"], [(0, 0, 0), (0.125, 0.125, 0.125)], spacegroup=227, cellpar=[7.16] * 3 + [90] * 3
    )
    formers = int((silica.numbers == 14).sum())
    assert formers == 8
    network = network_of(silica.repeat(repeat))
    assert count_polyhedra(network, "Si") == Counter({"SiO4": formers * repeat**3})
    assert count_rings(network) == Counter({6: 2 * formers * repeat**3})
    assert set(count_units(network)) == {"network"}
    assert count_connectivity(network, "Si") == Counter({"Q4": formers * repeat**3})


def test_an_endless_chain_is_no_ring():
    """Corner-sharing PO3 along a lattice vector closes through the wall only."""
    positions = [[0, 0, 0], [1.6, 0, 0], [0, 1.3, 0.9], [0, -1.3, 0.9]]
    atoms = Atoms("PO3", positions=positions, cell=np.diag([3.2, 12.0, 12.0]), pbc=True).repeat((2, 1, 1))
    network = network_of(atoms)
    assert count_connectivity(network, "P") == Counter({"Q2": 2})
    assert count_rings(network) == Counter()
    assert count_chains(network) == Counter({"2": 1})


def test_census_of_a_run_has_shares_that_sum_to_one(glass):
    frames = frames_of(glass)
    units = compute_units(frames)
    shares = units.shares()
    assert sum(each.value for each in shares.values()) == pytest.approx(1.0)
    assert shares["PS4"].value == pytest.approx(0.2)
    assert compute_polyhedra(frames, "P").shares()["PS3"].value == pytest.approx(0.5)
    assert compute_chains(frames).counts["2"].tolist() == [2, 2, 2]
    assert compute_connectivity(frames, "P").shares()["Q1"].value == pytest.approx(1 / 3)
    assert compute_anion_sites(frames, "S").totals.tolist() == [21, 21, 21]
    assert compute_rings(frames).shares() == {}
    assert units.times_ps.tolist() == [0, 1, 2]


def test_a_salt_has_no_units():
    with pytest.raises(DataError, match="covalent units form around"):
        compute_units(frames_of(bulk("LiCl", "rocksalt", a=5.13, cubic=True)))


def test_real_aimd_frames_have_the_units_of_their_composition():
    """Li27P12S44 at 520 K: nearly every P holds four S."""
    atoms = ase.io.read(Path(__file__).parents[2] / "datasets" / "lips" / "small_20.extxyz", index=0)
    network = network_of(atoms)
    assert sum(count_anion_sites(network, "S").values()) == 44
    assert count_polyhedra(network, "P")["PS4"] >= 8
