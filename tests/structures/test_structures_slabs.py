"""Slabs: known surfaces, Tasker's textbook cases, the bulk inside, and faults that other generators had."""

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.lj import LennardJones
from ase.neighborlist import neighbor_list
from ase.spacegroup import crystal as spacegroup_crystal
from pymatgen.core.surface import SlabGenerator, get_symmetrically_distinct_miller_indices
from pymatgen.io.ase import AseAtomsAdaptor

from mlip.errors import ConfigError
from mlip.structures.ionic_charges import guess_charges
from mlip.structures.orientation import conventional_cell, distinct_planes, orient
from mlip.structures.slabs import build_slabs
from mlip.structures.symmetry import find_operations


@pytest.fixture
def fluorite():
    return spacegroup_crystal(
        ["Li", "O"], [(0.25, 0.25, 0.25), (0, 0, 0)], spacegroup=225, cellpar=[4.63] * 3 + [90] * 3
    )


def slabs_of(parent, **options):
    return list(build_slabs(parent, **{"oriented_bulk": False} | options))


def said(slabs, *names):
    return [tuple(slab.info.get(name) for name in names) for slab in slabs]


def equivalent_planes(plane, rotations):
    """Images of a plane; (hkl) and (-h-k-l) are the two sides of one slab."""
    images = np.array(plane) @ rotations
    return {tuple(each) for each in np.concatenate([images, -images]).tolist()}


@pytest.mark.parametrize("structure", ["rocksalt", "wurtzite", "hcp", "bcc"])
@pytest.mark.parametrize("max_index", [1, 2])
def test_planes_are_those_that_pymatgen_finds(structure, max_index):
    symbols = "Li" if structure in ("hcp", "bcc") else "LiF"
    crystal = conventional_cell(bulk(symbols, structure, a=3.1), 0.01)
    rotations, _ = find_operations(crystal)
    ours = distinct_planes(crystal, max_index, 0.01)
    theirs = get_symmetrically_distinct_miller_indices(AseAtomsAdaptor.get_structure(crystal), max_index)
    found = [equivalent_planes(plane, rotations) for plane in ours]
    assert all(sum(tuple(plane) in each for each in found) == 1 for plane in theirs)
    assert len({min(equivalent_planes(plane, rotations)) for plane in theirs}) == len(ours)


@pytest.mark.parametrize(
    "plane", [(1, 0, 0), (1, 1, 0), (1, 1, 1), (2, 1, 0), (3, -1, 2), (0, 0, 1), (0, -2, 1)]
)
def test_oriented_cells_are_the_same_crystal_with_the_plane_as_base(plane, lithium_phosphate, fluorite):
    for parent in (bulk("Li", "bcc", a=3.44), fluorite, lithium_phosphate):
        crystal = conventional_cell(parent, 0.01)
        oriented = orient(crystal, plane, 0.01)
        assert len(oriented) == len(orient(crystal, (1, 0, 0), 0.01))
        density = oriented.cell.volume / len(oriented)
        assert density == pytest.approx(crystal.cell.volume / len(crystal))
        assert oriented.cell.array[[0, 0, 1], [1, 2, 2]] == pytest.approx([0, 0, 0], abs=1e-9)
        assert np.linalg.det(oriented.cell.array) > 0
        assert 59.9 < oriented.cell.angles()[2] < 120.1
        lengths = [neighbor_list("d", each, 4.0) for each in (oriented, crystal)]
        counted = [
            (d.sum() / n, d.size / n) for d, n in zip(lengths, (len(oriented), len(crystal)), strict=True)
        ]
        assert counted[0] == pytest.approx(counted[1])
        # The spacing of lattice planes: a multiple of it is that of the conventional indices.
        normal = np.linalg.norm(np.linalg.inv(crystal.cell.array) @ plane)
        parts = 1 / (oriented.cell.array[2, 2] * normal)
        assert min(abs(parts - 1), abs(parts - 2)) < 1e-9


