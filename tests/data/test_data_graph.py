import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator

from mlip.data.graph import build_graph, collate, label_graph
from mlip.errors import DataError

SPECIES = ("H", "Li", "O")


def labelled(atoms, **results):
    atoms.calc = SinglePointCalculator(atoms, **results)
    return label_graph(build_graph(atoms, 4.0, SPECIES), atoms)


def lithium(stress=None):
    atoms = bulk("Li", "bcc", a=3.4, cubic=True) * (2, 1, 1)
    atoms.rattle(0.1, seed=1)
    labels = {"energy": -1.0, "free_energy": -1.5, "forces": np.full((4, 3), 0.5)}
    return labelled(atoms, **labels, **({} if stress is None else {"stress": stress}))


def test_vectors_of_a_graph_are_those_of_ase():
    atoms = bulk("Li", "fcc", a=4.3)
    atoms.positions += [10.0, -3.0, 1.0]
    graph = build_graph(atoms, 3.1, SPECIES)
    i, j = graph.edge_index
    vectors = graph.positions[j] - graph.positions[i] + graph.edge_shift @ graph.cell[0]
    assert len(vectors) == 12
    torch.testing.assert_close(vectors.norm(dim=1), torch.full((12,), 4.3 / np.sqrt(2), dtype=torch.float64))


def test_types_and_species():
    graph = build_graph(molecule("H2O"), 3.0, SPECIES)
    assert graph.species.tolist() == [2, 0, 0]
    assert graph.positions.dtype == graph.edge_shift.dtype == graph.cell.dtype == torch.float64
    assert graph.edge_index.dtype == graph.batch.dtype == graph.species.dtype == torch.int64


def test_a_molecule_in_a_box_has_zero_cell():
    water = molecule("H2O")
    water.cell = np.eye(3) * 50.0
    assert not torch.any(build_graph(water, 3.0, SPECIES).cell)


def test_a_graph_does_not_share_memory_with_its_atoms():
    atoms = bulk("Li")
    graph = build_graph(atoms, 3.0, SPECIES)
    atoms.positions += 1.0
    assert not torch.any(graph.positions)


def test_unknown_species_are_listed():
    with pytest.raises(DataError, match="contains Cl, Na;"):
        build_graph(Atoms("NaClLi", positions=np.eye(3) * 3), 3.0, SPECIES)


def test_labels_prefer_the_force_consistent_energy():
    stress = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    graph = lithium(stress)
    assert graph.energy.tolist() == [-1.5]
    assert graph.stress[0, 1, 2] == 4.0
    assert graph.stress[0, 0, 1] == 6.0
    assert graph.has_stress.tolist() == [True]
    assert lithium().has_stress.tolist() == [False]


def test_missing_forces_are_refused():
    with pytest.raises(DataError, match="no forces"):
        labelled(molecule("H2O"), energy=1.0)


def test_collate_offsets_edges_and_keeps_order():
    first, second = lithium([0.1] * 6), lithium()
    batch = collate([first, second, first])
    assert batch.num_structures == 3
    assert batch.num_atoms.tolist() == [4, 4, 4]
    assert batch.has_stress.tolist() == [True, False, True]
    assert batch.cell.shape == batch.stress.shape == (3, 3, 3)
    edges = first.edge_index.shape[1]
    assert torch.equal(batch.edge_index[:, edges : 2 * edges], second.edge_index + 4)
    assert torch.equal(batch.batch[batch.edge_index[0]], batch.batch[batch.edge_index[1]])
    assert torch.all(torch.diff(batch.edge_index[0]) >= 0)


def test_batches_of_batches_are_batches():
    first, second = lithium(), lithium([0.1] * 6)
    nested = collate([collate([first, second]), second])
    flat = collate([first, second, second])
    for name in ("positions", "edge_index", "batch", "cell", "energy", "has_stress"):
        assert torch.equal(getattr(nested, name), getattr(flat, name)), name


def test_to_moves_every_tensor():
    moved = lithium([0.1] * 6).to("meta")
    assert {tensor.device.type for tensor in moved._tensors().values()} == {"meta"}
