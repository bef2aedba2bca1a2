"""Interfaces of glasses: samples, each against the bulk it was made of; their mean and its standard error."""

import json

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from cli.cli_process import fork_mlip

from md.energetics.interface_energy import compute_interface_energies
from md.energetics.interface_samples import gather_samples
from md.energetics.interface_sides import read_interfaces
from md.energetics.relaxed import Tolerance, compute_energies
from md.report.interface_energy import interface_energy_chapter
from mlip.errors import DataError
from mlip.structures.build import read_parents
from mlip.structures.builders import build
from mlip.units import EV_PER_A2_IN_J_PER_M2

STILL = Tolerance(max_steps=0)
SEEDS = (1, 2, 3)


def glass(symbol, a, seed):
    """32 atoms far from their places: no symmetry, and another energy for each seed."""
    atoms = bulk(symbol, a=a, cubic=True).repeat(2)
    atoms.rattle(0.25, seed=seed)
    atoms.wrap()
    return atoms


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Three glasses of copper, three of nickel, one crystal of nickel."""
    folder = tmp_path_factory.mktemp("glasses")
    ase.io.write(folder / "copper.extxyz", [glass("Cu", 3.59, seed) for seed in SEEDS])
    ase.io.write(folder / "nickel.extxyz", [glass("Ni", 3.53, seed + 10) for seed in SEEDS])
    ase.io.write(folder / "crystal.extxyz", bulk("Ni", a=3.53))
    return folder


def built(folder, upper, **options):
    """Frames as they are read from the file of a build."""
    parents = read_parents([str(folder / "copper.extxyz"), str(folder / upper)])
    options |= {"compound_plane": None, "references": True, "metal_thickness_A": 6.0}
    frames = list(build("interface", options, parents))
    ase.io.write(folder / "structures.extxyz", frames)
    return ase.io.read(folder / "structures.extxyz", ":")


@pytest.mark.parametrize(
    ("upper", "plane", "name"),
    [
        ("nickel.extxyz", None, "Cu glass|Ni glass 0|0"),
        ("crystal.extxyz", (1, 0, 0), "Cu glass|Ni 0|0"),
    ],
)
def test_the_mean_over_samples_is_that_of_the_formula(files, upper, plane, name):
    """(E - sum N E) / 2A of each sample with the energies of its own glasses, nothing relaxed."""
    frames = built(files, upper, metal_plane=plane)
    pairs = read_interfaces(frames)
    assert len(pairs) == len(SEEDS)
    copper = compute_energies(ase.io.read(files / "copper.extxyz", ":"), EMT()) / 32
    nickel = compute_energies(ase.io.read(files / upper, ":"), EMT()) / (32 if plane is None else 1)
    assert np.ptp(copper) > 0.01  # eV an atom: with the glass of another sample the result is another one
    naive = []
    for k, (interface, _) in enumerate(pairs):
        (energy,) = compute_energies([interface], EMT())
        area = np.linalg.norm(np.cross(*interface.cell.array[:2]))
        counts = [np.count_nonzero(interface.numbers == number) for number in (29, 28)]
        bulks = counts[0] * copper[k] + counts[1] * nickel[k % len(nickel)]
        naive.append((energy - bulks) / (2 * area) * EV_PER_A2_IN_J_PER_M2)
    (found,) = gather_samples(compute_interface_energies(pairs, EMT(), tolerance=STILL, registries=3))
    assert found.name == name
    assert [sample.formation for sample in found.samples] == pytest.approx(naive, abs=1e-6)
    value, error = found.formation
    assert value == pytest.approx(np.mean(naive))
    assert error == pytest.approx(np.std(naive, ddof=1) / np.sqrt(3))
    assert all(sample.scan is None for sample in found.samples)  # a glass has no registry


def test_a_glass_with_itself_costs_nothing(files):
    """Two periods of one glass, called two solids: no strain, no interface."""
    ((_, sides), *_) = read_interfaces(built(files, "nickel.extxyz", metal_plane=None))
    side = sides[0]
    interface = side.bulk.repeat((1, 1, 2))
    interface.set_array("origin", np.repeat([0, 1], len(side.bulk)))
    interface.info |= {"num_interfaces": 2, "equivalent": False, "terminations": "0|0"}
    (found,) = compute_interface_energies([(interface, (side, side))], EMT(), tolerance=STILL)
    assert found.units == (32, 32)
    assert found.formation == pytest.approx(0.0, abs=1e-9)
    (shifted,) = compute_interface_energies([(with_gap(interface), (side, side))], EMT(), tolerance=STILL)
    assert shifted.formation > 0.1  # two surfaces where there were none


def with_gap(interface):
    """Both halves pulled apart by 1 A at either interface."""
    apart = interface.copy()
    apart.positions[apart.arrays["origin"] == 1, 2] += 1.0
    apart.cell[2, 2] += 2.0
    return apart


@pytest.mark.slow
def test_one_result_of_many_samples_is_reported(files, tmp_path):
    pairs = read_interfaces(built(files, "crystal.extxyz", metal_plane=(1, 0, 0)))
    found = gather_samples(compute_interface_energies(pairs, EMT(), tolerance=STILL))
    chapter = interface_energy_chapter(found, tmp_path / "figures")
    entry = chapter.entries["interface_energy"]
    assert entry["error"] > 0
    assert entry["value"] == pytest.approx(np.mean(entry["of_samples"]))
    assert entry["method"].startswith("mean over 3 samples")
    low, high = entry["interval"]
    assert high - entry["value"] == pytest.approx(4.3027 * entry["error"], rel=1e-4)  # Student's t of 2
    assert low + high == pytest.approx(2 * entry["value"])
    assert entry["formula_units"] == [[32, 40]] * 3
    assert "±" in chapter.highlights[0].value
    assert not chapter.sections[0].warnings
    alone = interface_energy_chapter(gather_samples([found[0].samples[0]]), tmp_path / "one")
    assert alone.entries["interface_energy"]["error"] is None
    assert "interval" not in alone.entries["interface_energy"]
    assert any("one sample of a glass" in each for each in alone.sections[0].warnings)


def test_files_that_do_not_pair_are_refused(files):
    ase.io.write(files / "two.extxyz", ase.io.read(files / "nickel.extxyz", ":2"))
    with pytest.raises(DataError, match=r"found 5 structures.*two files of as many each or of one"):
        built(files, "two.extxyz", metal_plane=None)


@pytest.mark.slow
def test_one_command_from_glasses_to_the_energy_of_their_interface(files):
    words = [
        *("analyze", "analysis=interface_energy", "builder=interface", "run_dir=out"),
        *("structure=[copper.extxyz,nickel.extxyz]", "calculator=ase.calculators.emt.EMT"),
        *("builder.compound_plane=null", "builder.metal_plane=null", "energetics.max_steps=3"),
    ]
    done = fork_mlip(*words, cwd=files)
    assert done.code == 0, done.stderr
    entry = json.loads((files / "out" / "results.json").read_text())["interface_energy"]
    assert len(entry["of_samples"]) == len(SEEDS)
    assert entry["error"] > 0
