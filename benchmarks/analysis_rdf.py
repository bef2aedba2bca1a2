"""g(r) of many atoms over many frames, ours against freud's and MDAnalysis's.

    python benchmarks/analysis_rdf.py

Atoms of three species at random in a cube at the density of a sulfide glass, g(r) to 8 A in 100 bins.
Ours gives the g(r) of all six pairs of species in a pass; freud and MDAnalysis are asked for one, of all
atoms. They take turns, on the same positions; MDAnalysis, which lists all pairs, is measured on fewer
frames. See benchmarks/README.md.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from speed_machine import describe_machine

from md.analysis import Frames, compute_rdf

DENSITY, R_MAX, BINS = 0.05, 8.0, 100
SHARES = {3: 0.5, 15: 0.15, 16: 0.35}
LIBRARIES = ("numpy", "scipy", "freud-analysis", "MDAnalysis")
COLUMNS = ("task", "engine", "atoms", "frames", "wall (s)", "CPU (s)", "largest difference to ours")

Row = dict[str, Any]


def measure_rdf(sizes: list[tuple[int, int]], compared: list[tuple[int, int]], turns: int) -> list[Row]:
    """Times of ours on `sizes` (atoms, frames), and of all in turn on `compared`."""
    rows = [measure_one(atoms, frames, {"ours": run_ours}, 1) for atoms, frames in sizes]
    others = {"ours": run_ours, "freud": run_freud, "MDAnalysis": run_mdanalysis}
    rows += [measure_one(atoms, frames, others, turns) for atoms, frames in compared]
    return [row for each in rows for row in each]


def measure_one(
    num_atoms: int, num_frames: int, engines: dict[str, Callable[[Frames], np.ndarray]], turns: int
) -> list[Row]:
    """Medians of wall and CPU seconds of engines that take turns, and how far they are from ours."""
    gas = random_frames(num_atoms, num_frames)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in engines}
    curves = {}
    for _ in range(turns):
        for name, run in engines.items():
            start = time.perf_counter(), time.process_time()
            curves[name] = run(gas)
            times[name].append((time.perf_counter() - start[0], time.process_time() - start[1]))
    far = slice(BINS // 4, None)  # near zero there are a few pairs a bin
    return [
        {
            "task": "g(r)",
            "engine": name,
            "ions": num_atoms,
            "frames": num_frames,
            "wall_s": statistics.median(wall for wall, _ in times[name]),
            "cpu_s": statistics.median(cpu for _, cpu in times[name]),
            "difference": float(np.max(np.abs(curves[name][far] / curves["ours"][far] - 1))),
        }
        for name in engines
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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rdf", nargs="+", default=["100000x100"], help="atoms x frames, ours alone")
    parser.add_argument("--rdf-compared", nargs="+", default=["20000x5"], help="atoms x frames, all in turn")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    sizes, compared = (
        [(int(atoms), int(frames)) for atoms, frames in (size.split("x") for size in some)]
        for some in (options.rdf, options.rdf_compared)
    )
    write_results(measure_rdf(sizes, compared, options.turns), options.results)


def write_results(rows: list[Row], folder: Path) -> None:
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES)
    provenance = describe_machine("cpu") | {
        "versions": versions,
        "threads": str(len(os.sched_getaffinity(0))),
    }
    (folder / "analysis_rdf.json").write_text(
        json.dumps({"provenance": provenance, "rows": rows}, indent=1) + "\n"
    )
    lines = ["# analysis_rdf.py", "", ", ".join(f"{key}: {value}" for key, value in provenance.items()), ""]
    lines += [f"| {' | '.join(COLUMNS)} |", "|" + len(COLUMNS) * "---|"]
    for row in rows:
        cells = [row["task"], row["engine"], row["ions"], row["frames"]]
        cells += [f"{row['wall_s']:.2f}", f"{row['cpu_s']:.2f}", f"{row['difference']:.1e}"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    (folder / "analysis_rdf.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
