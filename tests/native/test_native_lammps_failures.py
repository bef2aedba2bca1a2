"""What goes wrong in a run, on one rank or on several: all of them end, and one line says why."""

import numpy as np
import pytest
import torch
from ase import Atoms
from native_lammps_runs import LMP, RANKS, assert_stops, command_of, second_rank, write_input
from native_random_models import structure

pytestmark = pytest.mark.usefixtures("plugin")

STYLES = pytest.mark.parametrize("style", ["nequip", "allegro", "vitreous comm ghost"])
SLABS = "processors * 1 1"  # ranks along x
MEMORY = "ulimit -d 250000"  # kB of data: enough to load torch and a model


def overlapping(at: float) -> tuple[Atoms, str]:
    """A box of 26 A along x with two atoms in one place, at a fraction of its length; and their IDs."""
    atoms = structure("orthogonal").repeat((5, 1, 1))
    first, second = np.argsort(abs(atoms.get_scaled_positions()[:, 0] - at))[:2]
    atoms.positions[second] = atoms.positions[first]
    low, high = sorted((first + 1, second + 1))
    return atoms, f"atoms {low} and {high} are 0.000000 A"


@RANKS
@STYLES
def test_overlapping_atoms(tmp_path, deployed, style, ranks):
    """In the middle of the last rank's part: with Allegro the other's numbers are fine."""
    atoms, pair = overlapping(at=0.75)
    model = deployed["allegro" if style == "allegro" else "nequip"]
    write_input(tmp_path, atoms, model, style=style, before=SLABS)
    words = ("NaN or infinite", "step 0", "relax the structure", "smaller timestep")
    assert_stops(tmp_path, pair, *words, command=command_of(ranks))


@RANKS
@pytest.mark.parametrize("style", ["nequip", "allegro"])
def test_lost_atoms(tmp_path, deployed, style, ranks):
    after = """velocity all set NULL NULL 500
fix 1 all nve
timestep 0.001
thermo 20
run 60"""
    write_input(tmp_path, structure("slab"), deployed[style], style=style, boundary="p p f", after=after)
    assert_stops(tmp_path, "Lost atoms", command=command_of(ranks))


@RANKS
def test_a_grade_that_the_file_lacks(tmp_path, deployed, ranks):
    after = "fix grade all pair 1 nequip grade 1\nrun 0"
    write_input(tmp_path, structure("small"), deployed["nequip"], after=after)
    assert_stops(tmp_path, "deploy the potential with grade=true", command=command_of(ranks))


@pytest.mark.slow
@pytest.mark.skipif(torch.version.cuda is not None, reason="torch for CUDA takes more memory by itself")
@pytest.mark.parametrize("style", ["nequip", "allegro"])
@pytest.mark.parametrize("who", ["one process", "both ranks", "the second rank"])
def test_too_little_memory(tmp_path, deployed, style, who):
    """The second rank fails while the first one waits for its features, or has done its part."""
    write_input(
        tmp_path, structure("triclinic"), deployed[style], style=style, after="replicate 8 8 8\nrun 0"
    )
    lmp = ("bash", "-c", f'{MEMORY}; exec "$0" "$@"', str(LMP))
    command = {
        "one process": lmp,
        "both ranks": (*command_of(2)[:3], *lmp),
        "the second rank": second_rank(MEMORY),
    }[who]
    assert_stops(tmp_path, "cpu has too little memory", "atoms", "use a smaller cell", command=command)
