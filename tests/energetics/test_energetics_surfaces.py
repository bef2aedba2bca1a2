"""Surface energies of copper against slabs of ASE, drift of a wrong reference; shapes against pymatgen."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc100, fcc110, fcc111
from ase.calculators.emt import EMT
from ase.optimize import BFGS
from ase.spacegroup import crystal as spacegroup_crystal

from md.energetics.relaxed import Tolerance, compute_energies
from md.energetics.surface_energy import Cut, compute_surface_energies, measure_cuts
from md.energetics.wulff import build_wulff_shape
from mlip.errors import DataError
from mlip.units import EV_PER_A2_IN_J_PER_M2

LATTICE_A = 3.59
THICKNESS_A = (5.0, 8.0, 11.0, 14.0)


@pytest.fixture(scope="module")
def surfaces():
    crystal = bulk("Cu", a=LATTICE_A, cubic=True)
    planes = ((1, 1, 1), (1, 0, 0), (1, 1, 0))
    found = compute_surface_energies(crystal, planes, EMT(), thickness_A=THICKNESS_A)
    assert [each.plane for each in found] == list(planes)
    return {each.plane: each for each in found}


def test_the_close_packed_surface_of_copper_costs_least(surfaces):
    values = [surfaces[plane].value for plane in ((1, 1, 1), (1, 0, 0), (1, 1, 0))]
    assert values == sorted(values)
    assert all(0.5 < value < 2.5 for value in values)
    for surface in surfaces.values():
        assert surface.value == pytest.approx(surface.value_eV_A2 * EV_PER_A2_IN_J_PER_M2)
        assert surface.value <= surface.unrelaxed + 1e-6  # atoms that relax win energy
        assert surface.error < 0.01
        assert surface.of_slabs[-1] == pytest.approx(surface.value, abs=0.01)
        assert surface.slope_eV == pytest.approx(surface.bulk_eV, abs=2e-3)
        assert surface.symmetric
        assert surface.converged


@pytest.mark.parametrize(("plane", "build", "layers"), [((1, 0, 0), fcc100, 7), ((1, 1, 0), fcc110, 9)])
def test_slabs_of_ase_have_the_same_surface_energy(surfaces, plane, build, layers):
    slab = build("Cu", (1, 1, layers), a=LATTICE_A, vacuum=8.0)
    slab.calc = EMT()
    BFGS(slab, logfile=None).run(fmax=0.005)
    atom = bulk("Cu", a=LATTICE_A)
    atom.calc = EMT()
    area = np.linalg.norm(np.cross(*slab.cell[:2]))
    naive = (slab.get_potential_energy() - layers * atom.get_potential_energy()) / (2 * area)
    assert surfaces[plane].value_eV_A2 == pytest.approx(naive, rel=5e-3)


def test_the_slope_does_not_drift_with_a_wrong_reference():
    """A bulk energy that is off by 10 meV makes each slab worse, and leaves the value alone."""
    slabs = [fcc111("Cu", (1, 1, layers), a=LATTICE_A, vacuum=8.0) for layers in (5, 7, 9, 11)]
    for slab in slabs:
        slab.pbc = True
    (right,) = compute_energies([bulk("Cu", a=LATTICE_A)], EMT())
    cuts = [Cut((1, 1, 1), 0, True, slabs, "Cu", unit_eV) for unit_eV in (right, right - 0.01)]
    good, bad = measure_cuts(cuts, EMT(), Tolerance(max_steps=0))
    assert bad.value == pytest.approx(good.value, rel=1e-9)
    assert np.ptp(good.of_slabs) < 1e-3
    drift = np.diff(bad.of_slabs) * 2 * bad.area_A2 / EV_PER_A2_IN_J_PER_M2
    assert drift == pytest.approx(2 * 0.01, rel=0.02)  # two layers more each
    assert bad.error == pytest.approx(abs(bad.of_slabs[-1] - bad.value))


def test_a_slab_that_is_no_whole_formula_units_is_refused():
    slab = bulk("NaCl", "rocksalt", a=5.6).repeat((1, 1, 3))
    del slab[0]
    with pytest.raises(DataError, match=r"2 NaCl and Cl1; expected whole formula units.*chemical potentials"):
        measure_cuts([Cut((1, 0, 0), 0, True, [slab], "NaCl", -6.0)], EMT())


def test_shapes_are_known():
    """A cube, an octahedron, and the cuboctahedron between them."""
    copper = bulk("Cu", a=LATTICE_A, cubic=True)
    cube = build_wulff_shape(copper, {(1, 0, 0): 1.3})
    assert len(cube.facets) == 6
    assert cube.shape_factor == pytest.approx(6.0)
    assert cube.surface_energy == pytest.approx(1.3)
    assert cube.anisotropy == pytest.approx(0.0, abs=1e-12)
    # {111} at 2/sqrt(3) of {100} cut the edges of the cube in their middles
    whole = build_wulff_shape(copper, {(1, 0, 0): 1.0, (1, 1, 1): 2 / np.sqrt(3)})
    squares = 6 * 2.0 / (6 * 2.0 + 8 * np.sqrt(3) / 4 * 2)
    assert whole.shares[1, 0, 0] == pytest.approx(squares)
    assert len(whole.facets) == 14
    octahedron = build_wulff_shape(copper, {(1, 0, 0): 2.0, (1, 1, 1): 1.0})
    assert octahedron.shares == pytest.approx({(1, 0, 0): 0.0, (1, 1, 1): 1.0})


@pytest.mark.parametrize("name", ["copper", "lithium nitride"])
def test_shapes_are_those_of_pymatgen(name):
    """Where the point group of the crystal is that of its lattice."""
    from pymatgen.analysis.wulff import WulffShape as Theirs
    from pymatgen.core import Lattice

    if name == "copper":
        crystal, energies = bulk("Cu", a=3.6, cubic=True), {(1, 1, 1): 1.2, (1, 0, 0): 1.35, (1, 1, 0): 1.45}
    else:
        crystal = spacegroup_crystal(
            ["Li", "Li", "N"],
            [(1 / 3, 2 / 3, 0), (0, 0, 0.5), (0, 0, 0)],
            spacegroup=191,
            cellpar=[3.65, 3.65, 3.87, 90, 90, 120],
        )
        energies = {(0, 0, 1): 0.6, (1, 0, 0): 0.7, (1, 0, 1): 0.8, (1, 1, 0): 0.75}
    theirs = Theirs(Lattice(crystal.cell.array), list(energies), list(energies.values()))
    ours = build_wulff_shape(crystal, energies)
    assert ours.shares == pytest.approx(theirs.area_fraction_dict, abs=1e-6)
    assert ours.surface_energy == pytest.approx(theirs.weighted_surface_energy)
    assert ours.anisotropy == pytest.approx(theirs.anisotropy, abs=1e-6)
    assert ours.shape_factor == pytest.approx(theirs.shape_factor, rel=1e-6)


def test_the_point_group_is_that_of_the_crystal():
    """Pyrite has no fourfold axis: (210) and (120) differ, which the lattice alone does not say."""
    pyrite = spacegroup_crystal(
        ["Fe", "S"], [(0, 0, 0), (0.385, 0.385, 0.385)], spacegroup=205, cellpar=[5.42] * 3 + [90] * 3
    )
    both = build_wulff_shape(pyrite, {(2, 1, 0): 1.0})
    assert len(both.facets) == 12  # a pentagonal dodecahedron
    assert {len(facet.corners) for facet in both.facets} == {5}


def test_planes_that_do_not_close_are_refused():
    slab = Atoms("Li2N", positions=[[0, 0, 0], [1, 0.3, 2], [1.7, 1.1, 3.1]], cell=[3, 4, 5], pbc=True)
    with pytest.raises(DataError, match="do not close"):
        build_wulff_shape(slab, {(0, 0, 1): 1.0})
    with pytest.raises(DataError, match="all above zero"):
        build_wulff_shape(slab, {(0, 0, 1): -1.0})
