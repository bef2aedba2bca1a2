"""`engine=torch` with a NequIP: as ASE, to the bit after a restart, and the end of one system is its own."""

import h5py
import numpy as np
import pytest
from ase.io import read, write
from hydra import compose, initialize_config_module
from structures import random_structure

from md.engines.ase import AseEngine
from md.engines.base import Place
from md.engines.entrance import first_state
from md.engines.loop import simulate_systems
from md.engines.system_run import SystemRun
from md.engines.torch.engine import TorchEngine
from md.protocols.stages import Stage, plan_stages
from md.run import run_md
from md.state import State
from mlip.deploy import MLIPCalculator
from mlip.errors import ConfigError, SimulationError
from mlip.runs import Run

KEYS = {
    "nve": {"ensemble": "nve", "temperature_K": 300.0},
    "ramp": {"ensemble": "nvt", "temperature_K": (300.0, 200.0)},
    "langevin": {"ensemble": "nvt", "temperature_K": 300.0, "thermostat": "langevin"},
    "flexible": {"ensemble": "npt", "temperature_K": 300.0, "barostat": "flexible"},
}


@pytest.fixture(scope="module")
def calculator(potential_file):
    return MLIPCalculator(potential_file, "cpu", "float64", kernel="reference")


def stages_of(name, duration_ps=0.06):
    return plan_stages(
        [Stage(name="only", duration_ps=duration_ps, every_ps=0.01, timestep_fs=0.5, **KEYS[name])]
    )


def start(seed, stages):
    return first_state(State.from_atoms(random_structure("triclinic", seed=seed)), stages, seed)


def places():
    """A system of each ensemble, each with atoms of its own."""
    found = []
    for k, name in enumerate(KEYS):
        stages = stages_of(name)
        found.append(Place(k, stages[0], start(k, stages)))
    return found


def test_nve_follows_the_path_of_ase(calculator):
    stages = stages_of("nve")
    state = start(1, stages)
    ase_engine, engine = AseEngine(calculator), TorchEngine(calculator)
    ase_engine.begin(stages[0], state)
    engine.begin([Place(0, stages[0], state)])
    for each in (ase_engine, engine):
        each.advance(100)
    (found,) = engine.states()
    expected = ase_engine.state()
    assert np.abs(expected.positions - state.positions).max() > 0.05
    np.testing.assert_allclose(found.positions, expected.positions, rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.velocities, expected.velocities, rtol=0, atol=1e-10)
    (mine,), theirs = engine.observe(), ase_engine.observe()
    assert mine.potential_eV == pytest.approx(theirs.potential_eV, abs=1e-9)
    np.testing.assert_allclose(mine.stress, theirs.stress, rtol=0, atol=1e-12)


@pytest.mark.slow
def test_energy_of_nequip_does_not_drift_in_a_thousand_steps(potential_file):
    """Of six systems side by side; it fluctuates with the square of the timestep."""
    calculator = MLIPCalculator(potential_file, "cpu", "float64")
    spreads = {}
    for timestep_fs in (0.5, 1.0):
        stage = Stage(name="only", duration_ps=1.0, timestep_fs=timestep_fs, **KEYS["nve"])
        stages = plan_stages([stage])
        places = [Place(k, stages[0], start(k, stages)) for k in range(6)]
        engine = TorchEngine(calculator)
        engine.begin(places)
        energies = []
        for _ in range(int(1000 / timestep_fs)):
            engine.advance(1)
            energies.append([each.conserved_eV for each in engine.observe()])
        per_atom = np.array(energies) / [len(each.state.numbers) for each in places]
        times_ps = 1e-3 * timestep_fs * np.arange(len(per_atom))
        drifts = np.polyfit(times_ps, per_atom, 1)[0]
        assert abs(drifts.mean()) < 4.0 * drifts.std(ddof=1) / np.sqrt(len(drifts))
        spreads[timestep_fs] = per_atom.std(axis=0)
    orders = np.log2(spreads[1.0] / spreads[0.5])
    assert orders.mean() == pytest.approx(2.0, abs=0.2)


def test_a_checkpoint_goes_on_to_the_bit(calculator):
    """All ensembles in one batch; neighbor lists are of another age after the restart."""
    whole, first, second = (TorchEngine(calculator, seed=3) for _ in range(3))
    whole.begin(places())
    whole.advance(90)
    first.begin(places())
    first.advance(37)
    later = [Place(p.system, p.stage, s) for p, s in zip(places(), first.checkpoints(), strict=True)]
    second.begin(later)
    second.advance(53)
    for mine, theirs in zip(second.states(), whole.states(), strict=True):
        assert mine.steps_done == 90
        assert np.array_equal(mine.positions, theirs.positions)
        assert np.array_equal(mine.velocities, theirs.velocities)
        assert np.array_equal(mine.cell, theirs.cell)


