from dataclasses import replace

import numpy as np
import pytest
import torch
from structures import SPECIES, random_structure

from mlip.data import verlet
from mlip.data.graph import build_graph, collate
from mlip.data.verlet import MovingGraphs, VerletList

R_MAX, SKIN = 4.0, 0.8
SHORTER = ((3.1, 4.0, 3.5), (4.0, 2.7, 4.0), (3.3, 4.0, 4.0))  # not symmetric
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def moving(kind, seed, steps=60, step=0.05, strain=0.01):
    """A random walk, drifting as a whole, in a cell that is strained at random, too."""
    rng = np.random.default_rng(seed)
    atoms = random_structure(kind, seed)
    for _ in range(steps):
        yield atoms.copy()
        atoms.positions += rng.normal(size=atoms.positions.shape) * step + 0.1
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(size=(3, 3)) * strain), scale_atoms=True)


def assert_same(found, expected):
    for name, tensor in expected._tensors().items():
        assert torch.equal(getattr(found, name).cpu(), tensor), name


@pytest.fixture
def searches(monkeypatch):
    """The radii of all searches."""
    radii, search = [], verlet._search
    monkeypatch.setattr(verlet, "_search", lambda *given: radii.append(given[-1]) or search(*given))
    return radii


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("edge_cutoffs", [None, SHORTER])
@pytest.mark.parametrize("kind", ["triclinic", "small_cell", "slab", "molecule"])
def test_every_step_has_the_edges_of_a_fresh_list_in_their_order(kind, edge_cutoffs, device, searches):
    graphs = MovingGraphs(R_MAX, SPECIES, edge_cutoffs, device, SKIN)
    for atoms in moving(kind, seed=1):
        assert_same(graphs.build(atoms), build_graph(atoms, R_MAX, SPECIES, edge_cutoffs))
    assert 3 < len(searches) < 50


def test_a_list_lasts_until_two_atoms_may_have_crossed_the_skin(searches):
    graphs = MovingGraphs(R_MAX, SPECIES, skin=SKIN)
    atoms = random_structure("triclinic")
    for _ in range(2):
        graphs.build(atoms)
    atoms.positions += 5.0  # all together
    atoms.positions[0] += [0.39, 0.0, 0.0]
    graphs.build(atoms)
    assert searches == [R_MAX, R_MAX + SKIN]
    atoms.positions[0] += [0.1, 0.0, 0.0]
    graphs.build(atoms)
    assert searches == [R_MAX, R_MAX + SKIN, R_MAX + SKIN]


def test_a_strain_counts_as_far_as_it_brings_atoms_together(searches):
    graphs = MovingGraphs(R_MAX, SPECIES, skin=SKIN)
    atoms = random_structure("triclinic")
    for compression in (0.0, 0.0, 0.1, 0.3):
        squeezed = atoms.copy()
        squeezed.set_cell(atoms.cell.array * (1.0 - compression), scale_atoms=True)
        assert_same(graphs.build(squeezed), build_graph(squeezed, R_MAX, SPECIES))
    assert searches == [R_MAX, R_MAX + SKIN, R_MAX + SKIN]


def test_structures_that_do_not_follow_each_other_get_no_skin(searches):
    graphs = MovingGraphs(R_MAX, SPECIES, skin=SKIN)
    for seed in range(3):
        for kind in ("triclinic", "molecule", "atom"):
            atoms = random_structure(kind, seed)
            assert_same(graphs.build(atoms), build_graph(atoms, R_MAX, SPECIES))
    assert searches == [R_MAX] * 9


def test_other_elements_or_boundaries_in_the_same_place_are_another_structure():
    graphs = MovingGraphs(R_MAX, SPECIES, SHORTER, skin=SKIN)
    atoms = random_structure("triclinic")
    for change in (
        lambda: None,
        lambda: None,
        lambda: atoms.set_pbc([True, False, True]),
        lambda: atoms.numbers.sort(),
    ):
        change()
        assert_same(graphs.build(atoms), build_graph(atoms, R_MAX, SPECIES, SHORTER))


@pytest.mark.parametrize("device", DEVICES)
def test_a_batch_has_one_list(device):
    walks = zip(
        *(
            moving(kind, seed, steps=8, step=0.02, strain=0.002)
            for seed, kind in enumerate(("triclinic", "slab", "molecule", "small_cell"))
        ),
        strict=True,
    )
    built = None
    for structures in walks:
        expected = collate([build_graph(atoms, R_MAX, SPECIES) for atoms in structures])
        now = expected.to(device)
        pbc = torch.tensor(np.array([atoms.pbc for atoms in structures])).to(device)
        if built is None:
            built = VerletList.build(now, pbc, R_MAX, None, 2.0, 2.0)
        assert not built.is_stale(now.positions, now.cell)
        index, shift = built.edges(now.positions, now.cell)
        assert_same(replace(now, edge_index=index, edge_shift=shift), expected)


def test_lost_atoms_are_stale():
    graph = build_graph(random_structure("triclinic"), R_MAX, SPECIES)
    built = VerletList.build(graph, torch.ones(1, 3, dtype=torch.bool), R_MAX, None, SKIN, SKIN)
    assert not built.is_stale(graph.positions, graph.cell)
    assert built.is_stale(graph.positions * torch.nan, graph.cell)
    assert built.is_stale(graph.positions, graph.cell * 0.0)
