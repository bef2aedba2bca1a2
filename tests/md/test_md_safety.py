from dataclasses import replace

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from md.engines.ase import AseEngine
from md.engines.entrance import first_state
from md.engines.loop import simulate
from md.engines.record import RunFiles
from md.engines.safety import require_no_overlap
from md.state import State
from md.trajectory import Trajectory
from mlip.errors import ConfigError, SimulationError


class FailsAfter(Calculator):
    """A force field that is fine for some calls and then returns what `spoil` makes of its forces."""

    implemented_properties = ["energy", "free_energy", "forces"]

    def __init__(self, inner, calls, spoil):
        super().__init__()
        self.inner, self.left, self.spoil = inner, calls, spoil

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.inner.calculate(atoms)
        self.left -= 1
        forces = self.inner.results["forces"]
        self.results = {**self.inner.results, "forces": forces if self.left > 0 else self.spoil(forces)}


def nan(forces):
    return np.full_like(forces, np.nan)


def push(forces):
    return forces + np.array([[4.0, 0, 0], [-4.0, 0, 0]] * (len(forces) // 2))


@pytest.mark.parametrize(("spoil", "message"), [(nan, "became NaN"), (push, r"it got \d+ K hot")])
def test_a_run_that_explodes_stops_and_keeps_its_last_good_structure(
    argon, lennard_jones, plan, tmp_path, spoil, message
):
    stages = plan(ensemble="nvt", temperature_K=60, duration_ps=2, timestep_fs=4.0, every_ps=0.04)
    state = first_state(State.from_atoms(argon), stages, seed=1)
    engine = AseEngine(FailsAfter(lennard_jones, calls=56, spoil=spoil))
    with pytest.raises(SimulationError, match=message) as stop:
        simulate(engine, stages, state, tmp_path)
    assert "between steps 50 and 60 (stage only)" in str(stop.value)
    assert "\n" not in str(stop.value)
    with Trajectory(RunFiles(tmp_path).trajectory) as trajectory:
        assert np.array_equal(trajectory.steps, [0, 10, 20, 30, 40, 50])
        last = ase.io.read(RunFiles(tmp_path).final)
        assert np.allclose(last.positions, trajectory.positions()[-1], atol=1e-5)
    table = np.genfromtxt(RunFiles(tmp_path).thermo, delimiter=",", names=True)
    assert np.array_equal(table["step"], [0, 10, 20, 30, 40, 50])


def test_overlapping_atoms_are_named_before_the_start(argon):
    argon.positions[7] = argon.positions[3] + [0.1, 0.2, 0.2]
    with pytest.raises(SimulationError, match=r"atoms 3 and 7 are 0\.300 A apart in the structure"):
        require_no_overlap(State.from_atoms(argon))


def test_overlap_is_seen_across_the_boundary(argon):
    state = State.from_atoms(argon)
    positions = state.positions.copy()
    positions[1] = positions[0] + 3 * state.cell[0] - 2 * state.cell[2] + [0, 0, 0.2]
    with pytest.raises(SimulationError, match=r"0\.200 A"):
        require_no_overlap(replace(state, positions=positions))


def test_structures_that_cannot_be_started_are_refused(plan):
    nvt = plan(ensemble="nvt", temperature_K=60, duration_ps=1)
    with pytest.raises(ConfigError, match="found one atom that may move"):
        first_state(State.from_atoms(Atoms("Li")), nvt, seed=0)
    nve = plan(ensemble="nve", duration_ps=1)
    with pytest.raises(ConfigError, match="without velocities"):
        first_state(State.from_atoms(Atoms("Li2", [[0, 0, 0], [0, 0, 3]])), nve, seed=0)


def test_npt_without_stress_is_refused(argon, lennard_jones, plan):
    stages = plan(ensemble="npt", temperature_K=60, duration_ps=1)
    state = first_state(State.from_atoms(argon), stages, seed=1)
    with pytest.raises(ConfigError, match="no stress"):
        AseEngine(FailsAfter(lennard_jones, 1, nan)).begin(stages[0], state)


def test_nve_without_temperature_keeps_the_velocities_of_the_structure(argon, plan):
    argon.set_velocities(np.random.default_rng(0).normal(size=(32, 3)))
    stages = plan(ensemble="nve", duration_ps=1)
    state = first_state(State.from_atoms(argon), stages, seed=0)
    assert state.kinetic_energy == pytest.approx(argon.get_kinetic_energy(), rel=1e-6)
    assert np.allclose(state.to_atoms().get_velocities(), argon.get_velocities())
