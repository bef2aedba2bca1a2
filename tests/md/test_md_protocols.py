"""Protocols that look at what they make: a ladder that ends, an interface that is observed; and defaults."""

from dataclasses import replace
from importlib import resources

import numpy as np
import pytest
from ase import Atoms
from omegaconf import OmegaConf

from md.engines.ase import AseEngine
from md.engines.entrance import first_state
from md.engines.hops import farthest_move
from md.engines.loop import simulate
from md.protocols.read import read_protocol
from md.protocols.stages import plan_stages, transport_warnings
from md.state import State
from md.thermo import Observation
from md.trajectory_writer import TrajectoryWriter
from mlip.errors import ConfigError, DataError

STEP = {"timestep_fs": 4.0, "every_ps": 0.04}


def shipped():
    folder = resources.files("mlip.conf") / "protocol"
    for each in folder.iterdir():
        if each.name.endswith(".yaml"):
            yield (
                each.name,
                plan_stages(read_protocol(OmegaConf.to_container(OmegaConf.create(each.read_text())))),
            )


def ladder(moved_A, species="Ar"):
    entry = {
        "ensemble": "nvt",
        "temperatures_K": [60, 40, 20, 5, 2],
        "settle_ps": 0.08,
        "duration_ps": 0.4,
        "until": {"species": species, "moved_A": moved_A},
        **STEP,
    }
    return plan_stages(read_protocol({"rung": entry}))


def test_a_ladder_ends_with_the_rung_where_nothing_moves(argon, lennard_jones, tmp_path):
    stages = ladder(0.45)
    state = first_state(State.from_atoms(argon), stages, seed=1)
    final = simulate(AseEngine(lennard_jones), stages, state, tmp_path)
    last = stages[final.stage]
    assert last.stage.name in ("rung_40K", "rung_20K", "rung_5K")
    assert final.steps_done == last.num_steps
    moves = {
        each.stage.name: farthest_move(tmp_path / "trajectory.h5", each.index, "Ar")
        for each in stages[: final.stage + 1]
        if each.stage.until
    }
    *before, end = moves.values()
    assert end <= 0.45 < min(before)
    assert (tmp_path / "final.extxyz").exists()
    rows = (tmp_path / "thermo.csv").read_text()
    again = simulate(AseEngine(lennard_jones), stages, State.load(tmp_path / "restart.npz"), tmp_path)
    assert (again.stage, again.steps_done) == (final.stage, final.steps_done)
    assert (tmp_path / "thermo.csv").read_text() == rows


def test_moves_count_from_the_start_of_the_stage_without_drift_and_breathing(argon, plan, tmp_path):
    stages = plan_stages(
        read_protocol(
            {
                name: {"ensemble": "npt", "temperature_K": 10, "duration_ps": 0.08, **STEP}
                for name in ("a", "b")
            }
        )
    )
    start = State.from_atoms(argon)
    writer = TrajectoryWriter(tmp_path / "trajectory.h5", start, stages)

    def store(stage, step, positions, swelling):
        cell, positions = start.cell * swelling, positions * swelling
        writer.append(
            replace(start, stage=stage, steps_done=step, positions=positions, cell=cell), stages[stage]
        )

    moved, drift = start.positions.copy(), np.array([3.0, 1.0, 20.0])
    store(0, 0, moved, 1.0)
    moved[3] += [1.0, 0.0, 0.0]
    store(0, 20, moved, 1.0)
    moved[5] += [0.0, 2.0, 0.0]
    store(1, 10, moved + drift, 1.1)
    moved[5] -= [0.0, 2.0, 0.0]
    store(1, 20, moved + 2 * drift, 0.9)
    writer.close()
    assert farthest_move(tmp_path / "trajectory.h5", 0, "Ar") == pytest.approx(31 / 32, rel=1e-5)
    assert farthest_move(tmp_path / "trajectory.h5", 1, "Ar") == pytest.approx(2.0 * 31 / 32, rel=1e-5)
    with pytest.raises(DataError, match="found no Li"):
        farthest_move(tmp_path / "trajectory.h5", 1, "Li")


@pytest.mark.parametrize("until", [3.0, {"species": "Li"}, {"species": "Li", "moved_A": 0}, {"moved": 1}])
def test_an_end_that_makes_no_sense_is_refused(until):
    with pytest.raises(ConfigError, match=r"expected \{species: Li, moved_A: 2\.0\} or null"):
        read_protocol({"a": {"ensemble": "nvt", "temperature_K": 5, "duration_ps": 1, "until": until}})