def test_what_a_system_does_is_its_own_affair(calculator):
    together = TorchEngine(calculator, seed=3)
    together.begin(places())
    together.advance(60)
    for place, found in zip(places(), together.states(), strict=True):
        alone = TorchEngine(calculator, seed=3)
        alone.begin([place])
        alone.advance(60)
        (expected,) = alone.states()
        np.testing.assert_allclose(found.positions, expected.positions, rtol=0, atol=1e-10)


def test_one_that_fails_stops_alone(calculator, tmp_path):
    """The second has atoms that fly apart; the first and the third come to their ends."""
    runs = []
    for k in range(3):
        stages = stages_of("nve")
        state = start(k, stages)
        if k == 1:
            state.velocities[:] *= 40.0
        runs.append(SystemRun(k, stages, state, tmp_path / str(k)))
    with pytest.raises(SimulationError, match="systems 1 of 3 stopped; the first: "):
        simulate_systems(TorchEngine(calculator), runs)
    assert [run.steps_done for run in runs] == [120, runs[1].steps_done, 120]
    assert runs[1].steps_done < 120
    assert all((tmp_path / str(k) / "final.extxyz").exists() for k in range(3))


def composed(structure, potential, *overrides):
    with initialize_config_module("mlip.conf", version_base="1.3"):
        words = [f"structure={structure}", f"potential={potential}", "engine=torch", "device=cpu"]
        return compose(
            "md",
            [
                *words,
                "protocol=nvt",
                "protocol.nvt.temperature_K=300",
                "protocol.nvt.timestep_fs=0.5",
                *overrides,
            ],
        )


def test_all_frames_of_a_file_and_their_replicas_run_at_once(tmp_path, potential_file):
    frames = [random_structure("triclinic", seed=seed) for seed in (0, 2)]
    write(tmp_path / "two.extxyz", frames)
    overrides = ["replicas=2", "protocol.nvt.duration_ps=0.02", "protocol.nvt.every_ps=0.01"]
    config = composed(tmp_path / "two.extxyz", potential_file, *overrides)
    (tmp_path / "run").mkdir()
    run_md(config, Run(tmp_path / "run", resumed=False, finished=False))
    folders = sorted((tmp_path / "run" / "systems").iterdir())
    assert [folder.name for folder in folders] == ["000", "001", "002", "003"]
    ends = [read(folder / "final.extxyz") for folder in folders]
    assert [end.get_chemical_formula() for end in ends] == [
        frames[k // 2].get_chemical_formula() for k in range(4)
    ]
    assert np.abs(ends[0].positions - ends[1].positions).max() > 0.01
    for folder in folders:
        with h5py.File(folder / "trajectory.h5") as file:
            assert len(file["particles/all/position/value"]) == 3
        assert len((folder / "thermo.csv").read_text().splitlines()) == 4


def test_a_deployed_file_takes_one_system(tmp_path, potential_file):
    from mlip.deploy import deploy_potential

    deployed = deploy_potential(potential_file, tmp_path, device="cpu")
    write(tmp_path / "one.extxyz", random_structure("triclinic", seed=1))
    config = composed(tmp_path / "one.extxyz", deployed, "replicas=2")
    with pytest.raises(ConfigError, match=r"expected a \.mlip file"):
        run_md(config, Run(tmp_path, resumed=False, finished=False))


def test_systems_enter_as_others_finish(tmp_path, potential_file):
    """Five systems, two at a time: each ends as in a batch of all."""
    write(tmp_path / "one.extxyz", random_structure("triclinic", seed=0))
    words = ["replicas=5", "protocol.nvt.duration_ps=0.02", "protocol.nvt.every_ps=0.01"]
    ends = {}
    for name, more in {"all": [], "two": ["engine.max_systems=2"]}.items():
        (tmp_path / name).mkdir()
        config = composed(tmp_path / "one.extxyz", potential_file, *words, *more)
        run_md(config, Run(tmp_path / name, resumed=False, finished=False))
        ends[name] = [read(tmp_path / name / "systems" / f"{k:03d}" / "final.extxyz") for k in range(5)]
    for mine, theirs in zip(ends["two"], ends["all"], strict=True):
        np.testing.assert_allclose(mine.positions, theirs.positions, rtol=0, atol=1e-7)


def test_a_batch_of_none_is_refused(tmp_path, potential_file):
    write(tmp_path / "one.extxyz", random_structure("triclinic", seed=0))
    config = composed(tmp_path / "one.extxyz", potential_file, "engine.max_systems=0")
    with pytest.raises(ConfigError, match="expected 1 or more"):
        run_md(config, Run(tmp_path, resumed=False, finished=False))
