"""Hops, van Hove functions and density maps of walkers and crystals whose answers are known."""

import numpy as np
import pytest
from analysis.walkers import brownian, hopping, in_lattice
from ase.io.cube import read_cube_data
from ase.io.xsf import read_xsf

from md.analysis import Frames
from md.analysis.density_map import compute_density_map, write_density
from md.analysis.hops import find_hops
from md.analysis.van_hove import compute_van_hove
from mlip.errors import DataError

CELL = np.array([[12.0, 0.0, 0.0], [3.0, 11.0, 0.0], [-2.0, 1.5, 10.0]])


def test_hops_of_a_lattice_walker_are_counted_and_measured():
    rng = np.random.default_rng(0)
    frames = in_lattice(hopping(rng, 3000, 40, 0.02, 2.5), [3] * 40, CELL)
    found = find_hops(frames, "Li", 2.5)
    assert abs(found.value - 0.02) < 3 * found.error + 0.02 * 0.04  # hops within a window count once
    assert found.mean_length_A == pytest.approx(2.5, rel=0.03)
    assert abs(found.mean_cosine) < 0.08
    assert found.correlation_factor == pytest.approx(1.0, abs=0.16)
    assert np.sum(found.length_density) * found.lengths_A[1] == pytest.approx(1.0)
    assert found.warnings == ()


def test_ions_that_always_come_back_have_no_net_motion():
    rng = np.random.default_rng(1)
    place = np.cumsum(rng.random((3000, 30)) < 0.002, axis=0) % 2
    paths = 2.5 * place[..., None] * np.array([1.0, 0.0, 0.0]) + rng.normal(scale=0.1, size=(3000, 30, 3))
    found = find_hops(in_lattice(paths, [3] * 30, CELL), "Li", 2.5)
    assert found.mean_cosine == pytest.approx(-1.0, abs=0.05)
    assert found.correlation_factor < 0.03


def test_rattling_ions_do_not_hop_and_fast_ones_are_warned_about():
    rng = np.random.default_rng(2)
    still = find_hops(in_lattice(hopping(rng, 500, 20, 0.0, 2.5), [3] * 20, CELL), "Li", 2.5)
    assert still.num_hops == 0
    assert still.mean_length_A is None
    fast = find_hops(in_lattice(hopping(rng, 500, 20, 0.6, 2.5), [3] * 20, CELL), "Li", 2.5)
    assert any("hops merge" in warning for warning in fast.warnings)
    with pytest.raises(DataError, match="run longer"):
        find_hops(in_lattice(hopping(rng, 12, 2, 0.1, 2.5), [3] * 2, CELL), "Li", 2.5)


def test_van_hove_of_brownian_walkers_is_a_gaussian():
    rng = np.random.default_rng(3)
    # D = 0.2 A^2/ps for the self part, an ideal gas for the distinct part
    paths = brownian(rng, 400, 200, 0.2) + rng.uniform(size=(1, 200, 3)) @ CELL
    found = compute_van_hove(in_lattice(paths, [3] * 200, CELL), "Li", [0.5, 2.0], r_max=6.0, bin_width=0.25)
    for lag, curve in zip(found.lags_ps, found.displaced, strict=True):
        width = 2 * 0.2 * lag
        edges = np.arange(0, 6.01, 0.25)
        fine = np.linspace(edges[:-1], edges[1:], 21)
        expected = (4 * np.pi * fine**2 * np.exp(-(fine**2) / (2 * width)) / (2 * np.pi * width) ** 1.5).mean(
            axis=0
        )
        np.testing.assert_allclose(curve, expected, atol=0.03 * expected.max())
    assert abs(found.value) < 0.1
    np.testing.assert_allclose(found.distinct[:, 6:], 1.0, atol=0.05)
    with pytest.raises(DataError, match="70 % of the run"):
        compute_van_hove(in_lattice(paths, [3] * 200, CELL), "Li", [39.0])


def test_ions_that_replace_each_other_fill_the_distinct_part_at_zero():
    """A row of ions that steps on by one site: each former place is taken by the one behind."""
    sites = np.arange(6)[None, :, None] * np.array([2.0, 0.0, 0.0])
    steps = (np.arange(40) // 10)[:, None, None] * np.array([2.0, 0.0, 0.0])
    paths = sites + steps + np.random.default_rng(0).normal(scale=0.02, size=(40, 6, 3))
    found = compute_van_hove(in_lattice(paths, [3] * 6, CELL), "Li", [1.0], r_max=3.0, bin_width=0.5)
    assert found.distinct[0, 0] > 10
    assert found.displaced[0][np.argmin(abs(found.r - 1.75))] + found.displaced[0][4] > 1.9


def test_density_map_of_ions_on_sites_in_a_breathing_drifting_cell():
    num_frames = 50
    cells = CELL * (1 + 0.03 * np.sin(np.arange(num_frames)))[:, None, None]
    sites = np.array([[0.11, 0.22, 0.33], [0.61, 0.52, 0.83], [0.3, 0.3, 0.3]])
    drift = np.linspace(0, 2.2, num_frames)[:, None, None]
    frames = Frames(sites + drift, cells, np.array([3, 3, 16]), 0.1 * np.arange(num_frames))
    found = compute_density_map(frames, "Li", spacing_A=0.5)
    volume = abs(np.linalg.det(frames.mean_cell)) / found.density.size
    assert found.density.sum() * volume == pytest.approx(2.0)
    assert np.count_nonzero(found.density) == 2
    points = (sites[:2] * found.density.shape).astype(int)
    assert all(found.density[tuple(point)] * volume == pytest.approx(1.0) for point in points)
    np.testing.assert_allclose(found.framework.get_scaled_positions()[0], sites[2], atol=1e-9)
    assert found.value == pytest.approx(2 / found.density.size)


def test_density_files_are_read_by_others(tmp_path):
    rng = np.random.default_rng(4)
    frames = in_lattice(rng.uniform(size=(2000, 50, 3)) @ CELL, [3] * 50, CELL)
    found = compute_density_map(frames, "Li", spacing_A=1.0)
    assert found.value == pytest.approx(0.85, abs=0.06)  # 90 % of the ions; counts scatter
    cube, xsf = write_density(found, tmp_path)
    data, atoms = read_cube_data(cube)
    np.testing.assert_allclose(data, found.density, atol=1e-6)
    np.testing.assert_allclose(atoms.cell.array, frames.mean_cell, atol=1e-4)
    with xsf.open() as stream:
        grid, _, _, structure = read_xsf(stream, index=-1, read_data=True)
    np.testing.assert_allclose(grid[:-1, :-1, :-1], found.density, atol=1e-6)
    np.testing.assert_allclose(grid[-1], grid[0])
    assert len(structure) == 100
