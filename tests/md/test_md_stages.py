import pytest
from omegaconf import OmegaConf

from md.protocols.read import read_protocol
from md.protocols.stages import Stage, plan_stages, timestep_warnings
from mlip.errors import ConfigError

HELD = {"ensemble": "nvt", "temperature_K": 300.0, "duration_ps": 1.0}


def planned(**protocol):
    return plan_stages(read_protocol(protocol))


def test_melt_quench_is_resolved_to_temperatures_steps_and_clock():
    melt, quench, equilibrate = planned(
        melt={"ensemble": "nvt", "temperature_K": 2000, "duration_ps": 10, "timestep_fs": 2.0},
        quench={"ensemble": "nvt", "temperature_K": 250, "rate_K_per_ps": 250},
        equilibrate={"ensemble": "npt", "temperature_K": 250, "duration_ps": 5, "every_ps": 0.05},
    )
    assert (melt.start_K, melt.end_K, melt.num_steps, melt.steps_per_frame) == (2000, 2000, 5000, 50)
    assert (quench.start_K, quench.end_K, quench.num_steps) == (2000, 250, 7000)
    assert (quench.start_step, quench.start_time_ps) == (5000, 10.0)
    assert (equilibrate.start_step, equilibrate.start_time_ps) == (12000, 17.0)
    assert (equilibrate.num_steps, equilibrate.steps_per_frame) == (5000, 50)
    assert quench.temperature_K(0) == 2000
    assert quench.temperature_K(3500) == 1125
    assert quench.temperature_K(7000) == 250
    assert [stage.production for stage in (melt, quench, equilibrate)] == [True, False, True]


@pytest.mark.parametrize(
    ("stage", "start", "end", "steps"),
    [
        ({"temperature_K": [300, 900], "duration_ps": 2}, 300, 900, 2000),
        ({"temperature_K": [300, 900], "rate_K_per_ps": 100}, 300, 900, 6000),
        ({"temperature_K": [900, 300], "rate_K_per_ps": 100}, 900, 300, 6000),
        ({"temperature_K": 900, "rate_K_per_ps": 1200, "every_ps": 0.1}, 300, 900, 500),
        ({"temperature_K": 900, "duration_ps": 0.3, "timestep_fs": 0.5}, 900, 900, 600),
        ({"temperature_K": 900, "duration_ps": 0.31, "every_ps": 0.1}, 900, 900, 400),
        ({"temperature_K": 900, "duration_ps": 0.01, "every_ps": 0.1}, 900, 900, 100),
    ],
)
def test_length_and_ends_of_a_stage(stage, start, end, steps):
    before, resolved = planned(before=HELD, stage={"ensemble": "nvt", **stage})
    assert (resolved.start_K, resolved.end_K, resolved.num_steps) == (start, end, steps)
    assert resolved.start_step == before.num_steps


def test_ladder_makes_a_settling_and_a_sampling_stage_a_temperature():
    stages = planned(
        rung={
            "ensemble": "nvt",
            "temperatures_K": {"start": 720, "stop": 700, "step": 10},
            "settle_ps": 1,
            "duration_ps": 2,
        }
    )
    assert [(each.stage.name, each.start_K, each.num_steps, each.production) for each in stages] == [
        ("rung_720K_settle", 720, 1000, False),
        ("rung_720K", 720, 2000, True),
        ("rung_710K_settle", 710, 1000, False),
        ("rung_710K", 710, 2000, True),
        ("rung_700K_settle", 700, 1000, False),
        ("rung_700K", 700, 2000, True),
    ]


def test_ladder_takes_a_list_in_its_order_without_settling():
    stages = planned(rung={"ensemble": "nvt", "temperatures_K": [500, 700], "duration_ps": 1})
    assert [each.stage.name for each in stages] == ["rung_500K", "rung_700K"]


def test_a_relaxation_takes_its_steps_and_no_time():
    before, relax, after = planned(
        before=HELD,
        relax={"ensemble": "relax", "max_steps": 95, "every_steps": 10, "barostat": "iso"},
        after={"ensemble": "nve", "temperature_K": 200.0, "duration_ps": 0.5},
    )
    assert (relax.num_steps, relax.steps_per_frame) == (100, 10)
    assert (relax.start_K, relax.production, relax.barostat) == (None, False, "iso")
    assert (after.start_step, after.start_time_ps) == (1100, before.time_ps(1000))
    assert [each.draws_velocities for each in (before, relax, after)] == [True, False, True]
    assert [each.degrees_of_freedom_removed for each in (before, relax, after)] == [3, 0, 3]


