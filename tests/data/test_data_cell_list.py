import numpy as np
import pytest
import torch

from mlip.data import cell_list
from mlip.data.cell_list import batched_neighbor_list
from mlip.data.neighbors import neighbor_list
from mlip.errors import DataError

CUDA = pytest.param("cuda", marks=pytest.mark.gpu)


def random_structure(rng, kind):
    """Atoms inside and far outside of skew cells, also ones much smaller than the cutoff."""
    scale, number = {"tiny": (1.2, 3), "large": (9.0, 60)}.get(kind, (4.0, 12))
    cell = rng.normal(size=(3, 3)) * scale
    while abs(np.linalg.det(cell)) < 0.3 * scale**3:
        cell = rng.normal(size=(3, 3)) * scale
    pbc = {"molecule": [False] * 3, "wire": [False, True, False], "slab": [True, False, True]}.get(
        kind, [True] * 3
    )
    cell[~np.array(pbc)] *= rng.integers(2)  # open directions may lack their vectors
    return rng.normal(size=(rng.integers(1, number), 3)) * 2.0 * scale, cell, np.array(pbc)


def expected_edges(structures, r_max):
    """vesin's edges, structure by structure."""
    first, indices, shifts = 0, [], []
    for positions, cell, pbc in structures:
        index, shift = neighbor_list(positions, cell, pbc, r_max)
        indices.append(index + first)
        shifts.append(shift)
        first += len(positions)
    return np.concatenate(indices, axis=1), np.concatenate(shifts)


def find(structures, r_max, device="cpu"):
    positions, cells, pbc = (
        np.array(each)
        for each in (
            np.concatenate([s[0] for s in structures]),
            [s[1] for s in structures],
            [s[2] for s in structures],
        )
    )
    batch = np.repeat(np.arange(len(structures)), [len(s[0]) for s in structures])
    inputs = [torch.from_numpy(array).to(device) for array in (positions, cells, pbc, batch)]
    index, shift = batched_neighbor_list(*inputs, r_max)
    return index.cpu().numpy(), shift.cpu().numpy()


def assert_found(structures, r_max, device="cpu"):
    for found, expected in zip(
        find(structures, r_max, device), expected_edges(structures, r_max), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("kind", ["crystal", "tiny", "large", "slab", "wire", "molecule"])
def test_edges_are_those_of_vesin_in_their_order(kind, device):
    rng = np.random.default_rng(0)
    for _ in range(8):
        assert_found([random_structure(rng, kind)], rng.uniform(1.0, 5.0), device)


@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_a_batch_is_its_structures_side_by_side(device):
    rng = np.random.default_rng(1)
    kinds = ("molecule", "tiny", "large", "slab", "crystal", "wire", "molecule")
    assert_found([random_structure(rng, kind) for kind in kinds], 4.0, device)


def test_many_small_pieces_give_the_same(monkeypatch):
    structures = [random_structure(np.random.default_rng(2), "large") for _ in range(3)]
    monkeypatch.setattr(cell_list, "_PAIRS_AT_ONCE", 1000)
    assert_found(structures, 3.0)


def test_bins_do_not_grow_with_the_distance_between_atoms():
    far = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1e7, 1e7, 1e7]])
    index, _ = find([(far, np.zeros((3, 3)), np.zeros(3, dtype=bool))], 2.0)
    assert index.tolist() == [[0, 1], [1, 0]]


def test_an_atom_alone_has_no_neighbors():
    index, shift = find([(np.zeros((1, 3)), np.zeros((3, 3)), np.zeros(3, dtype=bool))], 2.0)
    assert index.shape == (2, 0)
    assert shift.shape == (0, 3)


def test_what_has_no_edges_is_refused():
    nowhere = np.array([[0.0, 0.0, 0.0], [np.nan, 0.0, 0.0]])
    with pytest.raises(DataError, match="finite"):
        find([(nowhere, np.eye(3), np.ones(3, dtype=bool))], 2.0)
    with pytest.raises(DataError, match="no volume"):
        find([(np.zeros((1, 3)), np.diag([1.0, 1.0, 0.0]), np.ones(3, dtype=bool))], 2.0)
