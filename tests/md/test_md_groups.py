"""Atoms that a stage treats apart: who they are, degrees of freedom, and what becomes of them."""

import numpy as np
import pytest
import torch
from structures import random_structure
from torch_potentials import lennard_jones, nothing

from md.engines.base import Place
from md.engines.entrance import first_state
from md.engines.system_run import SystemRun
from md.engines.torch.bias import Biases, Wall
from md.engines.torch.engine import TorchEngine
from md.engines.torch.integrator import Integrator
from md.engines.torch.systems import Systems
from md.groups import degrees_of_freedom, require_groups, select_groups
from md.protocols.read import read_protocol
from md.protocols.stages import plan_stages
from md.state import State
from md.thermo import temperature_K
from mlip.deploy import MLIPCalculator
from mlip.errors import ConfigError
from mlip.units import BOLTZMANN_EV_PER_K

BOTTOM = {"bottom": {"z": [None, 3.0]}}


def planned(**keys):
    entry = {"ensemble": "nvt", "temperature_K": 60.0, "duration_ps": 50.0, "timestep_fs": 4.0} | keys
    return plan_stages(read_protocol({"only": entry}))


def start(atoms, stages, groups, seed=1):
    state = State.from_atoms(atoms)
    grouped = State(**{**vars(state), "groups": select_groups(groups, state)})
    require_groups(stages, groups)
    return first_state(grouped, stages, seed)


def run(atoms, stages, groups, num_steps, evaluate=lennard_jones):
    state = start(atoms, stages, groups)
    systems = Systems.of_states([state])
    integrator = Integrator(systems, [Place(0, stages[0], state)], 0, evaluate)
    integrator.start()
    for _ in range(num_steps):
        integrator.step()
    return state, integrator


def test_conditions_of_a_group_hold_together(argon):
    state = State.from_atoms(argon)
    found = select_groups(
        {
            "low": {"z": [None, 3.0]},
            "some": {"species": "Ar", "x": [0, 3.0], "z": [2.0, None]},
            "two": {"indices": [0, 5]},
        },
        state,
    )
    positions = state.wrapped()[0]
    assert np.array_equal(found["low"], positions[:, 2] < 3.0)
    assert np.array_equal(found["some"], (positions[:, 0] < 3.0) & (positions[:, 2] >= 2.0))
    assert np.flatnonzero(found["two"]).tolist() == [0, 5]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"a": {"zz": [0, 1]}}, "expected one of species|did you mean z"),
        ({"a": {"z": 3}}, r"expected \[from, to\]"),
        ({"a": {"species": ["Xx"]}}, "expected chemical symbols"),
        ({"a": {"species": ["Li"]}}, "found no atom in group a"),
        ({"a": {"indices": [99]}}, "from 0 to 31"),
        ({"a": {}}, "expected a mapping"),
    ],
)
def test_groups_that_make_no_sense_are_refused(argon, groups, message):
    with pytest.raises(ConfigError, match=message):
        select_groups(groups, State.from_atoms(argon))


def test_a_stage_with_a_group_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match="did you mean bottom"):
        require_groups(planned(frozen=["botom"]), BOTTOM)


def test_frozen_atoms_stand_and_the_others_have_the_temperature(argon):
    stages = planned(frozen="bottom", tdamp_fs=100.0)
    state, integrator = run(argon, stages, BOTTOM, 0)
    bottom = state.groups["bottom"]
    assert degrees_of_freedom(state, stages[0]) == 3 * (~bottom).sum()
    kelvin = []
    for step in range(1500):
        integrator.step()
        if step > 500:
            kelvin.append(float(integrator.systems.twice_kinetic()))
    systems = integrator.systems
    assert np.array_equal(systems.positions.numpy()[bottom], state.positions[bottom])
    assert (np.abs(systems.positions.numpy() - state.positions).max(axis=1)[~bottom] > 1e-3).all()
    found = np.mean(kelvin) / (degrees_of_freedom(state, stages[0]) * BOLTZMANN_EV_PER_K)
    assert found == pytest.approx(60.0, rel=0.1)


def test_frozen_atoms_of_npt_follow_the_cell(argon):
    stages = planned(ensemble="npt", frozen=["bottom"], pressure_GPa=0.3)
    state, integrator = run(argon, stages, BOTTOM, 60)
    bottom, systems = state.groups["bottom"], integrator.systems
    before = state.positions @ np.linalg.inv(state.cell)
    after = systems.positions.numpy() @ np.linalg.inv(systems.cell[0].numpy())
    assert abs(float(systems.volumes) / state.volume - 1.0) > 1e-3
    np.testing.assert_allclose(after[bottom], before[bottom], rtol=0, atol=1e-12)


@pytest.mark.parametrize("thermostat", ["nose_hoover_chain", "velocity_rescaling", "langevin"])
def test_a_thermostat_for_some_atoms_leaves_the_others_alone(argon, thermostat):
    """Atoms that do not see each other: those beside the thermostat fly straight on."""
    stages = planned(thermostat_groups=["bottom"], thermostat=thermostat, tdamp_fs=50.0)
    state, integrator = run(argon, stages, BOTTOM, 100, nothing)
    velocities, bottom = integrator.systems.velocities.numpy(), state.groups["bottom"]
    assert np.array_equal(velocities[~bottom], state.velocities[~bottom])
    assert (np.abs(velocities - state.velocities).max(axis=1)[bottom] > 0.0).all()


