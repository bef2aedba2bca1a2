"""What the steps of `mlip learn` cost an atom, where frames are large: seconds, bytes on disk, memory.

    python benchmarks/loop_scale.py

Supercells of beta-Li3PO4, a NequIP of 2 layers and 32 channels, one thread. What dynamics and labels cost
stands in `lammps_scaling.md` and `subcells.md`; here is what moves between them: frames written and read,
states to go on from, descriptors of candidates, fingerprints, pieces. Writes `results/loop_scale.json` and
`.md`; `docs/learning_at_scale.md` reads on from there.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import ase.io
import numpy as np
from active_frames import STRUCTURE, run_mlip
from ase import Atoms
from speed_machine import describe_machine

from md.state import State
from mlip.data.fingerprint import fingerprint
from mlip.deploy.potential import Potential
from mlip.structures.subcells import cut_around
from mlip.workflows.learning.choose import describe_frames

RESULTS = Path(__file__).parent / "results"
HEADER = ("step", "atoms", "us/atom", "bytes/atom", "memory, kB/atom")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("runs/loop_scale"), help="for the potential")
    parser.add_argument("--repeats", type=int, nargs="+", default=[4, 9], help="of the cell of 16 atoms")
    arguments = parser.parse_args()
    potential = make_potential(arguments.work.resolve())
    rows = [row for repeat in arguments.repeats for row in measure(potential, repeat)]
    machine = describe_machine("cpu")
    (RESULTS / "loop_scale.json").write_text(
        json.dumps({"provenance": machine, "rows": rows}, indent=1) + "\n"
    )
    lines = ["# What the steps of the loop cost an atom", ""]
    lines += [*(f"- {key}: {value}" for key, value in machine.items()), ""]
    lines += ["| " + " | ".join(HEADER) + " |", "|" + "---|" * len(HEADER)]
    lines += ["| " + " | ".join(map(str, row.values())) + " |" for row in rows]
    (RESULTS / "loop_scale.md").write_text("\n".join(lines) + "\n")


def make_potential(work: Path) -> Potential:
    """Of one epoch: how fast it is does not depend on what it learnt."""
    words = ["data.train=dataset:lipon_xtb/lipon_gfn1.extxyz.xz", "data.num_train=20", "device=cpu"]
    words += ["model.num_layers=2", "model.num_features=32", "model.parity=false", "trainer.max_epochs=1"]
    run_mlip(work / "train", "train", *words)
    return Potential.load(work / "train" / "potential.mlip")


def measure(potential: Potential, repeat: int) -> list[dict]:
    """Each step on a supercell."""
    atoms = ase.io.read(Path(__file__).parents[1] / "datasets" / STRUCTURE.removeprefix("dataset:"))
    atoms = atoms.repeat(repeat)
    atoms.rattle(0.05, seed=0)
    frame = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
    frame.arrays["extrapolation_grade"] = np.random.default_rng(0).random(len(frame))
    with TemporaryDirectory() as folder:
        file, state = Path(folder) / "extrapolating.extxyz", Path(folder) / "known.npz"
        steps = {
            "write a frame, extxyz": (lambda: ase.io.write(file, frame), file),
            "read a frame, extxyz": (lambda: ase.io.read(file), None),
            "write a state, known.npz": (lambda: State.from_atoms(frame).save(state), state),
            "fingerprint": (lambda: fingerprint(frame), None),
            "cut a piece of 100 atoms": (lambda: cut_around(frame, 0), None),
            "descriptors": (lambda: describe_frames(potential, [frame]), None),
        }
        return [cost(name, work, len(frame), kept) for name, (work, kept) in steps.items()]


def cost(name: str, work: Callable[[], object], num_atoms: int, file: Path | None) -> dict:
    """Processor time of one call, size of the file, rise of the resident peak."""
    before, started = peak_kB(), time.process_time()
    work()
    seconds, rise = time.process_time() - started, peak_kB() - before
    size = "" if file is None else round(file.stat().st_size / num_atoms, 1)
    return {
        "step": name,
        "atoms": num_atoms,
        "us": round(1e6 * seconds / num_atoms, 1),
        "bytes": size,
        "memory_kB": round(rise / num_atoms, 1) if rise > 0 else "",
    }


def peak_kB() -> int:
    """Of this process; it never falls."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
