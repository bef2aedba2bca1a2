"""`mlip neb` against barriers known exactly and against ASE's own bands; one pass of the potential a band."""

import json
import logging
import signal

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import add_adsorbate, bulk, fcc100
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms, FixCartesian
from ase.mep import NEB
from ase.optimize import FIRE
from cli.cli_process import fork_mlip
from scipy.optimize import brentq
from structures import random_structure

from md.energetics.barrier import compute_barrier
from md.energetics.ends import fixed_atoms, interpolate, match_ends
from md.energetics.images import BatchedImages
from md.energetics.neb import NebSettings, PathSearch
from md.state import State
from mlip.deploy import MLIPCalculator
from mlip.errors import ConfigError, DataError

HEIGHT, TILT, SIDE = 0.5, 0.1, 2.0


@pytest.fixture(scope="module")
def calculator(potential_file):
    return MLIPCalculator(potential_file, "cpu", "float64", kernel="reference")


def double_well(positions):
    """One atom in a bent valley, h (x^2 - 1)^2 + t x + s/2 (y - x^2)^2 + z^2; at rest y is x^2."""
    x, y, z = np.moveaxis(positions[:, 0], -1, 0)
    energies = HEIGHT * (x**2 - 1) ** 2 + TILT * x + 0.5 * SIDE * (y - x**2) ** 2 + z**2
    slope = np.stack(
        [4 * HEIGHT * x * (x**2 - 1) + TILT - 2 * SIDE * x * (y - x**2), SIDE * (y - x**2), 2 * z], axis=-1
    )
    return energies, -slope[:, None]


def search_double_well(folder, evaluate=double_well, state=None, **settings):
    ends = [Atoms("Li", [[x, 0.9, 0.1]]) for x in (-1.1, 0.9)]
    keys = {"interpolation": "linear", "force_tolerance_eV_A": 1e-4} | settings
    search = PathSearch(*ends, NebSettings(**keys), lambda count: evaluate, folder / "restart.npz")
    return search.run(state)


def well_energy(low, high):
    """Energy of the stationary point along the valley between two x."""
    x = brentq(lambda x: 4 * HEIGHT * x * (x**2 - 1) + TILT, low, high)
    return HEIGHT * (x**2 - 1) ** 2 + TILT * x


@pytest.mark.parametrize(("climb", "tolerance_eV"), [(True, 1e-6), (False, 2e-3)])
def test_the_barrier_of_a_double_well(tmp_path, climb, tolerance_eV):
    path = search_double_well(tmp_path, climb=climb)
    barrier = compute_barrier(path)
    left, saddle, right = well_energy(-1.5, -0.7), well_energy(-0.5, 0.5), well_energy(0.7, 1.5)
    assert path.is_converged
    assert barrier.warnings == ()
    assert barrier.forward_eV == pytest.approx(saddle - left, abs=tolerance_eV)
    assert barrier.reverse_eV == pytest.approx(saddle - right, abs=tolerance_eV)
    assert barrier.reaction_eV == pytest.approx(right - left, abs=1e-6)
    assert barrier.curve_eV.max() == pytest.approx(saddle - left, abs=5e-3)
    for k in (0, -1, *([int(path.energies.argmax())] if climb else [])):
        x, y, z = path.positions[k, 0]
        assert [y, z] == pytest.approx([x**2, 0.0], abs=1e-3)


def hop_of_gold():
    """Gold on aluminium from hollow to hollow: symmetric; two layers are fixed, the ends are cells apart."""
    ends = []
    for shift in (0, 1):
        slab = fcc100("Al", size=(3, 2, 3))
        add_adsorbate(slab, "Au", 1.7, "hollow")
        slab.center(axis=2, vacuum=4.0)
        slab.set_constraint(FixAtoms(mask=slab.get_tags() > 1))
        slab.positions[-1] += shift * slab.cell[0] / 3
        slab.positions[-1] += (1 - shift) * slab.cell[0]
        ends.append(slab)
    return ends


def emt(atoms):
    def evaluate(positions):
        energies, forces = [], []
        for each in positions:
            atoms.positions = each
            energies.append(atoms.get_potential_energy())
            forces.append(atoms.get_forces(apply_constraint=False))
        return np.array(energies), np.array(forces)

    return evaluate