def test_surfaces_of_bcc_lithium():
    slabs = slabs_of(bulk("Li", "bcc", a=3.44), thickness_A=12.0, vacuum_A=15.0)
    assert [tuple(slab.info["miller"]) for slab in slabs] == [(1, 0, 0), (1, 1, 0), (1, 1, 1)]
    areas = 3.44**2 * np.array([1.0, 2**0.5 / 2, 3**0.5])
    assert [slab.info["area_A2"] for slab in slabs] == pytest.approx(areas)
    for slab, spacing in zip(slabs, 3.44 * np.array([1 / 2, 0.5**0.5, 3**-0.5 / 2]), strict=True):
        layers = np.diff(slab.positions[:, 2])
        assert layers == pytest.approx(np.full(len(slab) - 1, spacing))
        assert 12.0 <= np.ptp(slab.positions[:, 2]) < 12.0 + spacing
        assert slab.cell.array[2] == pytest.approx([0, 0, np.ptp(slab.positions[:, 2]) + 15.0])
        assert slab.positions[:, 2].mean() == pytest.approx(slab.cell.array[2, 2] / 2)
    assert said(slabs, "symmetric", "tasker") == [(True, 1)] * 3


def test_textbook_types_of_ionic_surfaces(fluorite):
    salt = slabs_of(bulk("LiCl", "rocksalt", 5.13))
    types = {(tuple(slab.info["miller"]), slab.info["tasker"]) for slab in salt}
    assert types == {((1, 0, 0), 1), ((1, 1, 0), 1), ((1, 1, 1), 3)}
    (polar, whole) = slabs_of(fluorite, plane=[1, 1, 1])
    assert said([polar, whole], "symmetric", "tasker", "termination") == [(False, 3, 0), (True, 2, 1)]
    assert whole.symbols[0] == whole.symbols[-1] == "Li"
    assert slabs_of(fluorite, plane=[1, 1, 0])[0].info["tasker"] == 1
    given = slabs_of(fluorite, plane=[1, 1, 1], charges={"Li": 0, "O": 0})
    assert [slab.info["tasker"] for slab in given] == [1, 1]
    assert "tasker" not in slabs_of(fluorite, plane=[1, 1, 1], charges={"Li": 1})[0].info


def test_symmetric_slabs_that_are_no_whole_formula_units(fluorite):
    slabs = slabs_of(fluorite, plane=[1, 1, 1], nonstoichiometric=True)
    ends = {(slab.symbols[0], slab.symbols[-1]) for slab in slabs if not slab.info["stoichiometric"]}
    odd = [slab for slab in slabs if not slab.info["stoichiometric"]]
    assert ends == {("Li", "Li"), ("O", "O")}
    assert all(slab.info["symmetric"] and "formula_units" not in slab.info for slab in odd)
    for slab in odd:  # the same from below as from above
        heights = slab.positions[:, 2]
        assert heights + heights[::-1] == pytest.approx(np.full(len(slab), slab.cell.array[2, 2]))
        assert np.array_equal(slab.numbers, slab.numbers[::-1])


def test_no_termination_is_lost_or_there_twice(lithium_phosphate):
    """Fault of a generator: layers that are close, or mirror images, were taken for one termination."""
    slabs = slabs_of(lithium_phosphate, plane=[0, 1, 0], layer_A=0.01)
    heights = np.sort(lithium_phosphate.get_scaled_positions()[:, 1])
    gaps = np.diff(heights, append=heights[0] + 1) * lithium_phosphate.cell.lengths()[1]
    cuts = (gaps > 0.01).sum()
    on_mirrors = sum(slab.info["symmetric"] for slab in slabs)
    assert 2 * (len(slabs) - on_mirrors) + on_mirrors == cuts
    generator = SlabGenerator(AseAtomsAdaptor.get_structure(lithium_phosphate), (0, 1, 0), 10, 10)
    assert len(slabs) >= len(generator.get_slabs(ftol=0.01)) > 1


def test_a_slab_holds_the_bulk_that_comes_with_it(lithium_phosphate, fluorite):
    """Fault of a generator: slab and bulk in different settings, so that their energies did not cancel."""
    for parent in (lithium_phosphate, fluorite):
        frames = list(build_slabs(parent, thickness_A=14.0))
        for frame in frames:
            if frame.info["config_type"] == "slab_bulk":
                crystal = frame
                assert frame.cell.volume / len(frame) == pytest.approx(parent.cell.volume / len(parent))
                continue
            assert frame.cell.array[:2] == pytest.approx(crystal.cell.array[:2])
            assert frame.info["formula_units"] % crystal.info["formula_units"] == 0
            one = crystal.symbols.formula.count()
            times = frame.info["formula_units"] / crystal.info["formula_units"]
            assert frame.symbols.formula.count() == {symbol: n * times for symbol, n in one.items()}
            # Every atom of the slab is one of the crystal, shifted by one vector for all.
            shift = _shift(frame, crystal)
            assert shift is not None


