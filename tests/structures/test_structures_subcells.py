"""Sub-cells: nothing lost, nothing too close, molecules whole, buffers around, time linear in the atoms."""

import time

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from scipy.spatial import cKDTree

from mlip.data.labels import FORCE_MASK
from mlip.errors import ConfigError, DataError
from mlip.structures.subcells import build_subcells, cut_around
from mlip.structures.units import find_units


@pytest.fixture
def liquid():
    """A disordered frame in a skew cell."""
    atoms = bulk("Li", "bcc", a=3.4, cubic=True).repeat((8, 7, 6))
    atoms.symbols[::4] = "S"
    atoms.rattle(0.3, seed=5)
    atoms.set_cell(atoms.cell.array @ [[1, 0.2, 0], [0, 1, 0.1], [0.15, 0, 1]], scale_atoms=True)
    atoms.positions += [100.0, -30.0, 5.0]
    return atoms


@pytest.fixture
def water():
    """Molecules at random, some across the boundary."""
    random = np.random.default_rng(1)
    frame = Atoms(cell=[24.0] * 3, pbc=True)
    for corner in np.ndindex(6, 6, 6):
        one = molecule("H2O")
        one.rotate(random.uniform(0, 360), random.normal(size=3))
        one.positions += 4.0 * np.array(corner) - one.positions[0] + 0.3 * random.normal(size=3)
        frame += one
    frame.wrap()
    return frame


def closest(atoms):
    return atoms.get_all_distances(mic=True)[np.triu_indices(len(atoms), 1)].min()


def test_pieces_share_the_atoms_out(liquid):
    liquid.new_array("number", np.arange(len(liquid)))
    pieces = list(build_subcells(liquid, num_atoms=80))
    assert np.array_equal(
        np.sort(np.concatenate([p.arrays["number"] for p in pieces])), np.arange(len(liquid))
    )
    assert 50 < np.mean([len(piece) for piece in pieces]) < 120
    for piece in pieces:
        same = liquid[piece.arrays["number"]]
        assert np.array_equal(piece.numbers, same.numbers)
        directions = piece.cell.array / piece.cell.lengths()[:, None]
        assert directions == pytest.approx(liquid.cell.array / liquid.cell.lengths()[:, None])
        # Inside, each atom is where it was: vectors differ by lattice vectors of the frame.
        moved = (piece.positions - same.positions) @ np.linalg.inv(liquid.cell.array)
        steps = moved - moved[0]
        assert steps == pytest.approx(np.rint(steps), abs=1e-9)
        assert piece.info["pad_A"] >= 0.5
        assert "force_mask" not in piece.arrays


def test_vacuum_is_what_was_asked_for_and_no_atoms_come_too_close(liquid):
    faces = 1 / np.linalg.norm(np.linalg.inv(liquid.cell.array), axis=0)
    for pad in (0.5, 3.0):
        for piece in build_subcells(liquid, num_atoms=80, pad_A=pad):
            inner = cKDTree(piece.positions).query(piece.positions, k=2)[0][:, 1].min()
            assert closest(piece) > 0.998 * inner
            extra = piece.cell.lengths() / liquid.cell.lengths()
            boxes = 1 / np.rint(1 / (extra - piece.info["pad_A"] / faces))
            assert extra == pytest.approx(boxes + piece.info["pad_A"] / faces)


def test_buffers_hold_every_atom_around_the_box(liquid):
    liquid.new_array("number", np.arange(len(liquid)))
    fractional = liquid.get_scaled_positions()
    faces = 1 / np.linalg.norm(np.linalg.inv(liquid.cell.array), axis=0)
    divisions = np.rint(faces / (liquid.cell.volume * 80 / len(liquid)) ** (1 / 3))
    cores = []
    for piece in build_subcells(liquid, num_atoms=80, buffer_A=2.5):
        core = piece.arrays["number"][piece.arrays[FORCE_MASK]]
        cores.append(core)
        assert len(core) == piece.info["core_atoms"]
        edges = [np.unique(np.floor(fractional[core, k] * n)) for k, n in enumerate(divisions)]
        assert all(len(each) == 1 for each in edges)
        middle = np.array([(each[0] + 0.5) / n for each, n in zip(edges, divisions, strict=True)])
        away = np.abs((fractional - middle + 0.5) % 1 - 0.5)
        half = 0.5 / divisions + 2.5 / faces
        naive = np.flatnonzero((away <= half).all(axis=1))
        assert np.array_equal(np.sort(piece.arrays["number"]), naive)
        extents = piece.cell.lengths() / liquid.cell.lengths()
        assert extents == pytest.approx(
            2 * half + piece.info["pad_A"] / faces
        )  # each at its image in the box
    assert np.array_equal(np.sort(np.concatenate(cores)), np.arange(len(liquid)))


def test_a_direction_that_is_not_divided_stays_periodic():
    rod = bulk("Li", "bcc", a=3.4, cubic=True).repeat((2, 2, 40))
    pieces = list(build_subcells(rod, num_atoms=40))
    assert len(pieces) == 8
    for piece in pieces:
        assert piece.cell.lengths() == pytest.approx([6.8, 6.8, 17.0 + piece.info["pad_A"]])
    assert {len(piece) for piece in pieces} == {40}
    (whole,) = build_subcells(rod, num_atoms=1000)
    assert whole.cell.array == pytest.approx(rod.cell.array)
    assert whole.get_all_distances(mic=True) == pytest.approx(rod.get_all_distances(mic=True))


