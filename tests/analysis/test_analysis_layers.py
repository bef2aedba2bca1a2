"""Layers, profiles and interphases: known profiles, cells that drift, breathe and lean."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_masses
from scipy.special import erf, erfinv

from md.analysis import Frames
from md.analysis.interphase import compute_interphase
from md.analysis.kymograph import Kymograph, Layers, compute_map, compute_mean_map, find_layers
from md.analysis.profiles import (
    average_over_time,
    compute_bond_length_layers,
    compute_composition_layers,
    compute_coordination_layers,
    compute_density_layers,
    compute_smooth_composition,
)
from mlip.errors import DataError

LEANING = np.array([[20.0, 0.0, 0.0], [3.0, 18.0, 0.0], [6.0, -4.0, 40.0]])


def gas(num_frames=40, num_atoms=500, cell=LEANING, seed=0):
    """Twice as many Li as S in the lower half, S alone in the upper."""
    rng = np.random.default_rng(seed)
    fractional = rng.uniform(size=(num_frames, num_atoms, 3))
    numbers = np.array([3] * 200 + [16] * (num_atoms - 200))
    fractional[:, :200, 2] *= 0.5
    fractional[:, 200:300, 2] *= 0.5
    fractional[:, 300:, 2] = 0.5 + 0.5 * fractional[:, 300:, 2]
    return fractional, np.tile(cell, (num_frames, 1, 1)), numbers


def test_density_and_composition_of_two_halves():
    fractional, cells, numbers = gas()
    frames = Frames(fractional, cells, numbers, np.arange(40.0))
    share = average_over_time(compute_composition_layers(frames, "Li", Layers("c", 5.0)))
    lower = share.positions_A < 20.0
    assert len(share.values) == 8
    np.testing.assert_allclose(share.values[lower], 2 / 3, atol=0.03)
    np.testing.assert_allclose(share.values[~lower], 0.0, atol=0.06)  # the centre of mass jitters
    density = average_over_time(compute_density_layers(frames, Layers("c", 5.0)))
    volume = abs(np.linalg.det(LEANING))
    total = (200 * 6.94 + 300 * 32.06) * 1.66053907 / volume
    assert density.values.mean() == pytest.approx(total, rel=1e-3)
    assert np.all(density.errors > 0)
    # the normal of the layers, not the length of the vector
    assert share.positions_A[-1] == pytest.approx(40.0 - 2.5)


def test_layers_follow_a_stack_that_drifts():
    fractional, cells, numbers = gas()
    still = Frames(fractional, cells, numbers)
    moving = fractional + np.linspace(0, 3.0, 40)[:, None, None] * [0.2, 0.1, 1.0]
    # every frame alike: the centre of mass of a gas jitters
    fixed = np.tile(fractional[:1], (40, 1, 1))
    drifting = fixed + np.linspace(0, 3.0, 40)[:, None, None] * [0.2, 0.1, 1.0]
    expected = compute_composition_layers(Frames(fixed, cells, numbers), "Li", Layers("c", 5.0))
    found = compute_composition_layers(Frames(drifting, cells, numbers), "Li", Layers("c", 5.0))
    np.testing.assert_allclose(found.values, expected.values, atol=1e-12)
    halves = average_over_time(
        compute_composition_layers(Frames(moving, cells, numbers), "Li", Layers("c", 20.0))
    )
    same = average_over_time(compute_composition_layers(still, "Li", Layers("c", 20.0)))
    np.testing.assert_allclose(halves.values, same.values, atol=0.02)


def test_map_equals_a_naive_loop_in_a_breathing_cell():
    rng = np.random.default_rng(1)
    fractional = rng.uniform(-1, 2, (3, 40, 3))
    cells = LEANING * np.array([1.0, 1.1, 0.9])[:, None, None]
    numbers = rng.choice([3, 16], 40)
    weights = rng.uniform(size=40)
    masses = atomic_masses[numbers] / atomic_masses[numbers].sum()
    frames = Frames(fractional, cells, numbers)
    layers = Layers("b", 3.0)
    found = compute_map(frames, "weight", "1", lambda frame: frame.count(weights), layers)
    heights = compute_map(
        frames, "height", "A", lambda frame: np.full(frame.num_layers, frame.height_A), layers
    )
    mean = compute_mean_map(frames, "weight", "1", lambda f, c: (np.arange(40), weights), layers)
    num_layers = found.values.shape[1]
    assert num_layers == round(1 / np.linalg.norm(np.linalg.inv(frames.mean_cell)[:, 1]) / 3.0)
    for frame in range(3):
        drift = masses @ (fractional[frame, :, 1] - fractional[0, :, 1])
        sums, counts = np.zeros(num_layers), np.zeros(num_layers)
        for atom in range(40):
            layer = int(((fractional[frame, atom, 1] - drift) % 1.0) * num_layers)
            sums[layer] += weights[atom]
            counts[layer] += 1
        area = np.linalg.norm(np.cross(cells[frame, 0], cells[frame, 2]))
        np.testing.assert_allclose(found.values[frame], sums)
        np.testing.assert_allclose(
            heights.values[frame] * num_layers * area, abs(np.linalg.det(cells[frame]))
        )
        with np.errstate(invalid="ignore"):
            np.testing.assert_allclose(mean.values[frame], np.where(counts > 0, sums / counts, np.nan))


def test_layers_hold_atoms_on_the_wall():
    assert find_layers(np.array([0.0, 1.0, -1e-18, 0.999999]), 4).tolist() == [0, 0, 3, 3]


def test_coordination_and_bond_lengths_of_a_crystal_in_layers():
    atoms = bulk("LiCl", "rocksalt", a=5.13, cubic=True).repeat((2, 2, 3))
    frames = Frames(atoms.get_scaled_positions()[None] + 0.01, atoms.cell.array[None], atoms.numbers)
    coordination = compute_coordination_layers(frames, ("Li", "Cl"), 3.0, Layers("c", 5.13))
    np.testing.assert_allclose(coordination.values, 6.0)
    np.testing.assert_allclose(
        compute_bond_length_layers(frames, ("Li", "Cl"), 3.0, Layers("c", 5.13)).values, 5.13 / 2
    )
    with pytest.raises(DataError, match="axis=d"):
        compute_density_layers(frames, Layers("d"))


def profile_of(share, layer=0.5):
    """A composition map of one frame of a periodic stack."""
    positions = (np.arange(len(share)) + 0.5) * layer
    return Kymograph("share of Li", "of atoms", "c", positions, np.array([share]), None, "test")


@pytest.mark.parametrize("sigma", [2.0, 4.0])
def test_thickness_of_an_error_function_is_its_ten_to_ninety_width(sigma):
    z = (np.arange(400) + 0.5) * 0.5
    share = 0.4 + 0.3 * (erf((z - 50) / (sigma * np.sqrt(2))) - erf((z - 150) / (sigma * np.sqrt(2))))
    result = compute_interphase(profile_of(share))
    expected = 2 * np.sqrt(2) * sigma * erfinv(0.8)
    assert result.value == pytest.approx(expected, rel=0.01)
    assert result.sides == pytest.approx((0.4, 1.0), abs=1e-3)


def test_thickness_of_a_layer_with_a_composition_of_its_own():
    """Li | Li2S-like | electrolyte: linear steps of 2 A around a plateau of 20 A, on both sides."""
    z = (np.arange(400) + 0.5) * 0.5
    steps = ([0, 40, 42, 62, 64, 136, 138, 158, 160, 200], [1, 1, 0.7, 0.7, 0.4, 0.4, 0.7, 0.7, 1, 1])
    first = np.interp(z, [0, 60, 62, 138, 140, 200], [1, 1, 0.4, 0.4, 1, 1])
    later = np.interp(z, *steps)
    both = profile_of(first)
    grown = Kymograph("share", "1", "c", both.positions_A, np.array([first, later]), None, "test")
    result = compute_interphase(grown)
    assert result.thickness_A[0] == pytest.approx(0.8 * 2, abs=0.1)
    assert result.thickness_A[1] == pytest.approx(20 + 2 * 2 * 0.8, abs=0.1)


def test_one_material_has_no_interphase():
    with pytest.raises(DataError, match="two materials that differ"):
        compute_interphase(profile_of(np.full(50, 0.5)))


def test_smoothing_hides_the_layers_of_crystals():
    metal = bulk("Li", "bcc", a=3.44, cubic=True).repeat((4, 4, 12))
    salt = bulk("LiCl", "rocksalt", a=5.13, cubic=True).repeat((3, 3, 8))
    salt.set_cell([13.76, 13.76, salt.cell[2, 2]], scale_atoms=True)
    salt.positions[:, 2] += metal.cell[2, 2]
    stack = Atoms(cell=[13.76, 13.76, metal.cell[2, 2] + salt.cell[2, 2]], pbc=True) + metal + salt
    frames = Frames(stack.get_scaled_positions()[None], stack.cell.array[None], stack.numbers)
    result = compute_interphase(compute_smooth_composition(frames, "Li", 2.5, Layers()))
    assert result.sides == pytest.approx((0.5, 1.0), abs=0.01)
    assert result.value == pytest.approx(2.563 * 2.5, rel=0.15)
