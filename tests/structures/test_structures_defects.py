"""Defects: orbits are counted exactly, against brute force and against pymatgen; charges; vacancies."""

from collections import Counter
from itertools import product

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal as spacegroup_crystal
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.io.ase import AseAtomsAdaptor

from mlip.errors import ConfigError, DataError
from mlip.structures.defects import build_defects
from mlip.structures.symmetry import find_operations, permute_sites
from mlip.structures.vacancies import build_vacancies
from mlip.structures.voids import find_voids


@pytest.fixture
def quartz():
    """alpha-quartz: no mirror, no inversion, a screw axis."""
    return spacegroup_crystal(
        ["Si", "O"],
        [(0.4697, 0, 1 / 3), (0.4135, 0.2669, 0.7858)],
        spacegroup=152,
        cellpar=[4.916, 4.916, 5.405, 90, 90, 120],
    )


@pytest.fixture
def perovskite():
    positions = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
    return Atoms("CaTiO3", scaled_positions=positions, cell=[3.9] * 3, pbc=True)


def matched(atoms, others):
    matcher = StructureMatcher(ltol=1e-3, stol=1e-3, angle_tol=0.1, primitive_cell=False, scale=False)
    structure = AseAtomsAdaptor.get_structure(atoms)
    return [k for k, each in enumerate(others) if matcher.fit(structure, AseAtomsAdaptor.get_structure(each))]


def test_voids_of_fcc_are_its_octahedra_and_tetrahedra():
    atoms = bulk("Cu", "fcc", a=3.6, cubic=True)
    for operations in (None, find_operations(atoms)):
        points, radii = find_voids(atoms, 0.5, operations)
        assert radii == pytest.approx([1.8] * 4 + [3.6 * 3**0.5 / 4] * 8)
        doubled = np.sort(np.rint(4 * points).astype(int) % 4, axis=1)
        assert Counter(map(tuple, doubled[:4].tolist())) == {(0, 0, 2): 3, (2, 2, 2): 1}
        assert set(doubled[4:].ravel().tolist()) <= {1, 3}
    assert len(find_voids(atoms, 1.6, None)[0]) == 4


def test_sites_are_permuted_as_the_atoms_are(quartz):
    operations = find_operations(quartz)
    permutations = permute_sites(quartz, quartz.get_scaled_positions(), operations)
    assert permutations.shape == (6, 9)
    assert np.array_equal(np.sort(permutations, axis=1), np.tile(np.arange(9), (6, 1)))
    assert np.array_equal(quartz.numbers[permutations], np.tile(quartz.numbers, (6, 1)))
    with pytest.raises(DataError, match="symmetry misses by"):
        permute_sites(quartz, np.array([[0.1, 0.2, 0.3]]), operations)


@pytest.mark.parametrize("supercell", [(1, 1, 1), (2, 1, 1)])
def test_multiplicities_add_up_to_all_arrangements(perovskite, quartz, supercell):
    for atoms, others in ((perovskite, 3), (quartz, 6)):
        n = others * np.prod(supercell)
        single = list(build_defects(atoms, replace=[["O", "N"]], supercell=supercell))
        assert sum(each.info["multiplicity"] for each in single) == n
        pair = list(build_defects(atoms, replace=[["O", "N"]], remove=["O"], supercell=supercell))
        assert sum(each.info["multiplicity"] for each in pair) == n * (n - 1)
        alike = list(build_defects(atoms, remove=["O", "O"], supercell=supercell))
        assert sum(each.info["multiplicity"] for each in alike) == n * (n - 1) // 2


def test_distinct_pairs_are_those_that_brute_force_and_pymatgen_find(quartz):
    oxygens = np.flatnonzero(quartz.symbols == "O")
    every = []
    for replaced, removed in product(oxygens, oxygens):
        if replaced != removed:
            atoms = quartz.copy()
            atoms.symbols[replaced] = "N"
            del atoms[removed]
            every.append(atoms)
    found = list(build_defects(quartz, replace=[["O", "N"]], remove=["O"]))
    members = [set(matched(each, every)) for each in found]
    assert [len(each) for each in members] == [each.info["multiplicity"] for each in found]
    assert sorted(k for each in members for k in each) == list(range(30))


