"""The command `mlip VERB ...`: a table of verbs, each imported only when it is asked for."""

import importlib
import os
import sys

from mlip.errors import MlipError

# verb -> (module with a `main()`, what it does)
VERBS = {
    "demo": ("mlip.workflows.demo", "the whole path on shipped DFT data, in minutes"),
    "build": (
        "mlip.workflows.recipe",
        "structures: strains, defects, slabs, glasses; data sets by recipe",
    ),
    "label": ("mlip.labelers.label", "energies, forces and stress of structures: xtb, CP2K, VASP, ..."),
    "data": ("mlip.workflows.data", "stores of labelled frames: list, show, merge, split, export, check"),
    "train": ("train.train", "train a potential on labelled frames"),
    "eval": ("mlip.workflows.gates", "errors of a potential on labelled frames, gates before it is used"),
    "import": ("mlip.interop.nequip", "bring a model of nequip's, NequIP or Allegro, with the same numbers"),
    "learn": ("mlip.workflows.learn", "explore, select, label, train until nothing extrapolates"),
    "deploy": ("mlip.deploy.deploy", "write and verify the file that ASE and LAMMPS load"),
    "md": ("md.run", "molecular dynamics: melt-quench, temperature ladders, nvt, npt, relaxation"),
    "neb": ("md.neb", "the barrier between two minima: nudged elastic band, climbing image"),
    "analyze": ("md.analyze", "diffusion and structure of a trajectory, with errors"),
    "convert": ("md.convert", "trajectories between H5MD, extxyz and LAMMPS dumps"),
    "status": ("mlip.workflows.status", "how far a run has got, whether it runs or is dead"),
    "lammps": ("mlip.workflows.lammps", "run LAMMPS with the pair style loaded"),
    "doctor": ("mlip.workflows.doctor", "what works on this machine"),
}

HELP = """Vitreous trains equivariant interatomic potentials and runs molecular dynamics with them.

Usage: mlip VERB [KEY=VALUE ...]      `mlip VERB --help` teaches a verb.

{verbs}

Start with `mlip demo`, or with your own data:
  mlip train  data.train=frames.extxyz run_dir=runs/train
  mlip deploy potential=runs/train/potential.mlip
  mlip md     potential=runs/train/potential.mlip structure=cell.vasp protocol=nvt
"""


def main() -> None:
    """Entry point of the console script."""
    verb = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if verb in ("-h", "--help", "help"):
        verbs = "\n".join(f"  {name:<9} {text}" for name, (_, text) in VERBS.items())
        sys.stdout.write(HELP.format(verbs=verbs))
        return
    if verb == "--version":
        from importlib.metadata import version

        sys.stdout.write(f"vitreous {version('vitreous')}\n")
        return
    if verb not in VERBS:
        raise SystemExit(f"mlip: found the verb '{verb}'; expected one of {', '.join(VERBS)}")
    sys.argv = [f"mlip {verb}", *sys.argv[2:]]
    # OpenMP threads may spin only shortly: on a shared machine long spins made steps ten times slower.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    try:
        importlib.import_module(VERBS[verb][0]).main()
        sys.stdout.flush()
    except MlipError as error:
        raise SystemExit(f"mlip {verb}: {error}") from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:  # `mlip train --help | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
