"""Common cells of surface lattices, against pymatgen's search, and stacks whose interfaces are alike."""

import numpy as np
import pytest
import spglib
from ase.build import bulk, make_supercell
from ase.neighborlist import neighbor_list
from ase.spacegroup import crystal
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import KDTree

from mlip.data.neighbors import neighbor_list as our_list
from mlip.errors import ConfigError, DataError
from mlip.structures.flips import find_flips, plane_symmetries
from mlip.structures.glass import build_glass
from mlip.structures.interfaces import build_interface
from mlip.structures.lattice_matching import match_lattices, reduced_supercells, supercells
from mlip.structures.packing import closest_contact
from mlip.structures.registry import closest_gap
from mlip.structures.slabs import build_slabs
from mlip.structures.stacking import Stacking, count_formula_units, stack_interface, strain_slab

HEXAGON = 4.0 * np.array([[1, 0], [0.5, np.sqrt(0.75)]])
SQUARE = 3.44 * np.eye(2)
# bcc (110)
RHOMBUS = 3.44 * np.array([[1, 0], [0.5, np.sqrt(0.5)]])
RECTANGLE = np.array([[5.71, 0], [0, 4.0376]])


@pytest.fixture(scope="module")
def lithium():
    return bulk("Li", "bcc", a=3.44)


@pytest.fixture(scope="module")
def sulfide():
    """Li2S, antifluorite."""
    return bulk("SLi2", "fluorite", a=5.71)


@pytest.fixture(scope="module")
def phosphide():
    """Li3P, P6_3/mmc."""
    return crystal(
        ["P", "Li", "Li"],
        [(1 / 3, 2 / 3, 0.25), (0, 0, 0.25), (1 / 3, 2 / 3, 0.583)],
        spacegroup=194,
        cellpar=[4.273, 4.273, 7.594, 90, 90, 120],
    )


def test_supercells_are_counted_by_the_divisors():
    for number, count in ((1, 1), (2, 3), (4, 7), (6, 12)):
        forms = supercells(number)
        assert len(forms) == count
        assert (np.rint(np.linalg.det(forms)) == number).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 7), st.floats(3, 9), st.floats(3, 9), st.floats(35, 145))
def test_reduced_bases_are_the_shortest_of_the_same_lattice(number, a, b, angle):
    lattice = np.array([[a, 0], [b * np.cos(np.deg2rad(angle)), b * np.sin(np.deg2rad(angle))]])
    for form, reduced in zip(supercells(number), reduced_supercells(lattice, number), strict=True):
        change = reduced @ np.linalg.inv(form)
        assert np.allclose(change, np.rint(change))
        assert np.linalg.det(change) == pytest.approx(1.0)
        combinations = np.array([(i, j) for i in range(-3, 4) for j in range(-3, 4) if (i, j) != (0, 0)])
        shortest = np.linalg.norm(combinations @ reduced @ lattice, axis=1).min()
        assert np.linalg.norm(reduced[0] @ lattice) == pytest.approx(shortest)


def test_known_coincidences():
    """A lattice and itself; one turned by 45 degrees; one that is 3 % larger."""
    same = match_lattices(SQUARE, SQUARE, 12.0, 0.01)[0]
    assert same.misfit == pytest.approx(0, abs=1e-12)
    turned = SQUARE @ np.array([[1, 1], [-1, 1]])  # sqrt(2) longer
    assert match_lattices(turned, SQUARE, 24.0, 0.01)[0].misfit == pytest.approx(0, abs=1e-12)
    stretched = match_lattices(1.03 * HEXAGON, HEXAGON, 16.0, 0.05)[0]
    assert stretched.stretches == pytest.approx((0.03, 0.03))
    assert stretched.strain_of(0) == pytest.approx((1 / 1.03 - 1,) * 2)