def _shift(slab, crystal):
    inverse = np.linalg.inv(crystal.cell.array)
    for k in np.flatnonzero(crystal.numbers == slab.numbers[0]):
        shift = crystal.positions[k] - slab.positions[0]
        moved = ((slab.positions + shift) @ inverse)[:, None] - crystal.get_scaled_positions()[None]
        same = np.linalg.norm(moved - np.rint(moved), axis=-1) < 1e-6
        if np.all(np.any(same & (slab.numbers[:, None] == crystal.numbers[None]), axis=1)):
            return shift
    return None


def test_surface_energies_converge_with_thickness():
    """E(slab) - N E(bulk) tends to a constant: no energy of the bulk is left in it."""
    crystal = bulk("Ar", "fcc", a=5.26)
    energies = []
    for thickness in (12.0, 24.0):
        bulk_frame, slab = build_slabs(crystal, plane=[1, 1, 1], thickness_A=thickness)
        for frame in (bulk_frame, slab):
            frame.calc = LennardJones(sigma=3.4, epsilon=0.0104, rc=8.0)
        per_unit = bulk_frame.get_potential_energy() / bulk_frame.info["formula_units"]
        excess = slab.get_potential_energy() - slab.info["formula_units"] * per_unit
        energies.append(excess / (2 * slab.info["area_A2"]))
    assert energies[0] > 1e-3
    assert energies[1] == pytest.approx(energies[0], rel=1e-3)


def test_a_wider_slab_is_the_same_surface(fluorite):
    (bulk_frame, slab), (wide_bulk, wide) = (
        build_slabs(fluorite, plane=[1, 1, 0], frozen_A=2.0, supercell=supercell)
        for supercell in ((1, 1), (2, 3))
    )
    for frame, other in ((bulk_frame, wide_bulk), (slab, wide)):
        assert len(other) == 6 * len(frame)
        assert other.info["area_A2"] == pytest.approx(6 * frame.info["area_A2"])
        assert other.info["formula_units"] == 6 * frame.info["formula_units"]
        assert other.cell.array == pytest.approx(frame.cell.array * [[2], [3], [1]])
    assert len(wide.constraints[0].index) == 6 * len(slab.constraints[0].index)
    assert wide.info["tasker"] == slab.info["tasker"]


def test_bonds_are_not_cut(lithium_phosphate):
    free = slabs_of(lithium_phosphate)
    whole = slabs_of(lithium_phosphate, bonds=[["P", "O", 1.9]])
    assert 0 < len(whole) < len(free)
    for slab in whole:
        distances = slab.get_all_distances(mic=True)
        oxygens = (distances[slab.symbols == "P"][:, slab.symbols == "O"] < 1.9).sum(axis=1)
        assert set(oxygens) == {4}


def test_frozen_bottom_is_in_the_file_and_bounds_a_group(fluorite, tmp_path):
    (slab,) = slabs_of(fluorite, plane=[1, 1, 0], frozen_A=4.0)
    ase.io.write(tmp_path / "slab.extxyz", slab)
    read = ase.io.read(tmp_path / "slab.extxyz")
    fixed = read.constraints[0].index
    below = np.flatnonzero(read.positions[:, 2] < read.info["frozen_below_A"])
    assert np.array_equal(np.sort(fixed), below)
    assert 0 < len(below) < len(slab)
    assert np.ptp(slab.positions[below, 2]) <= 4.0


def test_layers_that_interlock_give_no_slab(caplog):
    random = np.random.default_rng(0)
    glass = Atoms("Li200", positions=random.uniform(0, 12, (200, 3)), cell=[12] * 3, pbc=True)
    with caplog.at_level("WARNING"):
        assert slabs_of(glass, plane=[0, 0, 1], layer_A=2.0) == []
    assert "has no gap to cut" in caplog.text


def test_charges_are_guessed_of_the_formula(lithium_phosphate):
    assert guess_charges(lithium_phosphate) == {"Li": 1, "P": 5, "O": -2}
    assert guess_charges(bulk("Li")) == {"Li": 0}
    assert guess_charges(Atoms("LiNe")) is None


@pytest.mark.parametrize(
    "options", [{"max_index": 0}, {"thickness_A": 0}, {"plane": [0, 0, 0]}, {"plane": [1, 1]}]
)
def test_slabs_that_make_no_sense(fluorite, options):
    with pytest.raises(ConfigError):
        slabs_of(fluorite, **options)
