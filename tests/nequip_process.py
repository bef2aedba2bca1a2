"""nequip's own ASE calculator on a deployed file, in a process of its own: a second file in one ends it."""

import json
import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import json, sys
from structures import random_structure
from nequip.integrations.ase import NequIPCalculator
calculator = NequIPCalculator.from_compiled_model(
    sys.argv[1], device="cpu", chemical_species_to_atom_type_map=True
)
found = {}
for kind in sys.argv[2:]:
    calculator.calculate(random_structure(kind, seed=5))
    names = [name for name in ("energy", "forces", "stress") if name in calculator.results]
    found[kind] = {name: calculator.results[name].tolist() for name in names}
print(json.dumps(found))
"""


def results_of_nequip(file, *kinds):
    """Energy, forces and stress of structures of these kinds, by kind and name."""
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, str(file), *kinds],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-2000:]
    return json.loads(finished.stdout.splitlines()[-1])
