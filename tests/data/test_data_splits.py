import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from scipy.spatial.transform import Rotation

from mlip.data.read import read_frames
from mlip.data.splits import split_frames
from mlip.data.twins import find_twins
from mlip.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def lips():
    return read_frames("dataset:lips/train_700.extxyz.xz", index=":150")


def displaced(atoms, rms, rng):
    twin = atoms.copy()
    move = rng.normal(size=(len(atoms), 3))
    move -= move.mean(axis=0)
    twin.positions += rms * move / np.sqrt(np.mean(np.sum(move**2, axis=1)))
    return twin


def distance(first, second):
    twins = find_twins([first, second], threshold=1e9)
    assert len(twins.distance) == 1
    return twins.distance[0]


def test_distance_is_the_rms_displacement_in_an_orthogonal_cell():
    atoms = bulk("Li", "bcc", a=3.4, cubic=True) * (2, 3, 4)
    twin = displaced(atoms, 0.1, np.random.default_rng(0))
    assert distance(atoms, twin) == pytest.approx(0.1, rel=2e-3)


def test_distance_in_a_skew_cell_is_right_within_the_skew(lips):
    twin = displaced(lips[0], 0.1, np.random.default_rng(0))
    assert distance(lips[0], twin) == pytest.approx(0.1, rel=0.15)


def test_shifts_images_and_the_open_direction():
    rng = np.random.default_rng(1)
    crystal = bulk("Li", "bcc", a=3.4, cubic=True) * (2, 2, 2)
    moved = displaced(crystal, 0.1, rng)
    moved.positions += [3.0, -7.0, 1.2]
    moved.positions[::3] += crystal.cell.array[1]
    assert distance(crystal, moved) == pytest.approx(0.1, rel=5e-3)
    slab = fcc111("Al", (2, 2, 3), vacuum=8.0)
    moved = displaced(slab, 0.1, rng)
    moved.positions += [1.0, 2.0, 5.0]
    moved.cell[2] *= 1.5
    assert distance(slab, moved) == pytest.approx(0.1, rel=0.25)


def test_molecules_may_turn():
    water = molecule("C6H6")
    turned = displaced(water, 0.05, np.random.default_rng(2))
    turned.positions = turned.positions @ Rotation.random(random_state=0).as_matrix() + 4.0
    assert distance(water, turned) == pytest.approx(0.05, rel=0.3)


def test_strained_cells_are_not_twins():
    first = bulk("Li", "bcc", a=3.4, cubic=True)
    second = first.copy()
    second.set_cell(first.cell * 1.2, scale_atoms=True)
    assert distance(first, second) == pytest.approx(0.2 * 3.4 * np.sqrt(3 / 12), rel=1e-6)


def test_other_elements_or_boundaries_are_not_compared():
    lithium, sodium = Atoms("Li2", [[0, 0, 0], [0, 0, 3]]), Atoms("LiNa", [[0, 0, 0], [0, 0, 3]])
    periodic = Atoms("Li2", [[0, 0, 0], [0, 0, 3]], cell=[9, 9, 9], pbc=True)
    assert len(find_twins([lithium, sodium, periodic], threshold=1e9).distance) == 0


def test_blocks_give_the_same_pairs(lips, monkeypatch):
    frames = [atoms.copy() for atoms in lips]
    for atoms, stretch in zip(frames, np.random.default_rng(5).uniform(0.98, 1.02, len(frames)), strict=True):
        atoms.set_cell(atoms.cell * stretch, scale_atoms=True)
    whole = find_twins(frames, threshold=1.0)
    monkeypatch.setattr("mlip.data.twins._ROWS_AT_ONCE", 7)
    parts = find_twins(frames, threshold=1.0)
    assert len(whole.first) > 100
    assert set(zip(whole.first, whole.second, strict=True)) == set(
        zip(parts.first, parts.second, strict=True)
    )


def test_known_twins_of_lips():
    frames = read_frames("dataset:lips/train_700.extxyz.xz")
    twins = find_twins(frames)
    assert len(twins.distance) == 155
    assert twins.distance.min() == pytest.approx(0.0183, abs=1e-4)
    far_apart = twins.second - twins.first
    assert np.median(far_apart) > 100
    assert np.bincount(twins.groups).max() == 5


def test_shuffled_near_twins_stay_on_one_side(lips):
    rng = np.random.default_rng(3)
    parents = np.repeat(np.arange(40), 5)
    order = rng.permutation(len(parents))
    frames = [displaced(lips[parent], 0.02, rng) for parent in parents[order]]
    split = split_frames(frames, num_valid=40, seed=0)
    train, valid = set(parents[order][split.train_indices]), set(parents[order][split.valid_indices])
    assert not train & valid
    assert len(split.valid_indices) == 40
    pairs = find_twins(frames)
    sides = np.isin(np.arange(len(frames)), split.valid_indices)
    assert np.array_equal(sides[pairs.first], sides[pairs.second])


def test_split_is_a_partition_that_depends_on_the_seed(lips):
    first, again, other = (split_frames(lips, fraction=0.2, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.valid_indices, again.valid_indices)
    assert not np.array_equal(first.valid_indices, other.valid_indices)
    assert sorted([*first.train_indices, *first.valid_indices]) == list(range(len(lips)))
    assert len(first.valid_indices) == 30


def test_large_groups_come_as_close_as_possible_and_warn(lips, caplog):
    rng = np.random.default_rng(4)
    frames = [displaced(lips[parent], 0.02, rng) for parent in [0] * 12 + [1] * 8]
    split = split_frames(frames, num_valid=5, seed=0)
    assert len(split.valid_indices) == 8
    assert "8 frames validate instead of 5" in caplog.text


def test_lone_atoms_train():
    lone = [Atoms("Li"), Atoms("S")]
    frames = lone + [displaced(molecule("C6H6"), 1.0, np.random.default_rng(i)) for i in range(4)]
    for seed in range(10):
        assert set(split_frames(frames, num_valid=2, seed=seed).train_indices) >= {0, 1}


def test_impossible_splits(lips):
    with pytest.raises(DataError, match=r"data\.valid=FILE"):
        split_frames([lips[0]] * 4, num_valid=2)
    for size in (
        {},
        {"fraction": 0.0},
        {"fraction": 1.5},
        {"num_valid": 150},
        {"fraction": 0.1, "num_valid": 3},
    ):
        with pytest.raises(ConfigError):
            split_frames(lips, **size)
