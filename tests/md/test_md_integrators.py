"""The ASE engine against statistical mechanics: conserved energy, kinetic-energy distribution, pressure."""

from dataclasses import replace

import numpy as np
import physical_validation
import pytest
from ensemble_checks import samples_of

from md.engines.ase import AseEngine
from md.engines.entrance import first_state
from md.protocols.stages import Stage, plan_stages
from md.state import State
from md.thermo import temperature_K, thermo_row
from mlip.units import BOLTZMANN_EV_PER_K


def start(atoms, stages, seed=1):
    return first_state(State.from_atoms(atoms), stages, seed)


def sample(engine, stages, state, num_samples, steps_between, discard=0):
    """Rows of thermo.csv, in memory."""
    stage = stages[0]
    engine.begin(stage, state)
    engine.advance(discard)
    rows = []
    for _ in range(num_samples):
        engine.advance(steps_between)
        rows.append(thermo_row(engine.state(), stage, engine.observe()))
    return {name: np.array([getattr(row, name) for row in rows]) for name in vars(rows[0])}


def test_energy_fluctuation_of_nve_falls_with_the_square_of_the_timestep(argon, lennard_jones, plan):
    fluctuation = {}
    for timestep_fs in (4.0, 8.0):
        stages = plan(ensemble="nve", temperature_K=60, duration_ps=4, timestep_fs=timestep_fs)
        rows = sample(AseEngine(lennard_jones), stages, start(argon, stages), int(4000 / timestep_fs), 1)
        energy = rows["potential_eV"] + rows["kinetic_eV"]
        assert np.allclose(rows["conserved_eV"], energy, rtol=0, atol=1e-12)
        drift_per_ps = np.polyfit(rows["time_ps"], energy, 1)[0] / len(argon)
        assert abs(drift_per_ps) < 1e-6
        fluctuation[timestep_fs] = energy.std()
    order = np.log2(fluctuation[8.0] / fluctuation[4.0])
    assert order == pytest.approx(2.0, abs=0.2)


@pytest.mark.slow
@pytest.mark.parametrize("thermostat", ["nose_hoover_chain", "velocity_rescaling", "langevin"])
def test_kinetic_energy_of_nvt_is_distributed_as_it_should(argon, lennard_jones, plan, thermostat):
    stages = plan(
        ensemble="nvt",
        temperature_K=60,
        duration_ps=1e3,
        timestep_fs=8.0,
        thermostat=thermostat,
        tdamp_fs=200,
    )
    engine = AseEngine(lennard_jones, seed=5)
    rows = sample(engine, stages, start(argon, stages), num_samples=800, steps_between=8, discard=400)
    data = samples_of(argon, stages[0], kinetic_energy=rows["kinetic_eV"])
    p_value = physical_validation.kinetic_energy.distribution(data, strict=True, verbosity=0)
    assert p_value > 0.01


@pytest.mark.parametrize(
    "barostat", ["iso", *(pytest.param(each, marks=pytest.mark.slow) for each in ("flexible", "z", "xy"))]
)
def test_npt_reaches_its_pressure_and_conserves_its_energy(argon, lennard_jones, plan, barostat):
    stages = plan(
        ensemble="npt",
        temperature_K=30,
        pressure_GPa=0.3,
        duration_ps=1e3,
        timestep_fs=4.0,
        barostat=barostat,
        pdamp_fs=400,
    )
    rows = sample(AseEngine(lennard_jones), stages, start(argon, stages), 300, 4, discard=600)
    assert rows["temperature_K"].mean() == pytest.approx(30, rel=0.1)
    assert rows["volume_A3"].std() > 1.0
    if barostat not in ("z", "xy"):  # the other directions keep the pressure of their cell
        assert rows["pressure_GPa"].mean() == pytest.approx(0.3, abs=0.03)
    assert np.ptp(rows["conserved_eV"]) < 0.01 * np.ptp(rows["potential_eV"])


