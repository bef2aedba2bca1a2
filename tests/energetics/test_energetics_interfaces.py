"""Interfaces of known energy: a crystal with itself, strained and not, under vacuum; copper on nickel."""

import json

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from cli.cli_process import fork_mlip

from md.energetics.elastic import compute_elastic_tensor
from md.energetics.interface_energy import compute_interface_energies
from md.energetics.interface_sides import Side, clamped, in_plane, on_plane, read_interfaces
from md.energetics.relaxed import Tolerance, relax
from md.energetics.surface_energy import compute_surface_energies
from mlip.errors import DataError
from mlip.structures.interfaces import build_interface
from mlip.structures.orientation import orient
from mlip.units import EV_PER_A2_IN_J_PER_M2, EV_PER_A3_IN_GPA

TIGHT = Tolerance(force_eV_A=1e-3, stress_GPa=1e-3)
LAYERS = 6


@pytest.fixture(scope="module")
def copper():
    """The oriented cell of (100) at the minimum, two layers along z."""
    return relax(bulk("Cu", a=3.6, cubic=True), EMT(), TIGHT, cell="flexible").atoms


def sides_of(copper):
    slab = copper.repeat((1, 1, LAYERS // 2))
    slab.cell[2, 2] += 10.0
    return tuple(Side(copper, slab, np.eye(2, dtype=int)) for _ in range(2))


def energies_of(interface, sides, **options):
    (found,) = compute_interface_energies([(interface, sides)], EMT(), tolerance=TIGHT, **options)
    return found


def with_itself(copper, strain=0.0, vacuum_A=0.0):
    """Copper on copper, which nothing but the array `origin` parts, strained in the plane."""
    atoms = copper.repeat((1, 1, LAYERS))
    cell = atoms.cell.array.copy()
    cell[:2] *= 1 + strain
    atoms.set_cell(cell, scale_atoms=True)
    if vacuum_A:
        atoms.center(vacuum=vacuum_A / 2, axis=2)
    atoms.set_array("origin", (np.arange(len(atoms)) >= len(atoms) // 2).astype(int))
    atoms.info = {"num_interfaces": 1 if vacuum_A else 2, "equivalent": True, "terminations": "0|0"}
    return atoms


def test_a_crystal_with_itself_has_no_interfacial_energy(copper):
    found = energies_of(with_itself(copper), sides_of(copper))
    assert found.value == pytest.approx(0.0, abs=1e-5)
    assert found.formation == pytest.approx(0.0, abs=1e-5)
    (surface,) = compute_surface_energies(
        copper, [(1, 0, 0)], EMT(), thickness_A=(8.0, 10.0), tolerance=TIGHT
    )
    assert found.surface_energies == pytest.approx((surface.value,) * 2, rel=1e-4)
    assert found.adhesion == pytest.approx(2 * surface.value, rel=1e-4)
    assert found.units == (12, 12)
    assert found.area_A2 == pytest.approx(copper.cell[0, 0] ** 2, rel=1e-6)
    assert found.adheres
    assert found.converged


def test_under_vacuum_both_surfaces_are_taken_off(copper):
    """Also where the crystal is strained, and its surfaces with it."""
    for strain in (0.0, 0.02):
        interface = with_itself(copper, strain, vacuum_A=12.0)
        found = energies_of(interface, sides_of(copper))
        assert found.value == pytest.approx(0.0, abs=2e-3)
        assert found.num_interfaces == 1
        assert found.equivalent is None


def test_the_elastic_part_is_that_of_the_elastic_tensor(copper):
    """Strained in (100) and free along z: (C11 + C12 - 2 C12^2 / C11) strain^2 a volume; odd terms cancel."""
    tensor = compute_elastic_tensor(copper, EMT(), strain=0.005, tolerance=TIGHT).tensor_GPa
    c11, c12 = tensor[0, 0], tensor[0, 1]
    strain, volume_of_area = 0.004, LAYERS * copper.cell[2, 2] / 2
    density = (c11 + c12 - 2 * c12**2 / c11) * strain**2 / EV_PER_A3_IN_GPA
    expected = density * volume_of_area * EV_PER_A2_IN_J_PER_M2
    found = [energies_of(with_itself(copper, sign * strain), sides_of(copper)) for sign in (1, -1)]
    assert np.mean([each.elastic for each in found]) == pytest.approx(expected, rel=5e-3)
    for each in found:
        assert each.value == pytest.approx(0.0, abs=1e-5)
        assert each.formation == pytest.approx(each.elastic, abs=1e-5)
        assert each.adhesion_with_strain == pytest.approx(each.adhesion - each.elastic)


def test_a_cell_that_relaxes_loses_its_elastic_part(copper):
    found = energies_of(with_itself(copper, 0.01), sides_of(copper), cell="flexible")
    assert found.elastic == pytest.approx(0.0, abs=1e-5)


def test_a_side_that_is_no_whole_formula_units_is_refused():
    salt = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    interface = salt.repeat((1, 1, 2))
    interface.set_array("origin", np.repeat([0, 1], 8))
    interface.info["num_interfaces"] = 2
    del interface[0]
    side = Side(salt, salt, np.eye(2, dtype=int))
    with pytest.raises(DataError, match=r"the side NaCl of an interface.*expected whole formula units"):
        energies_of(interface, (side, side))


def test_references_lie_on_the_lattice_of_the_interface():
    """Of supercells turned against each other, too: the strained bulk has the interface's own lattice."""
    copper, nickel = bulk("Cu", a=3.59), bulk("Ni", a=3.48)
    for metal_plane in ((1, 0, 0), (1, 1, 0)):
        frames = list(
            build_interface(
                copper,
                nickel,
                compound_plane=(1, 0, 0),
                metal_plane=metal_plane,
                compound_thickness_A=6.0,
                metal_thickness_A=6.0,
                max_misfit=0.1,
                references=True,
                repeat=(1, 2),
            )
        )
        assert [atoms.info["config_type"] for atoms in frames] == [
            *("interface_bulk", "interface_slab") * 2,
            "interface",
        ]
        ((interface, sides),) = read_interfaces(frames)
        for number, side in enumerate(sides):
            plane = in_plane(interface)
            assert side.supercell @ clamped(side, plane) == pytest.approx(plane)
            part = interface[interface.arrays["origin"] == number]
            slab = on_plane(side.slab, clamped(side, plane))
            tiles = round(abs(np.linalg.det(side.supercell)))
            assert len(part) == tiles * len(slab)
            assert on_plane(side.bulk, clamped(side, plane)).get_volume() / len(side.bulk) == pytest.approx(
                side.bulk.get_volume() / len(side.bulk), rel=0.25
            )
        assert sides[0].formula == "Cu"
        assert in_plane(on_plane(sides[0].bulk, clamped(sides[0], plane))) == pytest.approx(
            in_plane(sides[0].bulk), rel=1e-6, abs=1e-6
        )  # the metal took the strain
    with pytest.raises(DataError, match=r"found 1 interfaces and 0 references.*builder.references=true"):
        read_interfaces([interface])


def test_a_bulk_on_its_own_lattice_is_itself_however_it_is_tiled_and_turned():
    """The third vector of (111) leans; tiles whose first vector lies along x turn everything below them."""
    bulk_111 = orient(bulk("CuAu", "zincblende", a=5.0, cubic=True), (1, 1, 1), 0.01)
    bulk_111.positions[0] += [0.1, 0.2, 0.3]
    assert np.abs(bulk_111.cell[2, :2]).max() > 0.5
    for supercell in (np.eye(2), np.array([[2, 1], [-1, 1]]), np.array([[1, 2], [-2, 0]])):
        side = Side(bulk_111, bulk_111, supercell.astype(int))
        tiled = bulk_111.copy()
        tiled.cell[:2] = supercell @ bulk_111.cell.array[:2]
        same = on_plane(bulk_111, clamped(side, in_plane(tiled)))
        assert energy_of(same) == pytest.approx(energy_of(bulk_111), abs=1e-9)
    stretched = on_plane(bulk_111, 1.05 * in_plane(bulk_111))
    assert stretched.get_volume() == pytest.approx(1.05**2 * bulk_111.get_volume())
    with pytest.raises(DataError, match="strained by 30 %"):
        on_plane(bulk_111, 1.3 * in_plane(bulk_111))


def energy_of(atoms):
    atoms.calc = EMT()
    return atoms.get_potential_energy()


@pytest.mark.slow
def test_copper_on_nickel_by_the_command(tmp_path):
    for symbol, a in (("Cu", 3.59), ("Ni", 3.49)):
        ase.io.write(tmp_path / f"{symbol}.extxyz", bulk(symbol, a=a))
    commands = (
        [
            *("build", "builder=interface", "structure=[Cu.extxyz,Ni.extxyz]", "builder.references=true"),
            *("builder.compound_plane=[1,1,1]", "builder.metal_plane=[1,1,1]", "run_dir=built"),
            *("builder.compound_thickness_A=6", "builder.metal_thickness_A=6"),
        ],
        [
            *("analyze", "analysis=interface_energy", "structure=built/structures.extxyz", "run_dir=out"),
            "calculator=ase.calculators.emt.EMT",
        ],
    )
    for words in commands:
        done = fork_mlip(*words, cwd=tmp_path)
        assert done.code == 0, done.stderr
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    sigma, formation = (results[name]["value"] for name in ("interface_energy", "formation_energy"))
    assert 0 < sigma < formation < 3.0
    assert results["elastic_energy"]["value"] == pytest.approx(formation - sigma)
    entry = results["interface_energy"]
    surfaces = sum(entry["surface_energies"])
    assert results["work_of_adhesion"]["value"] == pytest.approx(surfaces - sigma)
    assert entry["unit"] == "J/m^2"
    assert entry["value_eV_A2"] * EV_PER_A2_IN_J_PER_M2 == pytest.approx(sigma)
    assert (tmp_path / "out" / "relaxed.extxyz").exists()
    assert (tmp_path / "out" / "figures" / "interface_energy.png").exists()
    assert "Interface energies" in (tmp_path / "out" / "report.html").read_text()