def test_molecules_stay_in_one_piece(water):
    cut = [piece.symbols.formula.count() for piece in build_subcells(water, num_atoms=60)]
    assert any(2 * each["O"] != each["H"] for each in cut)
    bonds = [["H", "O", 1.2]]
    for options in ({}, {"buffer_A": 2.0}):
        for piece in build_subcells(water, num_atoms=60, bonds=bonds, charges={"H": 1, "O": -2}, **options):
            assert piece.info["formal_charge"] == 0
            oxygens = np.flatnonzero(piece.symbols == "O")
            hydrogens = cKDTree(piece.positions[piece.symbols == "H"])
            assert {len(each) for each in hydrogens.query_ball_point(piece.positions[oxygens], 1.2)} == {2}


def test_units_are_joined_across_the_boundary(water):
    unit, positions = find_units(water, [["O", "H", 1.2]])
    assert np.array_equal(np.unique(unit, return_counts=True)[1], np.full(216, 3))
    for number in range(216):
        spread = np.ptp(positions[unit == number], axis=0)
        assert np.linalg.norm(spread) < 2.0
    moved = (positions - water.positions) / 24.0
    assert moved == pytest.approx(np.rint(moved), abs=1e-9)
    assert np.array_equal(find_units(water, [])[0], np.arange(len(water)))
    with pytest.raises(DataError, match="goes on for ever"):
        find_units(bulk("Li", cubic=True).repeat(3), [["Li", "Li", 3.2]])
    with pytest.raises(ConfigError, match="kinds of bonds"):
        find_units(water, [["O", "H"]])


def test_a_draw_of_pieces_is_seeded(liquid):
    def numbers(seed):
        return [tuple(each.positions[0]) for each in build_subcells(liquid, num_atoms=80, count=3, seed=seed)]

    assert len(numbers(0)) == 3
    assert numbers(0) == numbers(0)
    assert numbers(0) != numbers(1)


def test_mask_survives_a_file(liquid, tmp_path):
    piece = next(build_subcells(liquid, buffer_A=3.0))
    ase.io.write(tmp_path / "piece.extxyz", piece)
    read = ase.io.read(tmp_path / "piece.extxyz")
    assert read.arrays[FORCE_MASK].dtype == bool
    assert np.array_equal(read.arrays[FORCE_MASK], piece.arrays[FORCE_MASK])


@pytest.mark.slow
def test_a_hundred_thousand_atoms_take_seconds(liquid):
    seconds = {}
    for times in (4, 8):
        frame = liquid.repeat((times, 4, 5))
        start = time.process_time()
        count = sum(len(piece) for piece in build_subcells(frame))
        seconds[times] = time.process_time() - start
        assert count == len(frame)
    assert len(frame) > 1e5
    assert seconds[8] < 3 * seconds[4]


def test_pieces_that_make_no_sense(liquid):
    for options in ({"num_atoms": 0}, {"pad_A": -1.0}, {"buffer_A": -1.0}, {"count": 0}):
        with pytest.raises(ConfigError, match=r"found builder\.num_atoms"):
            next(build_subcells(liquid, **options))
    with pytest.raises(DataError, match="not periodic"):
        next(build_subcells(molecule("H2O")))


@pytest.mark.parametrize("buffer_A", [0.0, 3.0])
def test_a_piece_cut_around_an_atom_has_it_in_its_middle(buffer_A):
    rng = np.random.default_rng(4)
    parent = bulk("Cu", cubic=True).repeat(5)
    parent.rattle(0.1, seed=4)
    parent.arrays["number"] = np.arange(len(parent))
    for atom in rng.choice(len(parent), 4, replace=False):
        piece = cut_around(parent, int(atom), num_atoms=60, buffer_A=buffer_A)
        (place,) = np.flatnonzero(piece.arrays["number"] == atom)
        assert len(piece) < len(parent)
        assert piece.get_scaled_positions()[place] == pytest.approx([0.5] * 3, abs=0.07)
        if buffer_A:
            assert piece.arrays["force_mask"][place]
        near = parent.get_distances(atom, range(len(parent)), mic=True) < 3.2
        assert set(np.flatnonzero(near)) <= set(piece.arrays["number"])


@pytest.mark.parametrize(("num_atoms", "boxes"), [(400, 1), (256, 2), (170, 4), (64, 8)])
def test_cubes_are_cut_that_are_a_little_too_large(num_atoms, boxes):
    """Rounded each by itself, no edge of a cube would be divided below 3.4 times `num_atoms`."""
    parent = bulk("Cu", cubic=True).repeat(5)
    pieces = list(build_subcells(parent, num_atoms=num_atoms))
    assert len(pieces) == boxes
    assert sum(len(piece) for piece in pieces) == len(parent)
    assert len(cut_around(parent, 7, num_atoms=num_atoms)) == pytest.approx(len(parent) / boxes, rel=0.25)
