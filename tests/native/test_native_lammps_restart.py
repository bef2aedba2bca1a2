"""A run that is continued from a restart file against one that was never interrupted."""

from pathlib import Path

import numpy as np
import pytest
from native_lammps_runs import RANKS, command_of, numbers_after, run_lmp, write_input
from native_random_models import structure

pytestmark = pytest.mark.usefixtures("plugin")

FIXES = {
    "nvt": "fix 1 all nvt temp 300 900 0.05",
    "npt": "fix 1 all npt temp 300 300 0.05 tri 0 5000 0.3",
    "both ramps": "fix 1 all npt temp 300 900 0.05 tri 0 5000 0.3",
}
WHOLE = "run 100"
# At the start of each run LAMMPS gives the barostat a mass by the thermostat's temperature there: under npt a
# ramp of the temperature in two runs is not quite the one in a single run, with or without a restart.
HALVES = "run 50 start 0 stop 100\nrun 50 start 0 stop 100"
LAST = """write_dump all custom last.dump id xu yu zu vx vy vz modify sort id format float %.17g
print "THERMO $(step) $(temp:%.17g) $(pe:%.17g) $(etotal:%.17g) $(econserve:%.17g) $(press:%.17g)"
print "BOX $(lx:%.17g) $(ly:%.17g) $(lz:%.17g) $(xy:%.17g) $(xz:%.17g) $(yz:%.17g)"
"""


def run(folder: Path, ranks: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions and velocities, thermo, and the box of the last step."""
    finished = run_lmp(folder, command=command_of(ranks))
    assert finished.returncode == 0, finished.stdout[-2000:] + finished.stderr
    atoms = np.loadtxt(folder / "last.dump", skiprows=9)
    return atoms, numbers_after("THERMO", finished.stdout)[-1], numbers_after("BOX", finished.stdout)[-1]


def continued(model: Path, *, ensemble: str, ramp: str) -> str:
    """An input that goes on from the restart file of step 50."""
    return f"""atom_modify map array
read_restart state.50
pair_style nequip
pair_coeff * * {model} Li P S
{FIXES[ensemble]}
run 50 {ramp}
{LAST}"""


@RANKS
@pytest.mark.parametrize(
    "ensemble", [pytest.param(each, marks=() if each == "both ramps" else pytest.mark.slow) for each in FIXES]
)
def test_goes_on_as_if_never_interrupted(tmp_path, deployed, ensemble, ranks):
    """With thermostat, barostat and ramps; `start` and `stop` say where those began and end."""
    model = deployed["nequip"]
    start = f"velocity all create 300 7 loop geom\n{FIXES[ensemble]}\ntimestep 0.001"
    runs = HALVES if ensemble == "both ramps" else WHOLE
    after = f"{start}\nrestart 50 state.*\n{runs}\n{LAST}"
    write_input(tmp_path, structure("triclinic"), model, after=after)
    atoms, thermo, box = run(tmp_path, ranks)
    (tmp_path / "in.lmp").write_text(continued(model, ensemble=ensemble, ramp="start 0 stop 100"))
    found_atoms, found_thermo, found_box = run(tmp_path, ranks)
    np.testing.assert_allclose(found_atoms, atoms, rtol=0, atol=1e-9)
    np.testing.assert_allclose(found_thermo, thermo, rtol=1e-9, atol=0)
    np.testing.assert_allclose(found_box, box, rtol=1e-9, atol=1e-9)

    (tmp_path / "in.lmp").write_text(continued(model, ensemble=ensemble, ramp=""))
    assert np.abs(run(tmp_path, ranks)[0] - atoms).max() > 1e-4


def test_the_pair_style_has_to_be_given_again(tmp_path, deployed):
    """LAMMPS itself says so: a restart file knows neither the model's file nor its names."""
    write_input(tmp_path, structure("small"), deployed["nequip"], after="run 0\nwrite_restart state")
    assert run_lmp(tmp_path).returncode == 0
    (tmp_path / "in.lmp").write_text("atom_modify map array\nread_restart state\nrun 0\n")
    finished = run_lmp(tmp_path)
    assert finished.returncode != 0
    assert "Must re-specify non-restarted pair style (nequip)" in finished.stdout
