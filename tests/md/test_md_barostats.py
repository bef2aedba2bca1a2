"""Barostats iso, z, xy and flexible: the same in each engine, and the ensemble of constant pressure.

Three exact statements of that ensemble are tried, each within its statistical error by blocks: pressure along
the free directions; <V (P - P0)> = -kT, which knows the last factor of the volume; and the temperature of the
strain rate. Then what is fixed, what is conserved, and the volumes of one engine against the other's.
"""

import ctypes
from dataclasses import dataclass, replace

import numpy as np
import pytest

from md.engines import lammps_input
from md.engines.ase import AseEngine
from md.engines.ase_barostat import DilationMTKNPT, stretched_directions
from md.engines.entrance import first_state
from md.engines.lammps import LammpsEngine
from md.engines.loop import simulate
from md.protocols.stages import Stage, plan_stages
from md.state import State
from md.thermo import thermo_row
from mlip.errors import ConfigError
from mlip.units import AMU_A2_PER_FS2_IN_EV, BOLTZMANN_EV_PER_K, EV_PER_A3_IN_GPA

PAIR = ["pair_style lj/smooth 4.2 5.0", "pair_modify shift yes", "pair_coeff * * 0.0104 3.4"]
FREE = {"iso": [0, 1, 2], "z": [2], "xy": [0, 1], "flexible": [0, 1, 2]}
TARGET_GPA, TARGET_K, PDAMP_FS = 0.3, 60.0, 400.0


def open_lammps(arguments):
    from lammps import lammps

    from mlip.native.packages import mpi_library

    ctypes.CDLL(str(mpi_library()), mode=ctypes.RTLD_GLOBAL)
    return lammps(cmdargs=list(arguments))


@pytest.fixture
def engines(lennard_jones):
    """An engine of each kind by its name, with Lennard-Jones, switched off over 4.2 to 5 A in its own way."""
    pytest.importorskip("lammps")
    made = {"ase": AseEngine(lennard_jones, seed=3), "lammps": LammpsEngine(open_lammps, PAIR, seed=3)}
    yield made
    for engine in made.values():
        engine.close()


def stages_at(barostat, **keys):
    settings = {"temperature_K": TARGET_K, "pressure_GPa": TARGET_GPA, "timestep_fs": 4.0} | keys
    stage = Stage(
        name="hold", ensemble="npt", duration_ps=1e4, barostat=barostat, pdamp_fs=PDAMP_FS, **settings
    )
    return plan_stages([stage])


def begun(engine, atoms, stages):
    engine.begin(stages[0], first_state(State.from_atoms(atoms), stages, seed=1))
    return engine


@pytest.fixture
def hexagonal(argon):
    """A cell of 120 degrees in the plane, turned in space, its third vector normal to the plane."""
    from ase.build import bulk, make_supercell

    atoms = make_supercell(bulk("Ar", "fcc", a=5.3), [[1, -1, 0], [0, 1, -1], [1, 1, 1]]).repeat((4, 4, 2))
    atoms.rotate(37, (1, 2, 3), rotate_cell=True)
    return atoms


@pytest.mark.parametrize("name", ["ase", "lammps"])
@pytest.mark.parametrize("barostat", ["iso", "z", "xy"])
def test_what_is_fixed_stays_and_what_is_free_keeps_its_shape(hexagonal, engines, name, barostat):
    engine = begun(engines[name], hexagonal, stages_at(barostat))
    engine.advance(200)
    start, now = hexagonal.cell.array, engine.state().cell
    plane, height = now[:2] @ now[:2].T / (start[:2] @ start[:2].T), now[2] / start[2]
    assert np.allclose(plane, plane[0, 0], rtol=1e-12)  # lengths and angle go together
    assert np.allclose(height, height[0], rtol=1e-12)
    assert np.allclose(now[:2] @ now[2], 0, atol=1e-11)
    if barostat == "z":
        assert np.allclose(now[:2], start[:2], rtol=0, atol=1e-13)
    if barostat == "xy":
        assert np.allclose(now[2], start[2], rtol=0, atol=1e-13)
    if barostat == "iso":
        assert plane[0, 0] == pytest.approx(height[0] ** 2, rel=1e-12)
    assert abs(np.linalg.det(now) / np.linalg.det(start) - 1) > 1e-3


@pytest.mark.parametrize(
    ("barostat", "share"), [("iso", 0.003), ("z", 0.003), ("xy", 0.03), ("flexible", 0.05)]
)
def test_both_engines_take_the_same_way(hexagonal, engines, barostat, share):
    """Until the chains on the barostats, which differ, have their say."""
    stages = stages_at(barostat, timestep_fs=1.0)
    for engine in engines.values():
        begun(engine, hexagonal, stages).advance(20)
    start, ours, theirs = (
        np.sqrt(np.diag(cell @ cell.T))
        for cell in (hexagonal.cell.array, *(engine.state().cell for engine in engines.values()))
    )
    change = np.abs(ours - start).max()
    assert change > 0.02
    assert np.abs(ours - theirs).max() < share * change


