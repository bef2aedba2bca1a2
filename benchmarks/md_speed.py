"""What do the engines of `mlip md` add to the forces, and what does a batch of small systems win?

    python benchmarks/md_speed.py
    python benchmarks/md_speed.py --device cuda --models 2x32 4x32

The bare call is `MLIPCalculator.evaluate` of a graph that is given, of the atoms where they are by then: a
crystal that melts gets more edges. All are timed in turn, in one process; medians. See benchmarks/README.md.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from speed_machine import describe_machine
from speed_models import SPECIES, build_cell, random_potential

from md.engines.ase import AseBackend
from md.engines.base import BatchEngine, Place
from md.engines.entrance import first_state
from md.engines.lammps import LammpsBackend
from md.engines.torch.engine import TorchBackend
from md.protocols.stages import Stage, plan_stages
from md.state import State
from mlip.data.graph import build_graph, collate
from mlip.deploy import MLIPCalculator
from mlip.units import FS_PER_NS, SECONDS_PER_DAY

BACKENDS = {"torch": TorchBackend, "ase": AseBackend, "lammps": LammpsBackend}
COLUMNS = (
    "model",
    "ensemble",
    "systems",
    "atoms each",
    "engine",
    "ms/step",
    "to the bare call",
    "ns/day of all",
)
TEMPERATURE_K, TIMESTEP_FS = 300.0, 1.0

Row = dict[str, Any]
# Makes ready what is timed.
Prepare = Callable[[], Callable[[], None]]


def main() -> None:
    options = parse_options()
    torch.set_num_threads(options.threads)
    rows: list[Row] = []
    for model in options.models:
        file = write_potential(model, options.work)
        for atoms in options.atoms:
            for ensemble in ("nve", "npt"):
                rows += one_system(model, file, atoms, ensemble, options)
        rows += many_systems(model, file, options)
        write_results(rows, options)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=["2x32"])
    parser.add_argument("--atoms", nargs="+", type=int, default=[96, 960])
    parser.add_argument("--systems", type=int, default=64, help="of 64 atoms each, in one batch")
    parser.add_argument("--steps", type=int, default=25, help="a turn")
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("runs/md_benchmark"))
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    return parser.parse_args()


def write_potential(model: str, folder: Path) -> Path:
    """The file of a potential for a model."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{model.replace(' ', '_')}.mlip"
    random_potential(model).save(file)
    return file


def one_system(model: str, file: Path, atoms: int, ensemble: str, options: argparse.Namespace) -> list[Row]:
    """The engines on one system."""
    calculator = MLIPCalculator(file, options.device)
    place = make_place(atoms, ensemble, 0)
    engines = {}
    for name, backend in BACKENDS.items():
        folder = options.work / f"{name}-{model}".replace(" ", "_")
        folder.mkdir(exist_ok=True)
        engines[name] = backend().open(calculator, [place.state], 0, folder)
    calls = {name: steps_of(engine, [place], options.steps) for name, engine in engines.items()}
    bare = {"bare call": bare_call(calculator, engines["torch"], options.steps)}
    seconds = in_turn(bare | calls, options.turns)
    shared = {"model": model, "ensemble": ensemble, "systems": 1, "atoms": len(place.state.numbers)}
    return [shared | row for row in to_rows(seconds, options.steps, 1)]