@pytest.mark.parametrize(
    ("first", "second"), [(RECTANGLE, RHOMBUS), (HEXAGON, SQUARE), (HEXAGON, RHOMBUS)], ids=str
)
def test_no_match_of_pymatgen_is_better(first, second):
    """Each pair of supercells that its search finds is no smaller and no less strained than one of ours."""
    from pymatgen.analysis.interfaces.zsl import ZSLGenerator

    theirs = list(
        ZSLGenerator(max_area_ratio_tol=0.1, max_area=160, max_length_tol=0.05, max_angle_tol=0.03)(
            np.pad(second, ((0, 0), (0, 1))), np.pad(first, ((0, 0), (0, 1)))
        )
    )
    assert theirs
    ours = match_lattices(first, second, 160.0, 0.1)
    areas = np.array([match.area_A2 for match in ours])
    assert (np.diff(areas) > 0).all()
    assert (np.diff([match.misfit for match in ours]) < 0).all()
    for match in theirs:
        vectors = [np.array(v)[:, :2] for v in (match.substrate_sl_vectors, match.film_sl_vectors)]
        stretches = np.linalg.svd(np.linalg.inv(vectors[1]) @ vectors[0], compute_uv=False) - 1
        best = min(each.misfit for each in ours if each.area_A2 < abs(np.linalg.det(vectors[0])) + 0.1)
        assert best <= np.abs(stretches).max() + 1e-6


def test_a_match_is_what_it_says():
    for match in match_lattices(HEXAGON, RHOMBUS, 200.0, 0.06):
        cells = match.first @ HEXAGON, match.second @ RHOMBUS
        assert np.linalg.det(cells[0]) == pytest.approx(match.area_A2)
        assert min(np.linalg.det(match.first), np.linalg.det(match.second)) > 0.5  # none is singular
        stretches = np.linalg.svd(np.linalg.inv(cells[1]) @ cells[0], compute_uv=False) - 1
        assert sorted(stretches) == pytest.approx(sorted(match.stretches))


def test_limits_that_leave_nothing_are_refused():
    with pytest.raises(DataError, match=r"no common cell up to 30 A2 with a misfit up to 0\.1 %"):
        match_lattices(HEXAGON, SQUARE, 30.0, 0.001)
    with pytest.raises(ConfigError, match="max_area_A2=-1"):
        match_lattices(HEXAGON, SQUARE, -1.0, 0.05)


def test_symmetries_of_lattices_and_slabs():
    assert [len(plane_symmetries(each)) for each in (HEXAGON, SQUARE, RECTANGLE)] == [12, 8, 4]
    slab = make_supercell(bulk("Li", "bcc", a=3.44, cubic=True), np.diag([1, 1, 2]))
    slab.cell[2, 2] += 5.0
    for change in plane_symmetries(slab.cell.array[:2, :2]):
        (shift,) = find_flips(slab, change)
        assert np.allclose(shift, 0.5) or np.allclose(shift, 0.0)
    slab.symbols[0] = "Na"  # at the bottom, and nothing alike at the top
    assert not len(find_flips(slab, -np.eye(2, dtype=int)))


def test_the_closest_gap_keeps_every_distance(lithium, sulfide):
    """Against distances of all pairs: at the gap the closest pair touches, and none overlaps."""
    lower = next(build_slabs(sulfide, plane=[1, 1, 0], thickness_A=6, oriented_bulk=False))
    upper = next(build_slabs(lithium, plane=[1, 1, 0], thickness_A=6, oriented_bulk=False))
    plane = lower.cell.array[:2, :2] * 2
    lower = strain_slab(lower * (2, 2, 1), plane, 0.0)
    upper = strain_slab(upper * (3, 3, 1), plane, 0.0)
    gap = closest_gap(lower, upper)
    upper.positions[:, 2] += lower.positions[:, 2].max() + gap
    both = lower + upper
    both.cell[2] = [0, 0, 60]
    i, j, d = neighbor_list("ijd", both, 3.2)
    across = (i < len(lower)) & (j >= len(lower))
    symbols = np.array(both.get_chemical_symbols())
    room = d[across] - [
        closest_contact(a, b) for a, b in zip(symbols[i[across]], symbols[j[across]], strict=True)
    ]
    assert room.min() == pytest.approx(0, abs=1e-8)


def environments(atoms, reach=4.0):
    """Sorted distances of each atom to its neighbors, element by element: what symmetry must give twice."""
    (i, j), shift = our_list(atoms.positions, atoms.cell.array, True, reach)
    lengths = np.linalg.norm(atoms.positions[j] + shift @ atoms.cell.array - atoms.positions[i], axis=1)
    return [tuple(np.round(np.sort(lengths[i == k]), 3)) for k in range(len(atoms))]


