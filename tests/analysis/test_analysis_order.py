"""Steinhardt order, lattices, domains: perfect and rattled crystals in any orientation, against freud."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from md.analysis import Frames
from md.analysis.crystallinity import compute_crystallinity
from md.analysis.domains import find_domains
from md.analysis.lattice_templates import lattice_templates
from md.analysis.pairs import find_nearest, find_pairs
from md.analysis.steinhardt import compute_steinhardt
from md.analysis.template_matching import match_lattices
from mlip.errors import DataError

CRYSTALS = {
    "fcc": bulk("Cu", "fcc", a=3.6, cubic=True).repeat(3),
    "hcp": bulk("Mg", "hcp", a=3.2, c=3.2 * np.sqrt(8 / 3)).repeat(4),
    "bcc": bulk("Fe", "bcc", a=2.87, cubic=True).repeat(4),
    "sc": bulk("Po", "sc", a=3.3).repeat(4),
}


def lean(atoms, seed=0, rattle=0.0):
    """Turned at random, with atoms in another order, moved, and rattled."""
    rng = np.random.default_rng(seed)
    turned = atoms[rng.permutation(len(atoms))]
    turned.rotate(float(rng.uniform(0, 360)), rng.normal(size=3), rotate_cell=True)
    turned.positions += rng.normal(scale=5.0, size=3) + rng.normal(scale=rattle, size=(len(atoms), 3))
    return turned


def scaled(atoms):
    return atoms.get_scaled_positions(wrap=False), atoms.cell.array


@pytest.mark.parametrize(
    ("name", "q4", "q6"),
    [("fcc", 0.19094, 0.57452), ("hcp", 0.09722, 0.48476), ("sc", 0.76376, 0.35355)],
)
def test_bond_order_of_perfect_lattices(name, q4, q6):
    """The values of Steinhardt et al. 1983 and Mickel et al. 2013, with 12 (6) neighbors."""
    neighbors = 6 if name == "sc" else 12
    for degree, expected in ((4, q4), (6, q6)):
        result = compute_steinhardt(*scaled(lean(CRYSTALS[name])), degree, neighbors)
        np.testing.assert_allclose(result.q, expected, atol=1e-5)
    if name != "hcp":  # its two sublattices are mirror images of each other
        np.testing.assert_allclose(result.averaged, expected, atol=1e-5)


def test_bond_order_equals_a_naive_sum_of_legendre_polynomials():
    """|q_lm|^2 summed over m is a double sum of P_l over neighbors: the addition theorem."""
    atoms = lean(CRYSTALS["fcc"], rattle=0.3)
    _, vectors = find_nearest(*scaled(atoms), 12)
    directions = vectors / np.linalg.norm(vectors, axis=2, keepdims=True)
    cosines = np.einsum("nik,njk->nij", directions, directions)
    legendre = np.polynomial.legendre.Legendre.basis(6)(cosines)
    expected = np.sqrt(legendre.mean(axis=(1, 2)))
    np.testing.assert_allclose(compute_steinhardt(*scaled(atoms)).q, expected, atol=1e-12)


def test_bond_order_equals_freud():
    freud = pytest.importorskip("freud")
    atoms = CRYSTALS["fcc"].copy()
    atoms.rattle(0.2, seed=2)
    box = freud.box.Box.from_matrix(atoms.cell.array.T)
    points = box.wrap(atoms.positions - atoms.cell.array.sum(axis=0) / 2)
    for degree in (4, 6):
        ours = compute_steinhardt(*scaled(atoms), degree)
        for average, values in ((False, ours.q), (True, ours.averaged)):
            theirs = freud.order.Steinhardt(l=degree, average=average)
            theirs.compute((box, points), neighbors={"num_neighbors": 12})
            np.testing.assert_allclose(values, theirs.particle_order, atol=5e-6)  # freud is float32


def test_nearest_neighbors_are_the_first_of_all_pairs():
    rng = np.random.default_rng(4)
    cell = np.array([[6.0, 0, 0], [2.5, 5.0, 0], [-2.0, 1.0, 30.0]])
    fractional = rng.uniform(-1, 2, (9, 3))
    neighbors, vectors = find_nearest(fractional, cell, 14)
    centre, other, all_vectors = find_pairs(fractional, cell, 25.0)
    for atom in range(9):
        lengths = np.linalg.norm(all_vectors[centre == atom], axis=1)
        order = np.argsort(lengths)[:14]
        np.testing.assert_allclose(np.linalg.norm(vectors[atom], axis=1), lengths[order])
        assert neighbors[atom].tolist() == other[centre == atom][order].tolist()


def test_templates_know_their_symmetry():
    """Ways to lay two directions on a template, divided by its rotations: 24, 6, 24 and 24 of them."""
    assert {each.name: (each.num_neighbors, len(each.starts)) for each in lattice_templates()} == {
        "fcc": (12, 5),
        "hcp": (12, 21),
        "bcc": (14, 7),
        "sc": (6, 1),
    }


@pytest.mark.parametrize("name", CRYSTALS)
@pytest.mark.parametrize("rattle", [0.0, 0.1])
def test_lattices_are_recognised_in_any_orientation(name, rattle):
    match = match_lattices(*scaled(lean(CRYSTALS[name], seed=1, rattle=rattle)))
    assert match.shares[name] > 0.97
    assert match.deviations.mean() < (1e-6 if rattle == 0 else 0.1)
    assert match.value == pytest.approx(1 - match.shares["amorphous"])


def test_a_gas_is_amorphous_and_scale_does_not_matter():
    rng = np.random.default_rng(0)
    assert match_lattices(rng.uniform(size=(300, 3)), 20 * np.eye(3)).value == 0.0
    atoms = lean(CRYSTALS["hcp"], rattle=0.1)
    grown = atoms.copy()
    grown.set_cell(1.7 * atoms.cell.array, scale_atoms=True)
    np.testing.assert_allclose(
        match_lattices(*scaled(grown)).deviations, match_lattices(*scaled(atoms)).deviations, atol=1e-12
    )


def test_domains_of_two_clusters_one_through_the_wall():
    heights = np.array([0.02, 0.98, 0.94, 0.4, 0.45, 0.7])
    fractional = np.stack([np.full(6, 0.5), np.full(6, 0.5), heights], axis=1)
    domains = find_domains(fractional, 40 * np.eye(3), np.array([True, True, True, True, True, False]), 3.0)
    assert domains.sizes.tolist() == [3, 2]
    assert domains.labels.tolist() == [0, 0, 0, 1, 1, -1]
    assert domains.value == pytest.approx((9 + 4) / 5)
    nothing = find_domains(fractional, 40 * np.eye(3), np.zeros(6, dtype=bool), 3.0)
    assert nothing.value == 0.0
    assert nothing.sizes.size == 0


def test_anions_of_an_antifluorite_grain_in_a_gas():
    """A slab of Li2S between random anions: the inner layers of its S are fcc."""
    slab = bulk("Li2S", "fluorite", a=5.7, cubic=True).repeat((3, 3, 4))
    slab.rattle(0.08, seed=0)
    rng = np.random.default_rng(1)
    height = slab.cell[2, 2]
    stray = Atoms("S60", positions=rng.uniform(size=(60, 3)) * [17.1, 17.1, height] + [0, 0, height])
    both = Atoms(cell=[17.1, 17.1, 2 * height], pbc=True) + slab + stray
    fractional = np.tile(both.get_scaled_positions(), (2, 1, 1))
    frames = Frames(fractional, np.tile(both.cell.array, (2, 1, 1)), both.numbers, np.arange(2.0))
    result = compute_crystallinity(frames)
    assert result.sublattice == ("S",)
    num_sulfur = 144
    inner = num_sulfur * 6 / 8  # eight layers, the outer two lack neighbors
    assert result.shares["fcc"][0] * (num_sulfur + 60) == pytest.approx(inner, abs=4)
    assert result.largest_domain[0] == pytest.approx(inner, abs=4)
    assert result.mean_domain[0] == pytest.approx(result.largest_domain[0], abs=3)
    assert not result.warnings
    with pytest.raises(DataError, match="expected at least 32"):
        compute_crystallinity(frames, ("P",))


def test_a_crystal_of_another_lattice_is_not_called_a_glass_without_a_warning():
    diamond = bulk("Si", "diamond", a=5.43, cubic=True).repeat(3)
    cells = np.tile(diamond.cell.array, (2, 1, 1))
    scaled = np.tile(diamond.get_scaled_positions(), (2, 1, 1))
    result = compute_crystallinity(Frames(scaled, cells, diamond.numbers, np.arange(2.0)), ("Si",))
    assert result.value == 0.0
    (warning,) = result.warnings
    assert warning.startswith("a glass, or a crystal whose lattice is not among fcc, hcp, bcc, sc:")