def many_systems(model: str, file: Path, options: argparse.Namespace) -> list[Row]:
    """One batch against one system after the other."""
    calculator = MLIPCalculator(file, options.device)
    places = [make_place(64, "nvt", system) for system in range(options.systems)]
    steps = max(2, options.steps // 5)
    states = [place.state for place in places]
    together = TorchBackend().open(calculator, states, 0, options.work)
    alone = [
        steps_of(TorchBackend().open(calculator, [p.state], 0, options.work), [p], steps) for p in places
    ]

    def one_by_one() -> None:
        for prepare in alone:
            prepare()()

    calls = {
        "torch, one batch": steps_of(together, places, steps),
        "torch, one by one": lambda: one_by_one,
    }
    calls = {"bare call": bare_call(calculator, together, steps)} | calls
    seconds = in_turn(calls, max(3, options.turns // 3))
    shared = {"model": model, "ensemble": "nvt", "systems": options.systems, "atoms": len(states[0].numbers)}
    return [shared | row for row in to_rows(seconds, steps, options.systems)]


def make_place(atoms: int, ensemble: str, system: int) -> Place:
    """A crystal at the start of a stage."""
    keys: dict[str, Any] = {"barostat": "iso"} if ensemble == "npt" else {}
    stage = Stage(
        name=ensemble,
        ensemble=ensemble,
        temperature_K=TEMPERATURE_K,
        timestep_fs=TIMESTEP_FS,
        duration_ps=1000.0,
        **keys,
    )
    (plan,) = plan_stages([stage])
    state = first_state(State.from_atoms(build_cell(atoms, seed=system)), [plan], seed=system)
    return Place(system, plan, state)


def bare_call(calculator: MLIPCalculator, engine: BatchEngine, steps: int) -> Prepare:
    """The forces of the systems of an engine as they are, as often as there are steps."""

    def prepare() -> Callable[[], None]:
        graphs = [build_graph(each.to_atoms(), calculator.r_max, SPECIES) for each in engine.states()]
        graph = (graphs[0] if len(graphs) == 1 else collate(graphs)).to(calculator.device)

        def call() -> None:
            for _ in range(steps):
                calculator.evaluate(graph)

        return call

    return prepare


def steps_of(engine: BatchEngine, places: list[Place], steps: int) -> Prepare:
    """Steps of an engine that has taken these systems."""
    engine.begin(places)
    return lambda: lambda: engine.advance(steps)


def in_turn(calls: dict[str, Prepare], turns: int) -> dict[str, list[float]]:
    """Seconds of each turn of each; the first turn, in which things warm up, does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(turns + 1):
        for name, prepare in calls.items():
            call = prepare()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            begin = time.perf_counter()
            call()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            seconds[name].append(time.perf_counter() - begin)
    return {name: each[1:] for name, each in seconds.items()}


def to_rows(seconds: dict[str, list[float]], steps: int, systems: int) -> list[Row]:
    """Medians of the times and of the ratios turn by turn."""
    bare = seconds["bare call"]
    rows = []
    for name, each in seconds.items():
        step = statistics.median(each) / steps
        ratio = statistics.median(mine / other for mine, other in zip(each, bare, strict=True))
        ns_per_day = systems * TIMESTEP_FS / FS_PER_NS * SECONDS_PER_DAY / step
        rows.append({"engine": name, "seconds": step, "ratio": ratio, "ns_per_day": ns_per_day})
        print(rows[-1], flush=True)
    return rows


def write_results(rows: list[Row], options: argparse.Namespace) -> None:
    """Write `md_<device>.json` and `.md`."""
    machine = describe_machine(options.device) | {"threads": str(options.threads)}
    name = f"md_{options.device}"
    (options.results / f"{name}.json").write_text(
        json.dumps({"provenance": machine, "rows": rows}, indent=1) + "\n"
    )
    lines = [
        "# Engines of molecular dynamics",
        "",
        *(f"- {key}: {value}" for key, value in machine.items()),
        "",
    ]
    lines += [f"| {' | '.join(COLUMNS)} |", "|" + len(COLUMNS) * "---|"]
    for row in rows:
        named = [row["model"], row["ensemble"], row["systems"], row["atoms"], row["engine"]]
        ns_per_day = "" if row["engine"] == "bare call" else f"{row['ns_per_day']:.3g}"
        cells = [*map(str, named), f"{1e3 * row['seconds']:.2f}", f"{row['ratio']:.3f}", ns_per_day]
        lines.append(f"| {' | '.join(cells)} |")
    (options.results / f"{name}.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