def middle_of_compound(atoms):
    """Along the third vector, in fractions."""
    places = atoms.get_scaled_positions()[atoms.arrays["origin"] == 0, 2]
    return (places.max() + places.min()) / 2


def turns_over(atoms):
    """Whether spglib knows an operation that turns the stack upside down about the middle of the compound."""
    found = spglib.get_symmetry((atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), symprec=0.02)
    away = found["translations"][:, 2] - 2 * middle_of_compound(atoms)
    here = np.abs(away - np.rint(away)) * atoms.cell[2, 2] < 0.05
    return bool(
        np.any(here & (found["rotations"][:, 2, 2] == -1) & ~found["rotations"][:, 2, :2].any(axis=1))
    )


@pytest.mark.parametrize(
    ("compound", "plane", "metal_plane"),
    [
        ("sulfide", (1, 1, 0), (1, 1, 0)),
        ("sulfide", (1, 0, 0), (1, 0, 0)),
        ("phosphide", (0, 0, 1), (1, 1, 0)),
    ],
)
def test_both_interfaces_of_a_sandwich_are_images(request, lithium, compound, plane, metal_plane):
    solid = request.getfixturevalue(compound)
    made = list(
        build_interface(
            solid,
            lithium,
            compound_plane=plane,
            metal_plane=metal_plane,
            compound_thickness_A=8,
            metal_thickness_A=8,
            nonstoichiometric=True,
        )
    )
    assert any(atoms.info["equivalent"] for atoms in made)
    for atoms in made:
        assert turns_over(atoms) == atoms.info["equivalent"]
        if atoms.info["equivalent"]:
            assert atoms.info["gap_A"][0] == atoms.info["gap_A"][1]


def test_sandwich_of_a_slab_whose_sides_differ_is_said_to_be_unequal(lithium, phosphide):
    """Li3P (001) of whole formula units: one side ends in Li, the other in Li3P's mixed layer or Li."""
    made = list(build_interface(phosphide, lithium, compound_plane=(0, 0, 1), metal_plane=(1, 1, 0)))
    slabs = list(build_slabs(phosphide, plane=(0, 0, 1), thickness_A=12, oriented_bulk=False))
    assert [atoms.info["equivalent"] for atoms in made] == [slab.info["symmetric"] for slab in slabs]


def test_every_pair_of_terminations_is_there(lithium, sulfide):
    """pymatgen loses terminations of the same name; ours are all kept, and come either side up."""
    options = {"compound_plane": (1, 1, 1), "metal_plane": (1, 0, 0), "nonstoichiometric": True}
    slabs = list(build_slabs(sulfide, plane=(1, 1, 1), nonstoichiometric=True, oriented_bulk=False))
    unequal = sum(not slab.info["symmetric"] for slab in slabs)
    assert len(slabs) > 2
    assert unequal
    made = list(build_interface(sulfide, lithium, vacuum_A=15.0, **options))
    assert len(made) == len(slabs) + unequal
    assert len({atoms.info["terminations"] for atoms in made}) == len(made)
    assert len(list(build_interface(sulfide, lithium, **options))) == len(slabs)


def test_slabs_are_the_bulk_and_counts_are_whole(lithium, sulfide):
    """Every atom of the middle of the unstrained side has the distances that it has in the crystal."""
    for atoms in build_interface(sulfide, lithium, compound_thickness_A=16):
        info = atoms.info
        assert info["num_interfaces"] == 2
        assert info["excess"] == "none"
        assert 3 * info["num_compound"] + info["num_metal"] == len(atoms)
        assert len(atoms[atoms.arrays["origin"] == 0]) == 3 * info["num_compound"]
        middle = np.abs(atoms.get_scaled_positions()[:, 2] - middle_of_compound(atoms)) * atoms.cell[2, 2] < 3
        found = environments(atoms, reach=3.0)
        inside = {found[k] for k in np.flatnonzero(middle & (atoms.numbers == 16))}
        assert inside == {(2.473,) * 8}


