import numpy as np
import pytest
from ase.neighborlist import primitive_neighbor_list
from scipy.spatial.transform import Rotation

from mlip.data.neighbors import neighbor_list
from mlip.errors import DataError


def as_set(centers, neighbors, shifts):
    pairs = zip(centers.tolist(), neighbors.tolist(), shifts.tolist(), strict=True)
    return {(i, j, tuple(shift)) for i, j, shift in pairs}


def oracle(positions, cell, pbc, r_max):
    return as_set(*primitive_neighbor_list("ijS", pbc, cell, positions, r_max, self_interaction=False))


def ours(positions, cell, pbc, r_max):
    edge_index, edge_shift = neighbor_list(positions, cell, pbc, r_max)
    edges = as_set(*edge_index, edge_shift)
    rows = np.vstack([edge_index, edge_shift.T]).T.tolist()
    assert rows == sorted(rows), "edges do not stand in their order"
    assert len(edges) == edge_index.shape[1], "a pair is listed twice"
    return edges


def random_structure(rng):
    """Skew cells down to a fraction of the cutoff, atoms inside and far outside of them."""
    cell = rng.normal(size=(3, 3)) * rng.uniform(2.0, 6.0)
    while abs(np.linalg.det(cell)) < 3.0:
        cell = rng.normal(size=(3, 3)) * rng.uniform(2.0, 6.0)
    positions = rng.normal(size=(rng.integers(1, 12), 3)) * rng.uniform(1.0, 8.0)
    return positions, cell, rng.random(3) < 0.5, rng.uniform(1.0, 5.0)


@pytest.mark.parametrize("seed", range(60))
def test_agrees_with_ase_for_skew_cells_and_partial_pbc(seed):
    positions, cell, pbc, r_max = random_structure(np.random.default_rng(seed))
    assert ours(positions, cell, pbc, r_max) == oracle(positions, cell, pbc, r_max)


@pytest.mark.parametrize("seed", range(10))
def test_a_rotation_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    positions, cell, pbc, r_max = random_structure(rng)
    rotation = Rotation.random(random_state=seed).as_matrix().T
    assert ours(positions @ rotation, cell @ rotation, pbc, r_max) == ours(positions, cell, pbc, r_max)


@pytest.mark.parametrize("seed", range(10))
def test_distances_follow_from_the_documented_formula(seed):
    positions, cell, pbc, r_max = random_structure(np.random.default_rng(seed))
    (i, j), shift = neighbor_list(positions, cell, pbc, r_max)
    vectors = positions[j] - positions[i] + shift @ cell
    assert np.all(np.linalg.norm(vectors, axis=1) <= r_max)
    assert np.all(np.diff(i) >= 0)
    assert not np.any(shift[:, ~pbc])


def test_every_pair_has_its_reverse():
    positions, cell, _, r_max = random_structure(np.random.default_rng(3))
    edges = ours(positions, cell, True, r_max)
    assert {(j, i, (-a, -b, -c)) for i, j, (a, b, c) in edges} == edges


def test_cell_smaller_than_the_cutoff_counts_all_images():
    edge_index, edge_shift = neighbor_list(np.zeros((1, 3)), np.eye(3) * 2.0, True, 4.1)
    expected = sum(1 for n in np.ndindex(5, 5, 5) if 0 < 2.0 * np.linalg.norm(np.array(n) - 2) < 4.1)
    assert edge_index.shape[1] == expected == 32
    assert not np.any(edge_index)
    assert np.all(np.any(edge_shift != 0, axis=1))


def test_molecule_without_cell_and_single_atom():
    edge_index, edge_shift = neighbor_list([[0, 0, 0], [1, 0, 0], [9, 0, 0]], np.zeros((3, 3)), False, 2.0)
    assert edge_index.tolist() == [[0, 1], [1, 0]]
    assert not np.any(edge_shift)
    lonely, shifts = neighbor_list(np.zeros((1, 3)), np.zeros((3, 3)), False, 5.0)
    assert lonely.shape == (2, 0)
    assert lonely.dtype == np.int64
    assert shifts.shape == (0, 3)


def test_slab_and_wire_may_lack_their_open_lattice_vectors():
    slab = np.array([[4.0, 0, 0], [1.0, 3.0, 0], [0, 0, 0]])
    positions = np.random.default_rng(0).normal(size=(5, 3))
    assert ours(positions, slab, [True, True, False], 5.0) == oracle(
        positions, slab + np.diag([0, 0, 30.0]), [True, True, False], 5.0
    )
    wire = np.diag([0, 3.0, 0])
    assert len(ours(np.zeros((1, 3)), wire, [False, True, False], 7.0)) == 4


@pytest.mark.parametrize(
    "cell",
    [
        np.zeros((3, 3)),
        np.diag([5.0, 5.0, 0.0]),
        np.array([[5.0, 0, 0], [0, 5, 0], [5, 5, 0]]),
        np.eye(3) * np.nan,
    ],
)
def test_flat_periodic_cell_is_refused(cell):
    with pytest.raises(DataError, match="no volume"):
        neighbor_list(np.zeros((1, 3)), cell, True, 3.0)


def test_lost_atoms_are_one_error_not_a_crash():
    with pytest.raises(DataError, match="finite"):
        neighbor_list([[0, 0, 0], [np.nan, 0, 0]], np.eye(3) * 9, True, 3.0)
    with pytest.raises(DataError, match="lost"):
        neighbor_list([[0, 0, 0], [1e8, 0, 0]], np.zeros((3, 3)), False, 3.0)


@pytest.mark.parametrize("size", [(2, 300, 300), (2, 1e4, 1e4), (2, 2, 2e4), (300, 300, 300), (2, 2, 2e7)])
def test_needles_and_sheets_give_the_answer_or_an_error(size):
    try:
        edges = ours(np.zeros((1, 3)), np.diag(np.array(size) + 0.5), True, 3.0)
    except DataError:
        assert max(size) > 3e3
    else:
        assert len(edges) == 2 * sum(length < 3 for length in size)