def test_a_band_of_ase_finds_the_same_barrier(tmp_path):
    initial, final = hop_of_gold()
    asked = initial.copy()
    asked.set_constraint()
    asked.calc = EMT()
    settings = NebSettings(images=3, force_tolerance_eV_A=0.01)
    path = PathSearch(initial, final, settings, lambda count: emt(asked), tmp_path / "restart.npz").run()
    barrier = compute_barrier(path)
    assert path.is_converged
    assert np.abs(path.positions[-1] - path.positions[0]).max() < 3.0, "not the way round"
    fixed = initial.constraints[0].index
    assert np.all(path.positions[:, fixed] == initial.positions[fixed])
    images = [initial.copy() for _ in range(5)]
    images[0].positions, images[-1].positions = path.positions[0], path.positions[-1]
    for image in images:
        image.calc = EMT()
    theirs = NEB(images, k=0.1, climb=True, method="improvedtangent")
    theirs.interpolate("idpp", apply_constraint=True)
    FIRE(theirs, logfile=None).run(fmax=0.01, steps=200)
    energies = np.array([image.get_potential_energy() for image in images])
    assert barrier.forward_eV == pytest.approx(energies.max() - energies[0], abs=1e-3)
    assert 0.3 < barrier.forward_eV < 0.5
    assert barrier.reverse_eV == pytest.approx(barrier.forward_eV, abs=1e-5)
    assert barrier.energies_eV == pytest.approx(barrier.energies_eV[::-1], abs=1e-3)


def test_all_images_are_computed_in_one_pass(calculator, monkeypatch):
    atoms = random_structure("triclinic", seed=1)
    rng = np.random.default_rng(0)
    calls = []
    evaluate = calculator.evaluate
    monkeypatch.setattr(calculator, "evaluate", lambda graph: calls.append(graph) or evaluate(graph))
    images = BatchedImages(calculator, atoms, 4)
    for _ in range(3):
        positions = atoms.positions + rng.normal(0.0, 0.1, (4, len(atoms), 3))
        calls.clear()
        energies, forces = images(positions)
        assert [graph.num_structures for graph in calls] == [4]
        for k, each in enumerate(positions):
            alone = atoms.copy()
            alone.positions, alone.calc = each, calculator
            assert energies[k] == pytest.approx(alone.get_potential_energy(), abs=1e-9)
            np.testing.assert_allclose(forces[k], alone.get_forces(), rtol=0, atol=1e-9)


def test_a_deployed_file_computes_them_one_after_the_other(deployed):
    atoms = bulk("Ar", "fcc", a=5.3, cubic=True)
    positions = atoms.positions + np.random.default_rng(0).normal(0.0, 0.1, (3, len(atoms), 3))
    found = [
        BatchedImages(MLIPCalculator(file, "cpu", kernel="reference"), atoms, 3)(positions)
        for file in (deployed, deployed.with_name("stiff.mlip"))
    ]
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-9)


def asked_images(folder):
    """How many images each call of a whole search asks for: 2 of the ends, 5 between them."""
    calls = []
    search_double_well(folder, lambda positions: calls.append(len(positions)) or double_well(positions))
    return calls


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_search_that_is_stopped_goes_on_to_the_bit(tmp_path, part):
    """In the midst of the ends, of the band, and of the climb."""
    whole, calls = search_double_well(tmp_path), asked_images(tmp_path)
    first = calls.index(5)
    climb = calls.index(2, first)
    middle = [first, first + climb, climb + len(calls)][part] // 2
    done = []

    def interrupted(positions):
        done.append(1)
        if len(done) == middle:
            signal.raise_signal(signal.SIGINT)
        return double_well(positions)

    with pytest.raises(KeyboardInterrupt):
        search_double_well(tmp_path, interrupted)
    state = State.load(tmp_path / "restart.npz")
    assert (state.stage, state.steps_done > 0) == (part, True)
    again = search_double_well(tmp_path, double_well, state)
    assert np.array_equal(again.positions, whole.positions)
    assert np.array_equal(again.energies, whole.energies)


def test_what_was_not_found_is_said(tmp_path, caplog):
    path = search_double_well(tmp_path, max_steps=3)
    assert not path.is_converged
    assert "has not converged" in compute_barrier(path).warnings[0]
    messages = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert any(text.startswith("climbing image not converged in 3 steps") for text in messages)
    assert any("an end is no minimum" in text for text in messages)


def test_a_minimum_between_the_ends_is_seen(tmp_path):
    """Three wells in a row."""

    def wells(positions):
        x = positions[..., 0]
        energies = (0.2 * (1 - np.cos(2 * np.pi * x)))[:, 0]
        forces = np.zeros_like(positions)
        forces[..., 0] = -0.4 * np.pi * np.sin(2 * np.pi * x)
        return energies, forces

    ends = [Atoms("Li", [[x, 0.0, 0.0]]) for x in (0.0, 2.0)]
    search = PathSearch(*ends, NebSettings(images=7), lambda count: wells, tmp_path / "restart.npz")
    (warning,) = compute_barrier(search.run()).warnings
    assert warning.startswith("Image 4 lies in a minimum between the ends")


