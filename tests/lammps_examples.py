"""The examples of docs/lammps in tests: where they are, and how their programs run at a small size."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "docs" / "lammps"
NAMES = ["melt_quench", "interface", "npt_glass", "halt"]
PROGRAMS = Path(sys.executable).parent
SMALL = {
    "melt_quench": {"rate": 8750, "melt_steps": 100, "rest_steps": 100, "every": 10},
    "interface": {"steps": 40, "every": 10, "block": 20, "select": 0.1},
    "npt_glass": {
        "rate": 8000,
        "melt_steps": 20,
        "hold_steps": 20,
        "settle_steps": 20,
        "steps": 100,
        "every": 10,
    },
    "halt": {"steps": 400, "every": 10},
}


def variables(name: str, **others: object) -> list[str]:
    """Words for the command line of lmp that make an example small."""
    return [word for item in {**SMALL[name], **others}.items() for word in ("-var", *map(str, item))]


def run(command: list[str], folder: Path) -> str:
    """Run a program of the environment and return what it printed."""
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout[-4000:]}\n{done.stderr}"
    return done.stdout
