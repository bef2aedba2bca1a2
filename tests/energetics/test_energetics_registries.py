"""Shifts of interfaces: copper on nickel finds the hollow sites; both sides of a sandwich stay alike."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from md.energetics.interface_energy import compute_interface_energies
from md.energetics.interface_sides import read_interfaces
from md.energetics.registries import scan_registries
from md.energetics.relaxed import Tolerance, compute_energies
from mlip.data.neighbors import neighbor_list
from mlip.structures.interfaces import build_interface
from mlip.structures.shifts import shift_interface

PER_VECTOR = 6


def copper_on_nickel(plane, **options):
    frames = build_interface(
        bulk("Cu", a=3.59),
        bulk("Ni", a=3.49),
        compound_plane=plane,
        metal_plane=plane,
        compound_thickness_A=6.0,
        metal_thickness_A=6.0,
        references=True,
        **options,
    )
    ((interface, sides),) = read_interfaces(list(frames))
    return interface, sides


def contacts(atoms):
    """Pairs of copper and nickel that touch."""
    (i, j), _ = neighbor_list(atoms.positions, atoms.cell.array, True, 2.75)
    return int(((atoms.numbers[i] == 29) & (atoms.numbers[j] == 28)).sum())


def atop(interface):
    """The registry with atoms on top of each other: the one whose slabs are farthest apart."""
    return max(shift_interface(interface, PER_VECTOR), key=lambda atoms: max(atoms.info["gap_A"]))


@pytest.mark.parametrize(("plane", "sites"), [((1, 1, 1), 3), ((1, 0, 0), 4)])
def test_atoms_on_top_of_each_other_find_the_hollows(plane, sites):
    """Both interfaces of the sandwich at once: three or four contacts for each atom of one layer."""
    start = atop(copper_on_nickel(plane)[0])
    assert contacts(start) == 2
    (scan,) = scan_registries([start], EMT(), PER_VECTOR)
    assert len(scan.shifts) == PER_VECTOR**2
    assert contacts(scan.kept) == 2 * sites
    assert scan.kept.info["equivalent"]
    assert scan.built_J_m2 == pytest.approx(scan.spread_J_m2)  # nothing is worse than where it started
    assert scan.spread_J_m2 > 0.5
    built, kept = compute_energies([start, scan.kept], EMT())
    area = 2 * np.linalg.norm(np.cross(*start.cell.array[:2]))
    assert scan.built_J_m2 == pytest.approx((built - kept) / area * 16.0217663)


@pytest.mark.slow
def test_the_energy_of_an_interface_is_that_of_its_best_registry():
    """Started atop, a relaxation alone stays there by symmetry; with the scan it comes to the hollow."""
    built, sides = copper_on_nickel((1, 1, 1))
    start = atop(built)
    tolerance = Tolerance(force_eV_A=0.005)
    stuck, found, hollow = (
        compute_interface_energies([(atoms, sides)], EMT(), tolerance=tolerance, registries=number)[0]
        for atoms, number in ((start, 1), (start, PER_VECTOR), (built, PER_VECTOR))
    )
    assert stuck.scan is None
    assert found.scan.built_J_m2 > 0.5
    assert stuck.value - found.value > 0.5
    assert found.value == pytest.approx(hollow.value, abs=0.02)  # hollows of fcc and of hcp
    assert found.equivalent
    assert contacts(found.relaxed) == 6


def test_one_interface_under_vacuum_is_shifted_too():
    interface, _ = copper_on_nickel((1, 1, 1), vacuum_A=10.0)
    (scan,) = scan_registries([interface], EMT(), PER_VECTOR)
    assert contacts(scan.kept) == 3
    gap = scan.kept.cell[2, 2] - np.ptp(scan.kept.positions[:, 2])
    assert gap == pytest.approx(10.0)


def test_registries_repeat_in_the_cell_of_both_slabs():
    """A supercell of the interface has no more registries than its tile, and none twice."""
    small, large = (copper_on_nickel((1, 0, 0), repeat=repeat)[0] for repeat in ((1, 1), (1, 2)))
    of_small, of_large = (scan_registries([each], EMT(), 3)[0] for each in (small, large))
    assert len(of_large.shifts) == 9
    moved = of_large.shifts @ large.cell.array[:2, :2]
    assert np.abs(moved).max() < small.cell.lengths()[0]
    np.testing.assert_allclose(
        np.sort(of_large.energies_J_m2), np.sort(of_small.energies_J_m2), rtol=0, atol=1e-6
    )


def test_every_shift_leaves_both_interfaces_alike():
    """Environments come in pairs, one at either interface, wherever the nickel stands."""
    interface, _ = copper_on_nickel((1, 1, 1))
    shifted = list(shift_interface(interface, 3))
    assert len(shifted) == 9
    for atoms in shifted:
        assert atoms.info["equivalent"]
        atoms.calc = EMT()
        forces = np.sort(np.linalg.norm(atoms.get_forces(), axis=1))
        np.testing.assert_allclose(forces[0::2], forces[1::2], atol=1e-8)


def test_what_is_mixed_is_left_as_it_is():
    interface, _ = copper_on_nickel((1, 0, 0))
    interface.positions[0], interface.positions[-1] = interface.positions[-1].copy(), interface.positions[0]
    assert len(list(shift_interface(interface, 3))) == 1
