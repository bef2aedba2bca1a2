"""The mean squared displacement of many ions over many frames, ours against kinisi's and MDAnalysis's.

Walkers of known D among a few heavy atoms at rest, which are the frame of reference. kinisi and MDAnalysis
hold all displacements at once, so they are measured on fewer ions; all work on the same positions.
"""

import numpy as np
from analysis_turns import Row, take_turns

from md.analysis import Frames, compute_msd
from md.analysis.paths import find_reference

INTERVAL_PS, DIFFUSIVITY, SIDE = 0.1, 0.02, 60.0
NUM_ANCHORS = 10
LITHIUM, URANIUM = 3, 92


def measure_msd(sizes: list[tuple[int, int]], compared: list[tuple[int, int]], turns: int) -> list[Row]:
    """Times of ours on `sizes` (ions, frames), and of all in turn on `compared`."""
    others = {"ours": run_ours, "kinisi": run_kinisi, "MDAnalysis": run_mdanalysis}
    plan = [(size, {"ours": run_ours}, 1) for size in sizes] + [(size, others, turns) for size in compared]
    return [
        row
        for size, engines, count in plan
        for row in take_turns("MSD", size, walkers(*size), engines, slice(1, size[1] // 2), count)
    ]


def walkers(num_ions: int, num_frames: int) -> Frames:
    """Brownian walkers, then atoms at rest, written ion by ion to stay within memory."""
    rng = np.random.default_rng(0)
    fractional = np.empty((num_frames, num_ions + NUM_ANCHORS, 3))
    scale = np.sqrt(2 * DIFFUSIVITY * INTERVAL_PS) / SIDE
    for start in range(0, num_ions, 100):
        stop = min(start + 100, num_ions)
        steps = rng.normal(scale=scale, size=(num_frames, stop - start, 3))
        fractional[:, start:stop] = rng.uniform(size=(1, stop - start, 3)) + np.cumsum(steps, axis=0)
    fractional[:, num_ions:] = rng.uniform(size=(1, NUM_ANCHORS, 3))
    cells = np.tile(SIDE * np.eye(3), (num_frames, 1, 1))
    numbers = np.array([LITHIUM] * num_ions + [URANIUM] * NUM_ANCHORS)
    return Frames(fractional, cells, numbers, INTERVAL_PS * np.arange(num_frames))


def run_ours(frames: Frames) -> np.ndarray:
    """Trace of our tensor, from every origin."""
    return compute_msd(frames, "Li", find_reference(frames, "framework", ["Li"])).total


def run_kinisi(frames: Frames) -> np.ndarray:
    """kinisi's mean squared displacement, from ASE structures; lag 0 added."""
    import scipp
    from kinisi.analyze import DiffusionAnalyzer

    analyzer = DiffusionAnalyzer.from_ase(
        [frames.atoms(index) for index in range(frames.num_frames)],
        specie="Li",
        time_step=1
        * scipp.Unit("ps"),  # in units of the interval: fractions of it are cut off to a frame less
        step_skip=1 * scipp.Unit("dimensionless"),
        progress=False,
    )
    return np.concatenate([[0.0], analyzer.msd.values])[: frames.num_frames]


def run_mdanalysis(frames: Frames) -> np.ndarray:
    """MDAnalysis's EinsteinMSD of unwrapped positions in memory, by its FFT."""
    import MDAnalysis
    from MDAnalysis.analysis.msd import EinsteinMSD

    universe = MDAnalysis.Universe.empty(len(frames.numbers), trajectory=True)
    universe.add_TopologyAttr("name", ["Li" if number == LITHIUM else "U" for number in frames.numbers])
    universe.load_new((np.asarray(frames.fractional) @ frames.mean_cell).astype(np.float32), order="fac")
    return EinsteinMSD(universe, select="name Li", msd_type="xyz", fft=True).run().results.timeseries