def test_tethered_atoms_swing_about_their_places_also_after_a_restart(potential_file):
    calculator = MLIPCalculator(potential_file, "cpu", "float64", kernel="reference")
    atoms = random_structure("triclinic", seed=3)
    stages = planned(tethered={"lithium": 50.0}, temperature_K=300.0, timestep_fs=0.5)
    state = start(atoms, stages, {"lithium": {"species": ["Li"]}})
    whole, first, second = (TorchEngine(calculator) for _ in range(3))
    whole.begin([Place(0, stages[0], state)])
    whole.advance(60)
    first.begin([Place(0, stages[0], state)])
    first.advance(25)
    second.begin([Place(0, stages[0], first.checkpoints()[0])])
    second.advance(35)
    (expected,), (found,) = whole.states(), second.states()
    assert np.array_equal(found.positions, expected.positions)
    moved = np.linalg.norm(found.positions - state.positions, axis=1)
    assert moved[state.groups["lithium"]].max() < 0.2
    free = TorchEngine(calculator)
    free_stages = planned(temperature_K=300.0, timestep_fs=0.5)
    free.begin([Place(0, free_stages[0], state)])
    free.advance(60)
    loose = np.linalg.norm(free.states()[0].positions - state.positions, axis=1)
    assert loose[state.groups["lithium"]].max() > 0.3
    (drifting,) = second.observe()
    assert np.isfinite(drifting.conserved_eV)


def test_a_wall_pushes_back_what_is_beyond_it(argon):
    wall = {
        "_target_": "md.engines.torch.bias.Wall",
        "position_A": 4.0,
        "side": "below",
        "stiffness_eV_A2": 3.0,
    }
    stages = planned(ensemble="nve", bias={"lid": wall})
    state = start(argon, stages, {})
    systems = Systems.of_states([state])
    Biases([Place(0, stages[0], state)], [None])(systems)
    beyond = np.maximum(state.positions[:, 2] - 4.0, 0.0)
    np.testing.assert_allclose(systems.forces[:, 2], -3.0 * beyond, atol=1e-12)
    assert float(systems.energies) == pytest.approx(1.5 * np.sum(beyond**2))
    assert (systems.forces[:, :2] == 0.0).all()
    mirrored = Wall(4.0, "above")(systems.positions, systems.cell[0])[1]
    assert (mirrored[:, 2] >= 0.0).all()
    with pytest.raises(ConfigError, match="expected x, y or z"):
        Wall(4.0, "left")


def test_energy_is_conserved_with_a_wall_and_tethers(argon):
    """Walls and tethers are potentials: forces are minus their gradients."""
    wall = {
        "_target_": "md.engines.torch.bias.Wall",
        "position_A": 7.0,
        "side": "below",
        "stiffness_eV_A2": 1.0,
    }
    keys = {"ensemble": "nve", "bias": {"lid": wall}, "tethered": {"bottom": 0.5}}
    spread = {}
    for timestep_fs in (8.0, 4.0):
        stages = planned(**keys, timestep_fs=timestep_fs)
        state = start(argon, stages, BOTTOM)
        biases = Biases([Place(0, stages[0], state)], [torch.as_tensor(state.positions)])

        def evaluate(systems, biases=biases):
            lennard_jones(systems)
            biases(systems)

        systems = Systems.of_states([state])
        integrator = Integrator(systems, [Place(0, stages[0], state)], 0, evaluate)
        integrator.start()
        values = []
        for _ in range(int(2400 / timestep_fs)):
            integrator.step()
            values.append(float(integrator.conserved()))
        spread[timestep_fs] = np.std(values)
    assert np.log2(spread[8.0] / spread[4.0]) == pytest.approx(2.0, abs=0.3)


def test_groups_outlive_a_restart_file_and_the_change_of_stages(argon, tmp_path):
    state = start(argon, planned(), BOTTOM)
    state.save(tmp_path / "restart.npz")
    loaded = State.load(tmp_path / "restart.npz")
    assert np.array_equal(loaded.groups["bottom"], state.groups["bottom"])
    entry = {"ensemble": "nvt", "temperature_K": 60.0, "duration_ps": 0.1}
    stages = plan_stages(read_protocol({"free": entry, "held": entry | {"frozen": ["bottom"]}}))
    done = State(**{**vars(loaded), "steps_done": stages[0].num_steps})
    system = SystemRun(0, stages, done, tmp_path / "run")
    system.enter_stage()
    assert (system.state.velocities[state.groups["bottom"]] == 0.0).all()
    assert temperature_K(system.state, system.stage) > 0.0


@pytest.mark.parametrize("engine", ["ase", "lammps"])
def test_other_engines_refuse_them_at_the_start(engine, argon, tmp_path, potential_file):
    from ase.io import write
    from hydra import compose, initialize_config_module

    from md.run import run_md
    from mlip.runs import Run

    write(tmp_path / "cell.extxyz", argon)
    words = [f"structure={tmp_path / 'cell.extxyz'}", f"potential={potential_file}", f"engine={engine}"]
    words += ["protocol=nvt", "groups={bottom: {z: [0, 3]}}", "+protocol.nvt.frozen=[bottom]"]
    with initialize_config_module("mlip.conf", version_base="1.3"):
        config = compose("md", words)
    with pytest.raises(ConfigError, match=r"stage nvt has frozen.*expected engine=torch"):
        run_md(config, Run(tmp_path, resumed=False, finished=False))