def test_null_drops_a_stage():
    assert [each.stage.name for each in planned(melt=None, hold=HELD)] == ["hold"]


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        ({}, "without stages"),
        ({"a": 300}, "expected a stage"),
        ({"a": {"temperature_K": 300, "duration_ps": 1}}, "has no ensemble"),
        ({"a": {**HELD, "ensemble": "nvp"}}, "expected one of nve, nvt, npt"),
        ({"a": {**HELD, "temprature_K": 3}}, "did you mean temperature_K"),
        ({"a": {**HELD, "rate_K_per_ps": 3}}, "exactly one of the two"),
        ({"a": {"ensemble": "nvt", "temperature_K": 300}}, "exactly one of the two"),
        ({"a": {"ensemble": "nvt", "duration_ps": 1}}, "has no temperature_K"),
        ({"a": {**HELD, "temperature_K": [300, 0]}}, "above zero"),
        ({"a": {**HELD, "temperature_K": [1, 2, 3]}}, r"expected T or \[from, to\]"),
        ({"a": {**HELD, "temperature_K": "hot"}}, "expected a number"),
        ({"a": {**HELD, "timestep_fs": -1}}, "above zero"),
        ({"a": {"ensemble": "nve", "temperature_K": [1, 2], "duration_ps": 1}}, "in nve"),
        ({"a": {**HELD, "ensemble": "npt", "thermostat": "langevin"}}, "nose_hoover_chain for npt"),
        ({"a": {"ensemble": "nvt", "temperature_K": 300, "rate_K_per_ps": 3}}, "where the ramp starts"),
        ({"a": HELD, "b": {"ensemble": "nvt", "temperature_K": 300, "rate_K_per_ps": 3}}, "already ends"),
        ({"a": {"ensemble": "nvt", "temperature_K": [300, 300], "rate_K_per_ps": 3}}, "to itself"),
        ({"a": {**HELD, "temperatures_K": [300]}}, "expected one of them"),
        ({"a": {"ensemble": "nvt", "temperatures_K": 300, "duration_ps": 1}}, "expected a list"),
        ({"a": {"ensemble": "nvt", "temperatures_K": [300, 300], "duration_ps": 1}}, "each temperature once"),
        ({"a": {"ensemble": "relax", "every_ps": 1}}, "did you mean every_steps"),
        ({"a": {"ensemble": "relax", "temperature_K": 1}}, "unknown key temperature_K; expected ensemble"),
        ({"a": {**HELD, "max_steps": 1}}, "unknown key max_steps"),
        ({"a": {"ensemble": "relax", "barostat": "x"}}, "expected one of iso, z, xy, orthorhombic, flexible"),
        ({"a": {"ensemble": "relax", "force_tolerance_eV_A": 0}}, "above zero"),
        ({"a": {"ensemble": "relax", "max_steps": 2.5}}, "a whole number of steps"),
        ({"a": {"ensemble": "relax", "pressure_GPa": 1}}, "pressure_GPa=1 and a fixed cell"),
        ({"a": {"ensemble": "relax"}, "b": {"ensemble": "nve", "duration_ps": 1}}, "leaves atoms at rest"),
        (
            {"a": HELD, "b": {"ensemble": "relax"}, "c": {**HELD, "duration_ps": None, "rate_K_per_ps": 3}},
            "where the ramp starts",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(protocol, message):
    with pytest.raises(ConfigError, match=message) as refusal:
        plan_stages(read_protocol(protocol))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("timestep_fs", "lightest_amu", "warns"),
    [(5.0, 6.94, True), (2.0, 6.94, False), (1.0, 1.008, True), (0.5, 1.008, False), (4.0, 39.9, False)],
)
def test_a_long_timestep_is_warned_about(timestep_fs, lightest_amu, warns):
    stage = Stage(name="hold", **{**HELD, "timestep_fs": timestep_fs})
    assert bool(timestep_warnings([stage], [lightest_amu, 207.0])) is warns


def test_every_protocol_that_ships_can_be_planned():
    from importlib import resources

    folder = resources.files("mlip.conf") / "protocol"
    names = [each.name for each in folder.iterdir() if each.name.endswith(".yaml")]
    assert {"melt_quench.yaml", "ladder.yaml", "nvt.yaml", "npt.yaml", "nve.yaml"} <= set(names)
    for name in names:
        protocol = OmegaConf.to_container(OmegaConf.create((folder / name).read_text()))
        assert plan_stages(read_protocol(protocol))