def test_z_barostat_moves_the_third_vector_alone(argon, lennard_jones, plan):
    stages = plan(
        ensemble="npt", temperature_K=30, duration_ps=1, timestep_fs=4.0, barostat="z", pdamp_fs=200
    )
    engine = AseEngine(lennard_jones)
    engine.begin(stages[0], start(argon, stages))
    engine.advance(50)
    assert np.allclose(engine.state().cell[:2], argon.cell[:2], rtol=0, atol=1e-12)
    assert abs(engine.state().cell[2, 2] - argon.cell[2, 2]) > 0.01


def test_nose_hoover_keeps_its_extended_energy_and_total_momentum(argon, lennard_jones, plan):
    stages = plan(ensemble="nvt", temperature_K=60, duration_ps=10, timestep_fs=4.0)
    engine = AseEngine(lennard_jones)
    rows = sample(engine, stages, start(argon, stages), 400, 2)
    assert np.ptp(rows["conserved_eV"]) < 0.01 * np.ptp(rows["potential_eV"])
    momentum = engine.state().masses @ engine.state().velocities
    assert np.abs(momentum).max() < 1e-12


def test_a_ramp_follows_its_target(argon, lennard_jones, plan):
    stages = plan(ensemble="nvt", temperature_K=(60, 10), duration_ps=20, timestep_fs=8.0)
    rows = sample(AseEngine(lennard_jones), stages, start(argon, stages), 250, 10)
    target = np.array([stages[0].temperature_K(10 * (i + 1)) for i in range(250)])
    for part in np.split(np.arange(250), 5):
        assert rows["temperature_K"][part].mean() == pytest.approx(target[part].mean(), abs=6)


def test_velocities_are_drawn_at_the_temperature_without_momentum(argon):
    stages = plan_stages([Stage(name="hold", ensemble="nve", temperature_K=300, duration_ps=1)])
    state = start(argon, stages)
    assert temperature_K(state, stages[0]) == pytest.approx(300, rel=1e-12)
    assert np.abs(state.masses @ state.velocities).max() < 1e-12
    assert np.array_equal(state.velocities, start(argon, stages).velocities)
    assert not np.array_equal(state.velocities, start(argon, stages, seed=2).velocities)


def test_pressure_of_an_ideal_gas_is_its_kinetic_term(argon, lennard_jones, plan):
    """pV = N k T, up to the three momenta that are fixed."""
    stages = plan(ensemble="nve", temperature_K=300, duration_ps=1)
    argon.set_cell(argon.cell * 10, scale_atoms=True)
    state = start(argon, stages)
    row = thermo_row(state, stages[0], _observe(AseEngine(lennard_jones), stages[0], state))
    expected = (len(argon) - 1) * BOLTZMANN_EV_PER_K * 300 / argon.get_volume() * 160.21766
    assert row.pressure_GPa == pytest.approx(expected, rel=1e-6)
    assert row.density_g_cm3 == pytest.approx(32 * 39.948 * 1.66054 / argon.get_volume(), rel=1e-3)


def _observe(engine, stage, state):
    engine.begin(stage, state)
    return engine.observe()


def test_drift_goes_where_the_next_stage_conserves_momentum(argon, lennard_jones, tmp_path):
    from md.engines.loop import simulate

    stages = plan_stages(
        [
            Stage(name="kick", ensemble="nvt", temperature_K=60, duration_ps=0.2, thermostat="langevin"),
            Stage(name="hold", ensemble="nvt", temperature_K=60, duration_ps=0.1),
        ]
    )
    final = simulate(AseEngine(lennard_jones), stages, start(argon, stages), tmp_path)
    assert np.abs(final.masses @ final.velocities).max() < 1e-12
    drifting = replace(final, velocities=final.velocities + 1.0)
    assert np.abs(drifting.masses @ drifting.velocities).max() > 1.0
