"""One structure has one fingerprint however it is written; another one has another."""

from io import StringIO

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule

from mlip.data.fingerprint import fingerprint
from mlip.data.read import read_frames


def crystal():
    atoms = bulk("LiCl", "rocksalt", a=5.13, cubic=True) * (2, 1, 1)
    atoms.set_cell(atoms.cell.array @ [[1.01, 0.02, 0], [0, 0.99, 0.03], [0, 0, 1.02]], True)
    atoms.rattle(0.1, seed=1)
    return atoms


def slab():
    atoms = fcc111("Cu", (2, 2, 3), vacuum=6.0)
    atoms.info.clear()  # of adsorbates, which no text holds
    atoms.rattle(0.1, seed=2)
    return atoms


def ethanol():
    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.1, seed=3)
    return atoms


SHAPES = {"crystal": crystal, "slab": slab, "molecule": ethanol}


@pytest.fixture(params=SHAPES)
def atoms(request):
    return SHAPES[request.param]()


def rotated(atoms, random, proper=True):
    turn = np.linalg.qr(random.normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn)) if proper else -np.sign(np.linalg.det(turn))
    copy = atoms.copy()
    copy.set_cell(atoms.cell.array @ turn)
    copy.positions = atoms.positions @ turn
    return copy


@pytest.mark.parametrize("seed", range(5))
def test_copies_have_the_same(atoms, seed):
    random = np.random.default_rng(seed)
    name = fingerprint(atoms)
    shuffled = atoms[random.permutation(len(atoms))]
    moved = atoms.copy()
    moved.positions += random.normal(size=3)
    imaged = atoms.copy()
    imaged.positions += (random.integers(-2, 3, size=(len(atoms), 3)) * atoms.pbc) @ atoms.cell.array
    turned = rotated(atoms, random)
    mirrored = rotated(atoms, random, proper=False)
    for copy in (shuffled, moved, imaged, turned, mirrored):
        assert fingerprint(copy) == name


def test_the_choice_of_lattice_vectors_does_not_count():
    atoms = crystal()
    skewed = atoms.copy()
    skewed.set_cell(np.array([[1, 1, 0], [0, 1, 0], [0, -1, 1]]) @ atoms.cell.array)
    assert fingerprint(skewed) == fingerprint(atoms)


def test_text_of_eight_decimals_is_a_copy(atoms):
    text = StringIO()
    ase.io.write(text, atoms, format="extxyz")
    text.seek(0)
    assert fingerprint(ase.io.read(text, format="extxyz")) == fingerprint(atoms)


def test_what_differs_has_another(atoms):
    name = fingerprint(atoms)
    displaced = atoms.copy()
    displaced.positions[0, 0] += 0.01
    charged = atoms.copy()
    charged.info["charge"] = -1
    open_ended = atoms.copy()
    open_ended.pbc = not atoms.pbc.any()
    if not atoms.pbc.any():
        open_ended.center(vacuum=3.0)
    assert name not in {fingerprint(each) for each in (displaced, charged, open_ended)}


PERFECT = {
    "bcc": bulk("Li", "bcc", a=3.44),
    "fcc": bulk("Cu", "fcc", a=3.6),
    "rock salt": bulk("LiCl", "rocksalt", a=5.13, cubic=True),
}


@pytest.mark.parametrize("name", PERFECT)
@pytest.mark.parametrize("component", [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)])
def test_strained_by_a_thousandth_differs(name, component):
    """Also by a shear of a cubic crystal, where all sums are stationary."""
    atoms, strain = PERFECT[name], np.eye(3)
    strain[component] += 1e-3
    strained = atoms.copy()
    strained.set_cell(atoms.cell.array @ strain, scale_atoms=True)
    assert fingerprint(strained) != fingerprint(atoms)


def test_two_atoms_exchanged_differ():
    atoms = crystal()
    exchanged = atoms.copy()
    exchanged.numbers[[0, 1]] = exchanged.numbers[[1, 0]]
    assert atoms.numbers[0] != atoms.numbers[1]
    assert fingerprint(exchanged) != fingerprint(atoms)


def test_a_supercell_and_a_wider_vacuum_differ():
    atoms = PERFECT["bcc"]
    assert fingerprint(atoms * (2, 1, 1)) != fingerprint(atoms)
    vacuum = fcc111("Cu", (2, 2, 3), vacuum=10.0)
    vacuum.pbc = True
    wider = vacuum.copy()
    wider.cell[2, 2] += 0.1
    assert fingerprint(wider) != fingerprint(vacuum)


def test_molecules_far_apart_differ_by_their_distance():
    pair = [Atoms("LiF", [[0, 0, 0], [0, 0, distance]]) for distance in (8.0, 8.05)]
    assert fingerprint(pair[0]) != fingerprint(pair[1])


def test_equal_fingerprints_of_real_data_mean_equal_energies():
    """The elastic frames of Li hold the same strain along equivalent axes several times."""
    energies = {}
    for atoms in read_frames("dataset:li_metal/train.extxyz.xz", index="120:"):
        energies.setdefault(fingerprint(atoms), []).append(atoms.get_potential_energy())
    assert any(len(each) > 1 for each in energies.values())
    assert all(max(each) - min(each) < 1e-6 for each in energies.values())
    assert len(energies) > 60
