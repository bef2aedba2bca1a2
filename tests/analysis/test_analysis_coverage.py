"""How often intervals of D hold the truth, over many synthetic runs; kinisi as another judge."""

import numpy as np
import pytest
from analysis.walkers import brownian, hopping, in_lattice

from md.analysis import compute_msd, estimate_diffusivity
from md.analysis.paths import find_reference

CELL = 20.0 * np.eye(3)
TRUE, HOP = 0.05, 2.0


def coverage(make, seeds, true=TRUE, hop=HOP):
    """Shares of runs whose 95 % interval of the fit, and of the quoted error, hold the truth."""
    results = [estimate_diffusivity(compute_msd(make(seed), "Li"), hop) for seed in seeds]
    known = [each for each in results if each.value is not None]
    assert len(known) > 0.95 * len(results)
    deviations = np.array([each.value for each in known]) - true * 1e-4
    fit = np.abs(deviations) < 1.96 * np.array([each.error_fit for each in known])
    quoted = np.abs(deviations) < 1.96 * np.array([each.error for each in known])
    return fit.mean(), quoted.mean()


def walkers(seed):
    rng = np.random.default_rng(seed)
    paths = brownian(rng, 300, 20, TRUE)
    return in_lattice(paths + rng.normal(scale=0.1, size=paths.shape), [3] * 20, CELL)


def hoppers(seed):
    rng = np.random.default_rng(seed)
    return in_lattice(hopping(rng, 400, 20, 6 * TRUE / HOP**2, HOP), [3] * 20, CELL)


def test_intervals_of_a_hundred_runs():
    fit, quoted = coverage(walkers, range(100))
    assert fit >= 0.88  # 100 runs: standard error 0.02
    assert quoted >= 0.94


@pytest.mark.slow
def test_intervals_of_500_runs():
    fit, quoted = coverage(walkers, range(500))
    assert 0.90 <= fit <= 0.99
    assert quoted >= 0.90


@pytest.mark.slow
def test_quoted_interval_holds_for_few_discrete_hops():
    """Some 60 hops in a run: their shot noise is not in a Brownian covariance, but in He's formula."""
    fit, quoted = coverage(hoppers, range(200))
    assert 0.6 < fit < 0.9
    assert quoted >= 0.90


@pytest.mark.slow
def test_kinisi_finds_the_same_diffusivity_and_error():
    analyze, scipp = pytest.importorskip("kinisi.analyze"), pytest.importorskip("scipp")
    frames = walkers(0)
    theirs = analyze.DiffusionAnalyzer.from_ase(
        [frames.atoms(index) for index in range(frames.num_frames)],
        specie="Li",
        time_step=1 * scipp.Unit("ps"),  # in units of our 0.1 ps: it takes 4.3 / 0.1 for the lag of 42 frames
        step_skip=1 * scipp.Unit("dimensionless"),
        progress=False,
    )
    # its frame of reference is the other atoms at rest
    msd = compute_msd(frames, "Li", find_reference(frames, "framework", ["Li"]))
    # kinisi 2.1 counts the first frame twice: at each lag one displacement is a frame too short
    positions = frames.fractional[:, :20] @ frames.mean_cell
    short = np.mean(np.sum((positions - positions[0]) ** 2, axis=2), axis=1)
    origins = 300 - np.arange(1, 100)
    expected = (msd.total[1:100] * origins + short[:99]) / (origins + 1)
    np.testing.assert_allclose(theirs.msd.values[:99], expected, rtol=1e-6)
    ours = estimate_diffusivity(msd, HOP)
    theirs.diffusion(10 * ours.window_ps[0] * scipp.Unit("ps"), progress=False)
    samples = 10 * theirs.D.values
    assert abs(samples.mean() - ours.value) < ours.error_fit
    assert 0.5 < samples.std() / ours.error_fit < 2.0