def test_atoms_go_the_shortest_way_and_apart():
    initial, final = hop_of_gold()
    matched = match_ends(initial, final)
    assert np.linalg.norm(final.positions[-1] - initial.positions[-1]) > 5.0
    assert matched.positions[-1] - initial.positions[-1] == pytest.approx(initial.cell[0] / 3)
    positions = interpolate(initial, matched, 3, "linear")
    assert positions[2, -1] == pytest.approx((initial.positions[-1] + matched.positions[-1]) / 2)
    # two atoms that change places: straight lines meet, IDPP's do not
    pair = [Atoms("Li2", [[0, 0, 0], [2, 0.1, 0]]), Atoms("Li2", [[2, 0, 0], [0, 0.1, 0]])]
    straight, bent = (interpolate(*pair, 3, method)[2] for method in ("linear", "idpp"))
    assert np.linalg.norm(straight[1] - straight[0]) < 0.2
    assert np.linalg.norm(bent[1] - bent[0]) > 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda atoms: atoms.pop(), "found 4 atoms in initial and 3 in final"),
        (lambda atoms: atoms.symbols.__setitem__(1, "P"), "atom 1 is Li in initial and P in final"),
        (lambda atoms: atoms.set_cell(1.01 * atoms.cell), "different cells"),
        (lambda atoms: atoms.set_pbc((True, True, False)), "different cells or periodic directions"),
        (lambda atoms: atoms.translate(0.001), "are one minimum"),
    ],
)
def test_ends_that_do_not_belong_together_are_one_line(tmp_path, change, message):
    initial = bulk("Li", "fcc", a=4.4, cubic=True)
    final = initial.copy()
    change(final)
    with pytest.raises(DataError, match=message) as refusal:
        PathSearch(
            initial, final, NebSettings(relax_ends=False), lambda count: double_well, tmp_path / "x"
        ).run()
    assert "\n" not in str(refusal.value)


def test_constraints_that_are_not_kept_are_said(caplog):
    atoms = bulk("Li", "fcc", a=4.4, cubic=True)
    atoms.set_constraint([FixAtoms([1, 3]), FixCartesian(2, (True, False, False))])
    assert fixed_atoms(atoms).tolist() == [False, True, False, True]
    assert "found a constraint FixCartesian in initial" in caplog.text


@pytest.mark.parametrize("keys", [{"images": 0}, {"interpolation": "cubic"}, {"spring_eV_A2": -1.0}])
def test_settings_that_make_no_sense_are_one_line(keys):
    with pytest.raises(ConfigError, match=next(iter(keys))):
        NebSettings(**keys)


@pytest.mark.slow
def test_the_command_leaves_a_path_with_its_barrier(potential, tmp_path):
    """A vacancy of lithium hops, by symmetry as high from either side; the atom has left its cell."""
    initial = bulk("Li", "bcc", a=3.0, cubic=True).repeat(2)
    final = initial.copy()
    final.positions[0] = initial.positions[1] - initial.cell[2]
    for name, atoms in (("before", initial), ("after", final)):
        del atoms[1]
        ase.io.write(tmp_path / f"{name}.extxyz", atoms)
    words = [f"potential={potential}", "initial=before.extxyz", "images=3", "force_tolerance_eV_A=0.01"]
    words += ["device=cpu", "kernel=reference", "run_dir=hop"]
    ended = fork_mlip("neb", *words, "final=after.extxyz", cwd=tmp_path)
    assert ended.code == 0, ended.stderr
    results = json.loads((tmp_path / "hop" / "results.json").read_text())
    assert results["converged"]["value"] is True
    forward, reverse = (results[f"barrier_{side}"]["value"] for side in ("forward", "reverse"))
    assert forward == pytest.approx(reverse, abs=1e-5)
    assert 0.05 < forward < 0.08
    assert results["barrier_forward"]["unit"] == "eV"
    images = ase.io.read(tmp_path / "hop" / "path.extxyz", ":")
    energies = [image.get_potential_energy() for image in images]
    assert len(images) == 5
    assert max(energies) - energies[0] == pytest.approx(forward, abs=1e-6)
    assert np.isfinite(images[2].get_forces()).all()
    for name in ("report.html", "barrier.png", "barrier.csv", "restart.npz"):
        assert (tmp_path / "hop" / name).stat().st_size > 0
    again = fork_mlip("neb", *words, "final=after.extxyz", cwd=tmp_path)
    assert "holds the finished run" in again.stderr
    ase.io.write(tmp_path / "after.extxyz", [final, final])
    twice = fork_mlip("neb", *words, "final=after.extxyz", "resume=never", cwd=tmp_path)
    assert twice.code == 1
    assert "holds 2 frames; expected one structure" in twice.last_line