def test_charge_balanced_defects_of_lithium_phosphate(lithium_phosphate):
    rich = list(build_defects(lithium_phosphate, replace=[["O", "N"]], add=["Li"]))
    assert {str(each.symbols.formula.reduce()[0].format("metal")) for each in rich} == {"Li7NO7P2"}
    voids = len(find_voids(lithium_phosphate, 1.5, find_operations(lithium_phosphate))[0])
    assert sum(each.info["multiplicity"] for each in rich) == 8 * voids
    assert {each.info["defect"] for each in rich} == {"O->N +Li"}
    assert all(each.get_distances(len(each) - 1, range(len(each) - 1), mic=True).min() > 1.5 for each in rich)
    poor = list(build_defects(lithium_phosphate, replace=[["O", "N"]], remove=["Li", "O"]))
    assert sum(each.info["multiplicity"] for each in poor) == 8 * 6 * 7
    assert poor[0].symbols.formula.count() == {"Li": 5, "P": 2, "N": 1, "O": 6}


def test_five_lithium_for_a_phosphorus(lithium_phosphate):
    options = {"remove": ["P"], "add": ["Li"] * 5, "max_count": 12}
    found = list(build_defects(lithium_phosphate, **options, seed=1))
    assert len(found) == 12
    for each in found:
        assert each.symbols.formula.count() == {"Li": 11, "P": 1, "O": 8}
        close = each.get_all_distances(mic=True)[np.triu_indices(len(each), 1)].min()
        assert close >= min(1.5, 1.4)
    again = list(build_defects(lithium_phosphate, **options, seed=1))
    assert all(np.array_equal(a.positions, b.positions) for a, b in zip(found, again, strict=True))
    other = list(build_defects(lithium_phosphate, **options, seed=2))
    assert not all(np.array_equal(a.positions, b.positions) for a, b in zip(found, other, strict=True))


def test_a_few_of_many_are_distinct(quartz):
    found = list(build_defects(quartz, replace=[["O", "N"]], remove=["O"], supercell=(2, 1, 1), max_count=6))
    assert len(found) == 6
    assert all(matched(each, found) == [k] for k, each in enumerate(found))


def test_charges_are_kept_where_there_is_one(perovskite):
    (vacancy,) = build_defects(perovskite, remove=["Ca"], charge=-2.0)
    assert vacancy.info["charge"] == -2.0
    assert "charge" not in next(build_defects(perovskite, remove=["Ca"])).info
    perovskite.info["charge"] = 2.0
    assert next(build_defects(perovskite, remove=["Ca"])).info["charge"] == 2.0
    (balanced,) = build_defects(perovskite, remove=["Ca"], charge=-2.0)
    assert "charge" not in balanced.info


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({}, ConfigError, "found no defect"),
        ({"replace": [["O"]]}, ConfigError, "expected pairs"),
        ({"remove": ["Xx"]}, ConfigError, "species Xx"),
        ({"remove": ["Li"]}, DataError, "found no sites for -Li"),
        ({"add": ["Li"], "min_distance_A": 4.0}, DataError, "found no void"),
        ({"remove": ["O"] * 4, "supercell": (3, 3, 3)}, ConfigError, "expected builder.max_count"),
        ({"remove": ["O"], "supercell": (1, 1)}, ConfigError, "three whole numbers"),
    ],
)
def test_defects_that_make_no_sense(perovskite, options, kind, message):
    with pytest.raises(kind, match=message):
        list(build_defects(perovskite, **options))


def test_random_vacancies():
    atoms = bulk("LiCl", "rocksalt", 5.13, cubic=True).repeat(3)
    structures = list(build_vacancies(atoms, species="Li", charge_per_vacancy=-1, count=40, seed=2))
    assert {each.symbols.formula.count()["Li"] for each in structures} == {107}  # 0.8 % of 108: one
    assert {each.info["charge"] for each in structures} == {-1.0}
    gone = [({*map(tuple, atoms.positions)} - {*map(tuple, each.positions)}).pop() for each in structures]
    assert len(set(gone)) > 25
    kept = [k for k, position in enumerate(atoms.positions) if tuple(position) != gone[0]]
    assert structures[0] == atoms[kept]


def test_vacancies_of_a_region():
    atoms = bulk("Li", cubic=True, a=3.4).repeat((4, 4, 20))
    middle = (30.0, 38.0)
    (found,) = build_vacancies(atoms, species="Li", concentration_percent=10.0, z_A=middle)
    before, after = (
        ((each.positions[:, 2] >= 30) & (each.positions[:, 2] < 38)).sum() for each in (atoms, found)
    )
    assert before - after == round(0.1 * before) == found.info["vacancies"] == len(atoms) - len(found)
    with pytest.raises(DataError, match=r"found no Na .*z in \[30\.0, 38\.0\]"):
        next(build_vacancies(atoms, species="Na", z_A=middle))
    with pytest.raises(ConfigError, match=r"found builder\.concentration_percent"):
        next(build_vacancies(atoms, species="Li", concentration_percent=0))
    with pytest.raises(ConfigError, match=r"z_A=\[5, 3\]"):
        next(build_vacancies(atoms, species="Li", z_A=[5, 3]))
