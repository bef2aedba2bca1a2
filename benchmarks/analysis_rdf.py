"""g(r) of many atoms over many frames, ours against freud's, OVITO's and MDAnalysis's.

Atoms of three species at random in a cube at the density of a sulfide glass, g(r) to 8 A in 100 bins.
Ours gives the g(r) of all six pairs of species in a pass; the others are asked for one, of all atoms.
MDAnalysis, which lists all pairs, is measured on fewer frames.
"""

import os

import numpy as np
from analysis_turns import Row, take_turns

from md.analysis import Frames, compute_rdf

DENSITY, R_MAX, BINS = 0.05, 8.0, 100
SHARES = {3: 0.5, 15: 0.15, 16: 0.35}


def measure_rdf(sizes: list[tuple[int, int]], compared: list[tuple[int, int]], turns: int) -> list[Row]:
    """Times of ours on `sizes` (atoms, frames), and of all in turn on `compared`."""
    others = {"ours": run_ours, "freud": run_freud, "OVITO": run_ovito, "MDAnalysis": run_mdanalysis}
    plan = [(size, {"ours": run_ours}, 1) for size in sizes] + [(size, others, turns) for size in compared]
    far = slice(BINS // 4, None)  # near zero there are a few pairs a bin
    return [
        row
        for size, engines, count in plan
        for row in take_turns("g(r)", size, random_frames(*size), engines, far, count)
    ]


def random_frames(num_atoms: int, num_frames: int) -> Frames:
    """An ideal gas of three species in a cube, float64."""
    rng = np.random.default_rng(0)
    side = (num_atoms / DENSITY) ** (1 / 3)
    numbers = rng.choice(list(SHARES), num_atoms, p=list(SHARES.values()))
    cells = np.tile(side * np.eye(3), (num_frames, 1, 1))
    return Frames(rng.uniform(size=(num_frames, num_atoms, 3)), cells, numbers)


def run_ours(frames: Frames) -> np.ndarray:
    """All pairs of species; their sum, weighted by numbers of atoms, is the g(r) of all atoms."""
    found = compute_rdf(frames, r_max=R_MAX, bin_width=R_MAX / BINS, max_frames=frames.num_frames)
    counts = {symbol: len(frames.select(symbol)) for symbol in frames.species}
    total = sum((1 if a == b else 2) * counts[a] * counts[b] * rdf.g for (a, b), rdf in found.items())
    return total / len(frames.numbers) ** 2


def run_freud(frames: Frames) -> np.ndarray:
    """freud's RDF, accumulated over the frames, on the cores this process may use."""
    import freud

    freud.parallel.set_num_threads(len(os.sched_getaffinity(0)))
    rdf = freud.density.RDF(bins=BINS, r_max=R_MAX)
    for fractional, cell in zip(frames.fractional, frames.cells, strict=True):
        box = freud.box.Box.from_matrix(cell.T)
        rdf.compute((box, (fractional - 0.5) @ cell), reset=False)
    return rdf.rdf


def run_ovito(frames: Frames) -> np.ndarray:
    """OVITO's CoordinationAnalysisModifier, averaged over the frames."""
    from ovito.io.ase import ase_to_ovito
    from ovito.modifiers import CoordinationAnalysisModifier

    total = np.zeros(BINS)
    for index in range(frames.num_frames):
        data = ase_to_ovito(frames.atoms(index))
        data.apply(CoordinationAnalysisModifier(cutoff=R_MAX, number_of_bins=BINS))
        total += data.tables["coordination-rdf"].xy()[:, 1]
    return total / frames.num_frames


def run_mdanalysis(frames: Frames) -> np.ndarray:
    """MDAnalysis's InterRDF of positions in memory."""
    import MDAnalysis
    from MDAnalysis.analysis.rdf import InterRDF

    universe = MDAnalysis.Universe.empty(len(frames.numbers), trajectory=True)
    sides = np.array([[*np.diag(cell), 90.0, 90.0, 90.0] for cell in frames.cells])
    universe.load_new(
        (frames.fractional @ frames.mean_cell).astype(np.float32), order="fac", dimensions=sides
    )
    everyone = universe.atoms
    return InterRDF(everyone, everyone, BINS, (0.0, R_MAX), exclusion_block=(1, 1)).run().results.rdf
