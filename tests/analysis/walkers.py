"""Walkers of known motion in a heavy lattice at rest."""

import numpy as np

from md.analysis import Frames

ANCHOR = 92


def in_lattice(paths, numbers, cell, interval_ps=0.1, seed=0):
    """Frames of paths (T, N, 3) among heavy atoms at rest, in a fixed cell."""
    anchors = np.random.default_rng(seed).uniform(size=(1, 100, 3)) @ cell
    positions = np.concatenate([paths, np.tile(anchors, (len(paths), 1, 1))], axis=1)
    cells = np.tile(cell, (len(paths), 1, 1))
    times = interval_ps * np.arange(len(paths))
    return Frames(positions @ np.linalg.inv(cell), cells, np.array([*numbers, *[ANCHOR] * 100]), times)


def brownian(rng, num_frames, num_walkers, diffusivity, interval_ps=0.1):
    """Paths of independent Brownian walkers, D in A^2/ps."""
    scale = np.sqrt(2 * diffusivity * interval_ps)
    return np.cumsum(rng.normal(scale=scale, size=(num_frames, num_walkers, 3)), axis=0)


def hopping(rng, num_frames, num_walkers, rate, distance, interval_ps=0.1, vibration=0.1):
    """Paths of walkers that hop on a cubic lattice at `rate` per ps and rattle."""
    hops = rng.random((num_frames, num_walkers)) < rate * interval_ps
    axis = np.eye(3)[rng.integers(0, 3, hops.shape)]
    steps = axis * rng.choice([-1.0, 1.0], hops.shape)[..., None] * hops[..., None] * distance
    return np.cumsum(steps, axis=0) + rng.normal(scale=vibration, size=steps.shape)
