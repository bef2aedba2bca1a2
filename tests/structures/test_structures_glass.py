"""Packed glasses keep their distances through the boundaries, their units and their density."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import make_supercell
from ase.io import read
from scipy.optimize import check_grad
from scipy.spatial.transform import Rotation

from mlip.errors import ConfigError, DataError
from mlip.inputs import datasets_folder
from mlip.structures.glass import build_glass, build_lipon
from mlip.structures.glass_slab import open_glass
from mlip.structures.lipon import substitute_lipon
from mlip.structures.packing import least_distances, pack_units
from mlip.structures.rigid_bodies import RigidBodies, find_contacts, left_jacobian, rotate

HEXAGON = [[13.0, 0.0], [6.5, 6.5 * np.sqrt(3)]]


def bonds_of(atoms, first, second, reach):
    """Numbers of neighbors by ASE's minimum images of a 3x3x3 supercell's middle: no code of ours."""
    images = atoms.repeat(3)
    middle = np.arange(13 * len(atoms), 14 * len(atoms))
    chosen = middle[np.array(atoms.get_chemical_symbols()) == first]
    others = np.array(images.get_chemical_symbols()) == second
    distances = np.linalg.norm(images.positions[chosen, None] - images.positions[None, others], axis=-1)
    return ((distances > 1e-3) & (distances < reach)).sum(axis=1)


@pytest.mark.parametrize("in_plane", [None, HEXAGON])
def test_no_two_atoms_of_different_units_are_too_close(in_plane):
    counts = {"PS4": 16, "Li": 48}
    atoms = pack_units(counts, 1.85, seed=1, in_plane=in_plane)
    assert len(atoms) == 128
    mass = atoms.get_masses().sum() / 6.02214076e23
    assert mass / (atoms.get_volume() * 1e-24) == pytest.approx(1.85, rel=1e-8)
    if in_plane is not None:
        assert np.allclose(atoms.cell.array[:2, :2], in_plane)
        assert np.allclose(atoms.cell.array[2, :2], 0)
    assert (bonds_of(atoms, "P", "S", 2.06) == 4).all()
    least = least_distances(list(counts), {})
    for pair, distance in least.items():
        first, second = pair.split("-")
        assert not bonds_of(atoms, first, second, distance).any(), pair
    assert least["S-S"] > 3.1  # the corners of a unit stand 3.35 A apart


def test_seeds_make_packings():
    counts = {"PO4": 4, "Li": 12}
    first, again, other = (pack_units(counts, 2.3, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(first.positions, again.positions)
    assert not np.allclose(first.positions, other.positions)


def test_distances_may_be_given():
    counts = {"Li": 20, "Cl": 20}
    atoms = pack_units(counts, 1.5, seed=0, min_distances={"Li-Li": 3.2, "Li-Cl": 2.3})
    assert bonds_of(atoms, "Li", "Li", 3.2).sum() == 0
    assert bonds_of(atoms, "Li", "Cl", 2.3).sum() == 0
    with pytest.raises(ConfigError, match="found min_distances Li-S"):
        pack_units(counts, 1.5, seed=0, min_distances={"Li-S": 2.0})


def test_what_does_not_fit_is_refused():
    with pytest.raises(DataError, match=r"found no packing of 16 atoms at 9 g/cm3.*lower the density"):
        pack_units({"PO4": 2, "Li": 6}, 9.0, seed=0)
    with pytest.raises(ConfigError, match="charge of"):
        pack_units({"PO4": 2, "Li": 5}, 2.0, seed=0)
    with pytest.raises(ConfigError, match="span a plane"):
        pack_units({"Li": 1, "Cl": 1}, 2.0, seed=0, in_plane=[[1.0, 0.0], [2.0, 0.0]])


def test_rotations_and_their_derivative():
    rng = np.random.default_rng(0)
    turns, vectors = rng.normal(size=(2, 6, 3))
    assert np.allclose(rotate(vectors, turns), Rotation.from_rotvec(turns).apply(vectors))
    small = 1e-6 * rng.normal(size=(6, 3))
    turned = Rotation.from_rotvec(turns + small) * Rotation.from_rotvec(turns).inv()
    assert np.allclose(turned.as_rotvec(), np.einsum("mij,mj->mi", left_jacobian(turns), small), atol=1e-11)
    assert np.allclose(left_jacobian(np.zeros((1, 3))), np.eye(3))


def test_forces_on_overlapping_atoms_are_the_gradient():
    rng = np.random.default_rng(1)
    bodies = RigidBodies(
        rng.normal(size=(12, 3)), np.repeat(np.arange(4), 3), np.arange(12) % 2, 5 * rng.random((4, 3))
    )
    cell = np.array([[6.0, 0, 0], [1.0, 5.5, 0], [0.3, -0.4, 6.2]])
    contacts = find_contacts(bodies, cell, np.array([[3.0, 2.2], [2.2, 2.6]]), 1.0)
    assert (contacts.depths(bodies.positions)[0] > 0.1).any()
    start = bodies.positions.ravel()
    error = check_grad(
        lambda x: contacts.energy(x.reshape(-1, 3))[0],
        lambda x: contacts.energy(x.reshape(-1, 3))[1].ravel(),
        start,
    )
    assert error < 1e-5


def test_a_glass_is_cut_open_between_its_units():
    glass = next(build_glass(composition="Li7P3S11", num_atoms=84, density_g_cm3=1.9, seed=2))
    slab = open_glass(glass)
    assert slab.info["num_cut_bonds"] == 0
    assert slab.positions[:, 2].min() == pytest.approx(0.0)
    assert not slab.pbc[2]
    # the same atoms, each moved by whole lattice vectors along the third
    moved = slab.get_scaled_positions(wrap=False) - glass.get_scaled_positions()
    assert np.allclose(moved[:, :2], np.rint(moved[:, :2]), atol=1e-9)
    alone = Atoms(slab.symbols, slab.positions, cell=[*slab.cell.array[:2], [0, 0, 60.0]], pbc=True)
    assert np.array_equal(bonds_of(alone, "P", "S", 2.3), bonds_of(glass, "P", "S", 2.3))
    assert np.ptp(slab.positions[:, 2]) < glass.cell[2, 2] + 4.0


def test_a_network_loses_the_bonds_that_are_counted():
    """A straight chain of B-O-B-O through the cell cannot be whole."""
    chain = Atoms("BOBO", [[2, 2, 0.2 + 1.4 * k] for k in range(4)], cell=[8, 8, 5.6], pbc=True)
    slab = open_glass(chain)
    assert slab.info["num_cut_bonds"] == 1
    assert np.ptp(slab.positions[:, 2]) == pytest.approx(4.2)


@pytest.fixture(scope="module")
def phosphate():
    """beta-Li3PO4, 16 formula units as in the paper."""
    frames = read(datasets_folder() / "lipon_cp2k" / "lipon_cp2k.extxyz", index=":")
    crystal = next(
        atoms for atoms in frames if atoms.symbols.formula.reduce()[0].count() == {"Li": 3, "P": 1, "O": 4}
    )
    return make_supercell(crystal, np.diag([2, 2, 16 * 8 // len(crystal) // 4]))


def test_lipon_of_the_paper(phosphate):
    """Seth et al. 2025: 128 atoms, 5 N, Li2.94PO3.5N0.31, 124 atoms."""
    assert len(phosphate) == 128
    atoms = substitute_lipon(phosphate, oxygen=3.5, nitrogen=0.31, seed=0)
    assert atoms.symbols.formula.count() == {"Li": 47, "P": 16, "O": 56, "N": 5}
    assert atoms.info["lipon_composition"] == [47 / 16, 3.5, 5 / 16]
    corners = bonds_of(atoms, "P", "O", 1.9) + bonds_of(atoms, "P", "N", 1.9)
    assert sorted(corners) == [3] * 3 + [4] * 13  # three corners went, each from another phosphate
    assert np.array_equal(substitute_lipon(phosphate, 3.5, 0.31, seed=0).positions, atoms.positions)


def test_lipon_rich_in_lithium_has_room_for_it(phosphate):
    atoms = substitute_lipon(phosphate, oxygen=3.0, nitrogen=1.0, seed=1)
    assert atoms.symbols.formula.count() == {"Li": 64, "P": 16, "O": 48, "N": 16}
    distances = atoms.get_all_distances(mic=True) + 9 * np.eye(len(atoms))
    assert distances[48:].min() > 1.5


def test_lipon_that_cannot_be_is_refused(phosphate):
    with pytest.raises(ConfigError, match=r"found y=4 and z=0.5, thus x=4.5"):
        substitute_lipon(phosphate, 4.0, 0.5, seed=0)
    with pytest.raises(DataError, match="expected lithium phosphate"):
        substitute_lipon(phosphate[:-1], 3.5, 0.3, seed=0)
    with pytest.raises(ConfigError, match=r"builder\.repeat"):
        next(build_lipon(phosphate, repeat=(2, 2)))