def test_in_three_directions_it_is_the_isotropic_barostat_of_ase(argon, lennard_jones):
    from ase.md.nose_hoover_chain import IsotropicMTKNPT

    settings = {"timestep": 0.4, "temperature_K": 60, "pressure_au": 0.002, "tdamp": 10.0, "pdamp": 20.0}
    ways = []
    for make in (IsotropicMTKNPT, lambda atoms, **keys: DilationMTKNPT(atoms, np.eye(3), **keys)):
        atoms = argon.copy()
        atoms.calc = lennard_jones
        atoms.set_momenta(np.random.default_rng(0).normal(size=(32, 3)))
        dynamics = make(atoms, **settings)
        dynamics._barostat._R[0] = dynamics._barostat._R[1]
        dynamics.run(40)
        ways.append((atoms.positions.copy(), atoms.cell.array.copy(), dynamics.get_conserved_energy()))
    assert abs(ways[0][1][0, 0] - argon.cell[0, 0]) > 0.1
    for ours, theirs in zip(*ways, strict=True):
        assert np.allclose(ours, theirs, rtol=1e-11, atol=1e-11)


def test_directions_are_those_of_the_cell_not_of_space(hexagonal):
    normal = hexagonal.cell[2] / np.linalg.norm(hexagonal.cell[2])
    onto_z, onto_xy = (stretched_directions(each, hexagonal.cell.array) for each in ("z", "xy"))
    assert np.allclose(onto_z @ normal, normal)
    assert np.allclose(onto_z @ hexagonal.cell[0], 0, atol=1e-12)
    assert np.allclose(onto_xy + onto_z, np.eye(3))


@pytest.mark.parametrize("barostat", ["z", "xy"])
def test_a_leaning_cell_is_refused_before_anything_runs(argon, engines, tmp_path, barostat):
    argon.set_cell(argon.cell.array @ np.array([[1, 0, 0], [0, 1, 0], [0.1, 0, 1.0]]), scale_atoms=True)
    stages = plan_stages(
        [
            Stage(name="warm", ensemble="nvt", temperature_K=30, duration_ps=1),
            Stage(name="press", ensemble="npt", temperature_K=30, duration_ps=1, barostat=barostat),
        ]
    )
    with pytest.raises(
        ConfigError, match=f"stage press asks barostat={barostat} for a cell whose third vector"
    ):
        simulate(engines["ase"], stages, first_state(State.from_atoms(argon), stages, 1), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["ase", "lammps"])
def test_pressure_is_the_hand_computed_one(engines, name):
    """Two atoms 4 A apart: (2 E_kin + r F) / 3V with r F = 24 eps (2 s^12 - s^6), s = sigma / r."""
    from ase import Atoms

    atoms = Atoms("Ar2", [[1, 1, 1], [1, 5, 1]], cell=[12, 12, 12], pbc=True)
    speed_A_per_fs = 0.02
    stages = plan_stages([Stage(name="fly", ensemble="nve", duration_ps=1)])
    velocities = np.array([[speed_A_per_fs, 0, 0], [-speed_A_per_fs, 0, 0]])
    state = replace(State.from_atoms(atoms), velocities=velocities)
    engine = engines[name]
    engine.begin(stages[0], state)
    row = thermo_row(engine.state(), stages[0], engine.observe())
    kinetic_eV = 39.948 * speed_A_per_fs**2 * AMU_A2_PER_FS2_IN_EV
    s6 = (3.4 / 4.0) ** 6
    virial_eV = 24 * 0.0104 * (2 * s6**2 - s6)
    expected = (2 * kinetic_eV + virial_eV) / (3 * 12**3) * 160.21766208
    assert row.kinetic_eV == pytest.approx(kinetic_eV, rel=1e-12)
    assert row.pressure_GPa == pytest.approx(expected, rel=1e-8)
    assert 2 * kinetic_eV / (3 * 12**3) * 160.21766208 > 0.3 * abs(row.pressure_GPa)


def test_constants_are_those_of_lammps():
    """What `lammps_input` takes for LAMMPS's constants, asked of LAMMPS itself."""
    pytest.importorskip("lammps")
    instance = open_lammps(["-log", "none", "-screen", "none"])
    instance.command("units metal")
    assert instance.extract_global("boltz") == lammps_input._BOLTZMANN_EV_PER_K
    assert instance.extract_global("mvv2e") == lammps_input._AMU_A2_PER_PS2_IN_EV
    assert instance.extract_global("nktv2p") == lammps_input.BAR_PER_EV_A3
    instance.close()


