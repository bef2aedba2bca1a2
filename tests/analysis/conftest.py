"""Runs of `mlip md` with known answers: lithium walks with a given D through a rigid lattice of sulfur."""

from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk

from md.protocols.stages import Stage, plan_stages
from md.state import State
from md.storage import Storage
from md.thermo import Observation, ThermoWriter, thermo_row
from md.trajectory_writer import TrajectoryWriter

BARRIER_EV, D_AT_600_CM2_S = 0.2, 2e-5


def true_diffusivity(temperature_K):
    """The D that the walkers are given, cm^2/s."""
    return D_AT_600_CM2_S * np.exp(-BARRIER_EV / 8.617333e-5 * (1 / temperature_K - 1 / 600.0))


def write_run(folder, stages, seed=0, vibration=0.08, storage=None):
    """Write trajectory.h5 and thermo.csv of the stages into a folder."""
    rng = np.random.default_rng(seed)
    atoms = bulk("Li2S", "fluorite", a=5.7, cubic=True).repeat(2)
    state, planned = State.from_atoms(atoms), plan_stages(stages)
    lithium, sites = state.numbers == 3, state.positions.copy()
    folder.mkdir(parents=True, exist_ok=True)
    with (
        closing(TrajectoryWriter(folder / "trajectory.h5", state, planned, storage)) as trajectory,
        closing(ThermoWriter(folder / "thermo.csv")) as thermo,
    ):
        for stage in planned:
            for done in range(0, stage.num_steps + 1, stage.steps_per_frame):
                if done == 0 and stage.index > 0:
                    continue
                temperature = stage.temperature_K(done)
                spread = np.sqrt(2 * true_diffusivity(temperature) * 1e4 * stage.stage.every_ps)
                sites[lithium] += rng.normal(scale=spread, size=(lithium.sum(), 3))
                rattled = sites + rng.normal(scale=vibration, size=sites.shape)
                speed = np.sqrt(8.617333e-5 * temperature / 103.6427 / state.masses)[:, None]
                velocities = rng.normal(size=sites.shape) * speed
                state = replace(
                    state, positions=rattled, velocities=velocities, stage=stage.index, steps_done=done
                )
                energy = (
                    -4.0 * len(sites) + 1.5 * 8.617333e-5 * temperature * len(sites) + rng.normal(scale=0.3)
                )
                stress = rng.normal(scale=2e-3, size=(3, 3))
                trajectory.append(state, stage)
                thermo.append(thermo_row(state, stage, Observation(energy, energy, stress)))
    return folder / "trajectory.h5"


@pytest.fixture(name="true_diffusivity")
def true_diffusivity_fixture():
    return true_diffusivity


@pytest.fixture(scope="session")
def ladder_run(tmp_path_factory):
    """A short settling and three temperatures of 40 ps."""
    stages = [Stage("settle", "nvt", 800.0, 1.0, production=False, every_ps=0.1)]
    stages += [Stage(f"rung_{t:.0f}K", "nvt", t, 40.0, every_ps=0.1) for t in (800.0, 600.0, 450.0)]
    return write_run(tmp_path_factory.mktemp("ladder"), stages)


@pytest.fixture(scope="session")
def often_run(tmp_path_factory):
    """One temperature, its lithium also as what is stored often."""
    stages = [Stage("hold", "nvt", 700.0, 20.0, every_ps=0.1)]
    return write_run(tmp_path_factory.mktemp("often"), stages, storage=Storage(often=["Li"], every_ps=0.1))


@pytest.fixture(scope="session")
def quench_run(tmp_path_factory):
    """Melt, quench, equilibrate."""
    stages = [
        Stage("melt", "nvt", 800.0, 10.0),
        Stage("quench", "nvt", 300.0, rate_K_per_ps=50.0),
        Stage("equilibrate", "nvt", 300.0, 10.0, thermostat="langevin"),
    ]
    return write_run(tmp_path_factory.mktemp("quench"), stages)
