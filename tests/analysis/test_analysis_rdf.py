"""g(r) and coordination: ideal gas, shells of crystals, a naive version in skew cells."""

from itertools import product

import numpy as np
import pytest
from ase.build import bulk

from md.analysis import Frames, compute_coordination, compute_rdf
from mlip.errors import DataError

SKEW = np.array([[11.0, 0.0, 0.0], [5.0, 9.0, 0.0], [-4.0, 3.0, 8.0]])


def frames_of(fractional, cells, numbers):
    return Frames(np.asarray(fractional), np.asarray(cells), np.asarray(numbers))


def crystal(atoms, num_frames=3):
    scaled = atoms.get_scaled_positions()
    return frames_of(
        np.tile(scaled, (num_frames, 1, 1)), np.tile(atoms.cell.array, (num_frames, 1, 1)), atoms.numbers
    )


def test_ideal_gas_is_one_also_beyond_half_a_skew_changing_cell():
    rng = np.random.default_rng(0)
    num_frames, num_atoms = 60, 150
    scale = 1 + 0.05 * np.sin(np.arange(num_frames))
    frames = frames_of(
        rng.uniform(-2, 2, (num_frames, num_atoms, 3)), SKEW * scale[:, None, None], [3] * 60 + [16] * 90
    )
    for pair, rdf in compute_rdf(frames, r_max=7.5, bin_width=0.5).items():
        ideal = (
            1 - 1 / frames.numbers.tolist().count({"Li": 3, "S": 16}[pair[0]]) if pair[0] == pair[1] else 1.0
        )
        expected = rdf.g[4:]
        # own images sit at the lattice vectors (7.9 A and more), beyond r_max
        assert expected.mean() == pytest.approx(ideal, abs=0.01)
        assert np.abs(expected - ideal).max() < 0.06


def test_rdf_equals_a_naive_loop_over_images():
    rng = np.random.default_rng(1)
    fractional, numbers = rng.uniform(size=(1, 12, 3)), np.array([3] * 5 + [16] * 7)
    frames = frames_of(fractional, SKEW[None], numbers)
    rdf = compute_rdf(frames, [("Li", "S"), ("S", "S")], r_max=9.0, bin_width=0.3)
    positions = fractional[0] @ SKEW
    edges = np.arange(0.0, 9.0 + 0.15, 0.3)
    for (a, b), chosen in {("Li", "S"): (3, 16), ("S", "S"): (16, 16)}.items():
        distances = []
        for i, j, shift in product(range(12), range(12), product(range(-3, 4), repeat=3)):
            if (numbers[i], numbers[j]) == chosen:
                distance = np.linalg.norm(positions[j] - positions[i] + np.array(shift) @ SKEW)
                if distance > 1e-9:
                    distances.append(distance)
        counts = np.histogram(distances, bins=edges)[0]
        shells = 4 / 3 * np.pi * np.diff(edges**3)
        pairs = (numbers == chosen[0]).sum() * (numbers == chosen[1]).sum()
        expected = counts * abs(np.linalg.det(SKEW)) / (pairs * shells)
        np.testing.assert_allclose(rdf[a, b].g, expected, rtol=1e-10)
        np.testing.assert_allclose(rdf[a, b].running, np.cumsum(counts) / (numbers == chosen[0]).sum())


@pytest.mark.parametrize(
    ("structure", "constant", "neighbors", "first", "second"),
    [("fcc", 4.0, 12, 4.0 / np.sqrt(2), 4.0), ("bcc", 3.44, 8, 3.44 * np.sqrt(3) / 2, 3.44)],
)
def test_shells_and_coordination_of_crystals(structure, constant, neighbors, first, second):
    frames = crystal(bulk("Li", structure, a=constant))  # one atom: every neighbor is an image
    rdf = compute_rdf(frames, r_max=6.0, bin_width=0.02)["Li", "Li"]
    assert rdf.first_peak_A == pytest.approx(first, abs=0.02)
    assert first < rdf.first_minimum_A < second
    coordination = compute_coordination(frames, ("Li", "Li"), rdf.first_minimum_A)
    assert coordination.value == neighbors
    assert coordination.fractions[neighbors] == 1.0
    assert coordination.fractions.sum() == pytest.approx(1.0)


def test_coordination_tells_centre_from_neighbor():
    frames = crystal(bulk("CaF2", "fluorite", a=5.46))
    rdf = compute_rdf(frames, [("Ca", "F")], r_max=6.0)["Ca", "F"]
    assert rdf.first_peak_A == pytest.approx(5.46 * np.sqrt(3) / 4, abs=0.05)
    assert compute_coordination(frames, ("Ca", "F"), rdf.first_minimum_A).value == 8
    assert compute_coordination(frames, ("F", "Ca"), rdf.first_minimum_A).value == 4


def test_chance_encounters_are_no_shell():
    rng = np.random.default_rng(2)
    sparse = frames_of(rng.uniform(size=(20, 8, 3)), np.tile(30 * np.eye(3), (20, 1, 1)), [3] * 8)
    rdf = compute_rdf(sparse, r_max=4.0, bin_width=0.05)["Li", "Li"]
    assert rdf.first_peak_A is None
    assert rdf.first_minimum_A is None


def test_unknown_species_is_refused():
    with pytest.raises(DataError, match="found no Na"):
        compute_rdf(crystal(bulk("Li", "bcc", a=3.44)), [("Na", "Li")])


def test_rdf_equals_freud():
    freud = pytest.importorskip("freud")
    rng = np.random.default_rng(5)
    cell = 2.5 * SKEW
    fractional, numbers = rng.uniform(size=(4, 400, 3)), np.array([3] * 150 + [16] * 250)
    frames = frames_of(fractional, np.tile(cell, (4, 1, 1)), numbers)
    ours = compute_rdf(frames, [("Li", "S"), ("S", "S")], r_max=8.0, bin_width=0.1)
    box = freud.box.Box.from_matrix(cell.T)
    for pair, points, others in ((("Li", "S"), 3, 16), (("S", "S"), 16, 16)):
        theirs = freud.density.RDF(bins=80, r_max=8.0)
        for each in fractional:
            positions = box.wrap(each @ cell - cell.sum(axis=0) / 2)
            neighbors = {"r_max": 8.0, "exclude_ii": points == others}
            theirs.compute(
                (box, positions[numbers == others]), positions[numbers == points], neighbors, reset=False
            )
        np.testing.assert_allclose(ours[pair].r, theirs.bin_centers, atol=1e-5)
        # single precision puts some pairs into the bin beside
        counts = ours[pair].g * ours[pair].r ** 2
        assert np.abs(theirs.rdf - ours[pair].g)[10:].max() < 0.02
        assert np.sum(theirs.rdf * ours[pair].r ** 2) == pytest.approx(counts.sum(), rel=1e-3)
