"""Structure factors: exact for a crystal and an ideal gas, a naive sum, weights of the tables."""

import numpy as np
import pytest
from ase.build import bulk

from md.analysis import Frames
from md.analysis.scattering import NEUTRONS, XRAYS, scattering_amplitude
from md.analysis.structure_factor import choose_waves, compute_structure_factor, fourier_components
from mlip.errors import DataError

SKEW = np.array([[9.0, 0.0, 0.0], [2.0, 10.0, 0.0], [-3.0, 1.0, 11.0]])


def test_amplitudes_are_those_of_the_literature():
    """Sears 1992: Li -1.90, P 5.13, S 2.847 fm; form factors begin at the number of electrons."""
    lengths = {"Li": -1.90, "P": 5.13, "S": 2.847, "O": 5.803}
    q = np.array([0.0, 4.0])
    for symbol, length in lengths.items():
        np.testing.assert_allclose(scattering_amplitude(symbol, NEUTRONS, q), length, atol=0.04)
    assert scattering_amplitude("S", XRAYS, q)[0] == pytest.approx(16, abs=0.01)
    assert 0 < scattering_amplitude("S", XRAYS, q)[1] < 12
    with pytest.raises(DataError, match="no scattering"):
        scattering_amplitude("Xx", XRAYS, q)


def test_fourier_components_equal_a_naive_sum():
    rng = np.random.default_rng(0)
    fractional, waves = rng.uniform(-1, 2, (50, 3)), rng.integers(-6, 7, (40, 3))
    expected = np.exp(2j * np.pi * fractional @ waves.T).sum(axis=0)
    np.testing.assert_allclose(fourier_components(fractional, waves), expected, atol=1e-10)


def test_waves_are_half_of_those_below_the_limit_and_fit_the_cell():
    waves = choose_waves(SKEW, 3.0, 10.0, np.random.default_rng(0))
    both = {tuple(wave) for wave in waves} | {tuple(-wave) for wave in waves}
    assert len(both) == 2 * len(waves)
    few = choose_waves(SKEW, 1.2, 1.2, np.random.default_rng(0))
    grid = np.stack(np.meshgrid(*[np.arange(-9, 10)] * 3), -1).reshape(-1, 3)
    lengths = np.linalg.norm(grid @ (2 * np.pi * np.linalg.inv(SKEW).T), axis=1)
    assert 2 * len(few) == np.sum((lengths < 1.2) & (lengths > 0))
    with pytest.raises(DataError, match="larger cell"):
        choose_waves(np.eye(3), 1.0, 0.1, np.random.default_rng(0))


def test_an_ideal_gas_has_one_everywhere():
    rng = np.random.default_rng(1)
    fractional = rng.uniform(size=(60, 200, 3))
    frames = Frames(fractional, np.tile(2 * SKEW, (60, 1, 1)), np.array([3] * 80 + [16] * 120))
    result = compute_structure_factor(frames, q_max=5.0, bin_width=0.5, max_frames=60)
    for curve in (*result.partial.values(), *result.total.values()):
        np.testing.assert_allclose(curve[2:], 1.0, atol=0.2)
        assert curve[2:].mean() == pytest.approx(1.0, abs=0.03)


def test_bragg_peaks_of_a_salt():
    """Rock salt, one cell: S = N |F|^2 / sum f^2 at allowed waves, zero at mixed indices."""
    atoms = bulk("LiCl", "rocksalt", a=5.13, cubic=True)
    frames = Frames(atoms.get_scaled_positions()[None], atoms.cell.array[None], atoms.numbers)
    result = compute_structure_factor(frames, q_max=2.6, bin_width=0.05)
    length = 2 * np.pi / 5.13
    like, unlike = result.partial["Li", "Li"], result.partial["Li", "Cl"]
    # rows of S_ab - 1 times c: 4 atoms of 8 in phase at (111), where the other kind is in counterphase
    place = np.argmin(np.abs(result.q - np.sqrt(3) * length))
    assert result.q[place] == pytest.approx(np.sqrt(3) * length)
    assert like[place] == pytest.approx(1 + (16 - 4) * 8 / 16)
    assert unlike[place] == pytest.approx(1 - 16 * 8 / 16)
    forbidden = np.argmin(np.abs(result.q - length))
    assert like[forbidden] == pytest.approx(1 - 4 * 8 / 16)
    assert unlike[forbidden] == pytest.approx(1.0)
    second = np.argmin(np.abs(result.q - 2 * length))
    lithium, chlorine = -1.90, 9.577
    expected = ((lithium + chlorine) / 2) ** 2 / ((lithium + chlorine) / 2) ** 2 * 8
    total = result.total[NEUTRONS][second]
    own = (lithium**2 + chlorine**2) / 2 / ((lithium + chlorine) / 2) ** 2
    assert total == pytest.approx(1 + expected - own, rel=0.02)


def test_totals_are_weighted_sums_of_partials_and_do_not_depend_on_the_cell_chosen():
    rng = np.random.default_rng(2)
    fractional = rng.uniform(size=(3, 30, 3))
    numbers = np.array([3] * 10 + [15] * 5 + [16] * 15)
    frames = Frames(fractional, np.tile(SKEW, (3, 1, 1)), numbers)
    result = compute_structure_factor(frames, q_max=4.0)
    shares = {"Li": 1 / 3, "P": 1 / 6, "S": 1 / 2}
    weights = {
        symbol: share * scattering_amplitude(symbol, XRAYS, result.q) for symbol, share in shares.items()
    }
    total = sum(weights.values())
    expected = sum(
        (1 if a == b else 2) * weights[a] * weights[b] * curve / total**2
        for (a, b), curve in result.partial.items()
    )
    np.testing.assert_allclose(result.total[XRAYS], expected, rtol=1e-10)
    other = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]])
    moved = Frames(fractional @ np.linalg.inv(other), np.tile(other @ SKEW, (3, 1, 1)), numbers)
    same = compute_structure_factor(moved, q_max=4.0)
    # all waves of a bin are taken where they are few
    np.testing.assert_allclose(same.total[XRAYS][:8], result.total[XRAYS][:8], rtol=1e-8)