def test_strain_is_on_the_chosen_side_and_as_told(lithium, sulfide):
    for strained, origin in (("metal", 1), ("compound", 0)):
        atoms = next(build_interface(sulfide, lithium, strained=strained, vacuum_A=10.0))
        info = atoms.info
        sides = [atoms[atoms.arrays["origin"] == side] for side in (0, 1)]
        volume = 5.71**3 / 4, 3.44**3 / 2
        counts = info["num_compound"], info["num_metal"]
        # layers of (110) are a / (2 sqrt 2) and a / sqrt 2 apart: thickness plus one such distance
        spacing = 5.71 / np.sqrt(8), 3.44 / np.sqrt(2)
        change = [
            info["area_A2"] * (np.ptp(side.positions[:, 2]) + gap) / (n * v) - 1
            for side, gap, n, v in zip(sides, spacing, counts, volume, strict=True)
        ]
        assert change[origin] == pytest.approx(info["area_change"], abs=1e-9)
        assert change[1 - origin] == pytest.approx(0, abs=1e-9)
        assert info["area_change"] == pytest.approx(np.prod(1 + np.array(info["strain"])) - 1)
        assert info["misfit"] == pytest.approx(np.abs(info["strain"]).max())


def test_many_atoms_by_repetition(lithium, sulfide):
    atoms = next(build_interface(sulfide, lithium, repeat=(34, 34)))
    small = next(build_interface(sulfide, lithium))
    assert len(atoms) == 34 * 34 * len(small) > 80_000
    assert atoms.info["num_compound"] == 34 * 34 * small.info["num_compound"]
    assert atoms.info["area_A2"] == pytest.approx(np.linalg.norm(np.cross(*atoms.cell.array[:2])))
    assert KDTree(atoms.positions).query(atoms.positions[:500], k=2)[0][:, 1].min() > 2.0


def test_a_glass_on_a_metal_keeps_its_volume(lithium):
    """Seth et al. 2025: area -1.74 %. Keeping the volume takes +1.77 %; their +1.39 % loses 0.4 % of it."""
    glass = next(build_glass(num_atoms=96, density_g_cm3=1.79, seed=3))
    options = {"compound_plane": None, "metal_plane": (1, 0, 0), "strained": "compound", "max_area_A2": 220.0}
    atoms = next(build_interface(glass, lithium, **options))
    info = atoms.info
    assert info["strained"] == "compound"
    assert (1 + info["area_change"]) * (1 + info["normal_strain"]) == pytest.approx(1.0)
    assert info["num_compound"] == 12
    assert info["compound"] == "Li3PS4"
    assert (
        next(build_interface(glass, lithium, normal_strain=0.0139, **options)).info["normal_strain"] == 0.0139
    )
    i, j = neighbor_list("ij", atoms, 2.5)
    origin = atoms.arrays["origin"]
    lithium_pairs = (atoms.numbers[i] == 3) & (atoms.numbers[j] == 3) & (origin[i] != origin[j])
    assert not lithium_pairs.any()
    assert ((atoms.numbers[i] == 15) & (atoms.numbers[j] == 16)).sum() == 48


def test_numbers_that_make_no_sense_are_refused(lithium, sulfide):
    for options, message in (
        ({"strained": "both"}, r"builder\.strained=both"),
        ({"gap_A": 0.0}, r"builder\.gap_A=0"),
        ({"repeat": (1,)}, r"builder\.repeat"),
        ({"match": 9}, r"builder\.match=9; expected a row from 0 to"),
    ):
        with pytest.raises(ConfigError, match=message):
            next(build_interface(sulfide, lithium, **options))


def test_formula_units_and_what_is_beyond_them(lithium, sulfide):
    assert count_formula_units(sulfide, "Li2S", tiles=3) == (3, {})
    assert count_formula_units(sulfide + lithium, "Li2S", tiles=2) == (2, {"Li": 2})


def test_a_given_stack_has_the_side_of_each_atom(lithium, sulfide):
    lower = next(build_slabs(sulfide, plane=[1, 0, 0], oriented_bulk=False))
    upper = next(build_slabs(lithium, plane=[1, 0, 0], oriented_bulk=False))
    match = match_lattices(lower.cell.array[:2, :2], upper.cell.array[:2, :2], 200, 0.05)[0]
    atoms = stack_interface(lower, upper, ("Li2S", "Li"), match, Stacking(vacuum_A=12.0))
    origin = atoms.arrays["origin"]
    assert atoms.positions[origin == 0, 2].max() < atoms.positions[origin == 1, 2].min()
    assert atoms.pbc.tolist() == [True, True, False]
    assert atoms.cell[2, 2] - np.ptp(atoms.positions[:, 2]) == pytest.approx(12.0)