@dataclass
class Sampled:
    """Series along a run.

    Attributes:
        pressure_GPa: Mean over the free directions, kinetic term included.
        volume_A3, temperature_K, conserved_eV, potential_eV: As in thermo.csv.
        strain: Twice the kinetic energy of the barostat over kT; its mean is its degrees of freedom.
    """

    pressure_GPa: np.ndarray
    volume_A3: np.ndarray
    temperature_K: np.ndarray
    conserved_eV: np.ndarray
    potential_eV: np.ndarray
    strain: np.ndarray


def sample(engine, atoms, barostat, num_samples, steps_between=20):
    stages = stages_at(barostat)
    begun(engine, atoms, stages).advance(2000)
    rows = []
    for _ in range(num_samples):
        engine.advance(steps_between)
        state, observation = engine.state(), engine.observe()
        row = thermo_row(state, stages[0], observation)
        motion = state.velocities.T @ (state.masses[:, None] * state.velocities) * AMU_A2_PER_FS2_IN_EV
        tensor = motion / state.volume - observation.stress
        pressure = np.diag(tensor)[FREE[barostat]].mean() * EV_PER_A3_IN_GPA
        twice = twice_barostat_energy(engine, barostat, len(atoms))
        rows.append((pressure, row.volume_A3, row.temperature_K, row.conserved_eV, row.potential_eV, twice))
    return Sampled(*np.array(rows).T)


def twice_barostat_energy(engine, barostat, num_atoms):
    """Over kT."""
    kT = BOLTZMANN_EV_PER_K * TARGET_K
    if isinstance(engine, AseEngine):
        dynamics = engine._dynamics
        momentum = dynamics._p_g if barostat == "flexible" else dynamics._p_eps
        return np.sum(momentum**2) / dynamics._barostat.W / kT
    num_strains = {"iso": 1, "flexible": 6}.get(barostat, 3)
    chain = 6 + num_strains
    rates = [engine._running.extract_fix("integrate", 0, 1, chain + i) for i in range(num_strains)]
    each = (num_atoms + 1) * (PDAMP_FS / 1000) ** 2 * np.square(rates)  # LAMMPS: W = (N + 1) kT tau^2
    return 3 * each[0] if barostat == "iso" else each.sum()


def block_error(series, blocks=20):
    """Standard error of a mean from the means of blocks longer than the correlation time."""
    means = series[: len(series) // blocks * blocks].reshape(blocks, -1).mean(axis=1)
    return means.std(ddof=1) / np.sqrt(blocks)


def assert_mean(series, expected, at_most=np.inf):
    """The mean is what it should be within four errors; `at_most` is the error that still means something."""
    error = block_error(series)
    assert error < at_most
    assert abs(series.mean() - expected) < 4.0 * error, (series.mean(), error)


@pytest.mark.slow
@pytest.mark.parametrize("barostat", ["iso", "z", "xy", "flexible"])
def test_the_ensemble_is_that_of_constant_pressure_in_both_engines(argon, engines, barostat):
    """A chain that counts 2 for 1, or 9 for 6, degrees of freedom shows in the strain rate's temperature."""
    kT = BOLTZMANN_EV_PER_K * TARGET_K
    runs = [
        sample(engines[name], argon, barostat, count) for name, count in (("ase", 1200), ("lammps", 10000))
    ]
    for run in runs:
        work = run.volume_A3 * (run.pressure_GPa - TARGET_GPA) / EV_PER_A3_IN_GPA / kT
        assert_mean(work, -1.0)
        assert_mean(run.pressure_GPa, TARGET_GPA, at_most=0.002)
        assert_mean(run.temperature_K, TARGET_K, at_most=0.5)
        degrees_of_freedom = {"flexible": 6.0}.get(barostat, 1.0)
        assert_mean(run.strain, degrees_of_freedom, at_most=0.2 * degrees_of_freedom)
        assert np.ptp(run.conserved_eV) < 0.03 * np.ptp(run.potential_eV)
    if barostat != "flexible":  # in so small a crystal shear is slow, and moves the volume
        ours, theirs = runs
        # two ways to switch off the potential
        assert ours.volume_A3.mean() == pytest.approx(theirs.volume_A3.mean(), rel=3e-3)
        assert_same_mean(*((run.volume_A3 - run.volume_A3.mean()) ** 2 for run in runs))


def assert_same_mean(one, other):
    """Two means agree within four errors of their difference."""
    error = np.hypot(block_error(one), block_error(other))
    assert abs(one.mean() - other.mean()) < 4.0 * error, (one.mean(), other.mean(), error)