def interface():
    """Loose PS4 groups over a block of lithium, in a box of 10 x 10 x 30 A."""
    grid = np.array([[x, y, z] for x in (0, 5) for y in (0, 5) for z in (2, 5, 8, 11)], dtype=float)
    bonds = 2.05 * np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3.0)
    centres = np.array([[2.5, 2.5, 18.0], [7.5, 7.5, 24.0]])
    groups = np.concatenate([[centre, *(centre + bonds)] for centre in centres])
    atoms = Atoms("Li16" + "PS4" * 2, np.concatenate([grid, groups]), cell=[10, 10, 30], pbc=True)
    atoms.arrays["origin"] = np.array([1] * 16 + [0] * 10)
    return atoms


class Drift:
    """An engine in which the first lithium rises by 0.1 A a step, and the first sulfur after it."""

    def begin(self, stage, state):
        self.now = state

    def advance(self, num_steps):
        positions = self.now.positions.copy()
        positions[[3, 17], 2] += 0.1 * num_steps
        self.now = replace(self.now, positions=positions, steps_done=self.now.steps_done + num_steps)

    def state(self):
        return self.now

    checkpoint = state

    def observe(self):
        return Observation(0.0, 0.0, None)

    def close(self):
        pass


def test_observables_are_written_along_a_run(tmp_path):
    stages = plan_stages(
        read_protocol(
            {
                "warm": {"ensemble": "nvt", "temperature_K": 5, "duration_ps": 0.04, **STEP},
                "grow": {
                    "ensemble": "nvt",
                    "temperature_K": 5,
                    "duration_ps": 0.16,
                    "observe": ["reduction", "flux"],
                    **STEP,
                },
            }
        )
    )
    state = first_state(State.from_atoms(interface()), stages, seed=1)
    half = simulate(Drift(), stages[:1], state, tmp_path)
    simulate(Drift(), stages, half, tmp_path)
    table = np.genfromtxt(tmp_path / "observables.csv", delimiter=",", names=True)
    assert table.dtype.names == ("step", "time_ps", "reduction", "crossed_Li", "crossed_P", "crossed_S")
    assert table["step"].tolist() == [20, 30, 40, 50]
    assert table["reduction"].tolist() == [0.125] * 4  # one of eight bonds
    assert table["crossed_Li"].tolist() == [0, 1, 1, 1]  # the plane stands at 13.9 A, it started at 11 A
    assert table["crossed_P"].tolist() == table["crossed_S"].tolist() == [0] * 4


@pytest.mark.parametrize(
    ("names", "message"), [(["flux"], "no origin of the atoms"), (["reduction"], "no P")]
)
def test_what_cannot_be_observed_is_refused(argon, lennard_jones, tmp_path, names, message):
    entry = {"ensemble": "nvt", "temperature_K": 5, "duration_ps": 1, "observe": names}
    stages = plan_stages(read_protocol({"a": entry}))
    with pytest.raises(ConfigError, match=message):
        simulate(AseEngine(lennard_jones), stages, State.from_atoms(argon), tmp_path)
    with pytest.raises(ConfigError, match="expected some of reduction, flux"):
        read_protocol({"a": {**entry, "observe": ["everything"]}})


def test_no_protocol_that_ships_samples_diffusion_under_langevin():
    for name, stages in shipped():
        assert not transport_warnings(stages), name
        assert all(each.stage.thermostat != "langevin" for each in stages), name


def test_langevin_in_a_stage_of_production_warns():
    entry = {"ensemble": "nvt", "temperature_K": 5, "duration_ps": 1, "thermostat": "langevin"}
    (warning,) = transport_warnings(plan_stages(read_protocol({"a": entry})))
    assert "stage a" in warning
    assert "nose_hoover_chain" in warning
    assert not transport_warnings(plan_stages(read_protocol({"a": {**entry, "production": False}})))
    ramp = {**entry, "temperature_K": [5, 10]}
    assert not transport_warnings(plan_stages(read_protocol({"a": ramp})))
    assert not transport_warnings(plan_stages(read_protocol({"a": {**entry, "ensemble": "nve"}})))


def test_the_protocol_of_an_interface_is_that_of_its_source():
    stages = dict(shipped())["interface.yaml"]
    assert [(each.stage.name, each.stage.ensemble, each.production) for each in stages] == [
        ("ramp", "npt", False),
        ("equilibrate", "npt", False),
        ("produce", "nvt", True),
    ]
    assert [each.stage.barostat for each in stages[:2]] == ["z", "z"]
    assert [each.num_steps for each in stages] == [100_000, 1_000_000, 10_000_000]
