"""Steps that do not wait for the device: the same path, whatever happens to the neighbor list meanwhile."""

import numpy as np
import pytest
import torch
from structures import random_structure
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode

from md.engines.base import Place
from md.engines.entrance import first_state
from md.engines.torch.chunks import Chunks
from md.engines.torch.engine import TorchEngine
from md.engines.torch.neighbors import PatientNeighbors
from md.protocols.stages import Stage, plan_stages
from md.state import State
from mlip.deploy import MLIPCalculator
from mlip.errors import SimulationError

STAGES = {
    "hot": {"ensemble": "nve", "temperature_K": 2500.0},
    "rescaling": {"ensemble": "nvt", "temperature_K": 900.0, "thermostat": "velocity_rescaling"},
    "langevin": {"ensemble": "nvt", "temperature_K": 900.0, "thermostat": "langevin"},
    "cell_rescaling": {"ensemble": "npt", "temperature_K": 300.0, "thermostat": "velocity_rescaling"},
    "flexible": {"ensemble": "npt", "temperature_K": 600.0, "barostat": "flexible"},
}
# Whatever gives Python a number, or a tensor whose size only the device knows.
WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "is_nonzero", "equal", "bincount")


@pytest.fixture(scope="module")
def calculator(potential_file):
    return MLIPCalculator(potential_file, "cpu", "float64", kernel="reference")


def places():
    found = []
    for k, keys in enumerate(STAGES.values()):
        stages = plan_stages([Stage(name="only", duration_ps=1.0, every_ps=0.01, timestep_fs=0.5, **keys)])
        kind = "molecule" if k == 1 else "triclinic"
        state = first_state(State.from_atoms(random_structure(kind, seed=k)), stages, seed=k)
        found.append(Place(k, stages[0], state))
    return found


def begin(calculator, patient, chosen=None):
    engine = TorchEngine(calculator, seed=3, patient=patient)
    engine.begin(places() if chosen is None else chosen)
    return engine


def test_waiting_or_not_the_path_is_the_same(calculator, monkeypatch):
    taken_back = []
    shorten = Chunks._shorten
    monkeypatch.setattr(
        Chunks, "_shorten", lambda self, used, chunk: (taken_back.append(used), shorten(self, used, chunk))
    )
    ends = []
    for patient in (False, True):
        engine = begin(calculator, patient)
        engine.advance(60)
        ends.append(engine.states())
    assert taken_back  # the hot system outran its list
    for prompt, late in zip(*ends, strict=True):
        assert late.steps_done == 60
        np.testing.assert_allclose(late.positions, prompt.positions, rtol=0, atol=1e-9)
        np.testing.assert_allclose(late.velocities, prompt.velocities, rtol=0, atol=1e-10)
        np.testing.assert_allclose(late.cell, prompt.cell, rtol=0, atol=1e-10)


def test_more_edges_than_there_is_place_for_are_noticed(calculator, monkeypatch):
    seen = []
    look_back = PatientNeighbors.look_back

    def looking(self):
        found = look_back(self)
        seen.append(found[1])
        return found

    monkeypatch.setattr(PatientNeighbors, "look_back", looking)
    crowded = begin(calculator, patient=True, chosen=places()[:1])
    neighbors = crowded._chunks._neighbors
    neighbors._capacity = int(0.9 * neighbors._capacity)
    crowded.advance(10)
    expected = begin(calculator, patient=False, chosen=places()[:1])
    expected.advance(10)
    assert max(seen) > 1.0
    (mine,), (theirs,) = crowded.states(), expected.states()
    np.testing.assert_allclose(mine.positions, theirs.positions, rtol=0, atol=1e-10)


def record_on_a_cpu(action):
    """What a CUDA graph does: the operations of one call, on the tensors of that call."""
    nothing = torch.zeros(())
    taken = make_fx(lambda _: action())(nothing)
    return lambda: taken(nothing)


@pytest.mark.parametrize("chosen", [None, pytest.param(4, marks=pytest.mark.slow)])
def test_recorded_steps_are_the_same(calculator, chosen):
    """Also when lists are made anew, a chunk is taken back or the tensors no longer suffice."""
    some = places() if chosen is None else [places()[chosen]]
    engines = [TorchEngine(calculator, seed=3, patient=True, record=each) for each in (None, record_on_a_cpu)]
    for engine in engines:
        engine.begin(some)
        engine._chunks._neighbors._capacity = int(0.97 * engine._chunks._neighbors._capacity)
        engine.advance(30)
    for plain, recorded in zip(*(engine.checkpoints() for engine in engines), strict=True):
        assert recorded.steps_done == plain.steps_done == 30
        np.testing.assert_array_equal(recorded.positions, plain.positions)
        np.testing.assert_array_equal(recorded.velocities, plain.velocities)
        np.testing.assert_array_equal(recorded.cell, plain.cell)
        for name, value in plain.internals.items():
            np.testing.assert_array_equal(recorded.internals[name], value)
    for plain, recorded in zip(*(engine.observe() for engine in engines), strict=True):
        assert (recorded.potential_eV, recorded.conserved_eV) == (plain.potential_eV, plain.conserved_eV)


class Watch(TorchDispatchMode):
    """Notes the operations that a GPU would have to be waited for."""

    def __init__(self):
        super().__init__()
        self.waits = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.__name__
        if name.split(".")[0] in WAITS or any(
            isinstance(each, (list, tuple)) and any(getattr(x, "dtype", None) == torch.bool for x in each)
            for each in args
        ):
            self.waits.append(name)
        return func(*args, **(kwargs or {}))


def test_no_step_waits_for_the_device(calculator):
    engine = begin(calculator, patient=True)
    with Watch() as inside:
        for _ in range(3):
            engine._integrator.step()
    assert inside.waits == []
    with Watch() as around:
        engine.advance(4)
    assert 0 < len(around.waits) < 10  # one look back, perhaps a new list
    prompt = begin(calculator, patient=False)
    with Watch() as watch:
        prompt.advance(3)
    assert len(watch.waits) >= 3  # that the watch sees anything


def test_atoms_that_go_too_far_in_a_step_are_an_error(calculator):
    (first, *_) = places()
    first.state.velocities[0] = 10.0
    engine = begin(calculator, patient=True, chosen=[first])
    with pytest.raises(SimulationError, match="shorter timestep_fs"):
        engine.advance(5)


@pytest.mark.gpu
def test_no_step_waits_for_a_gpu(potential_file):
    """Steps inside of a chunk raise if they wait; the numbers are those of the CPU."""
    engines = [begin(MLIPCalculator(potential_file, device, "float64"), None) for device in ("cuda", "cpu")]
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(5):
            engines[0]._integrator.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for _ in range(5):
        engines[1]._integrator.step()
    positions = [engine._integrator.systems.positions.cpu() for engine in engines]
    torch.testing.assert_close(positions[0], positions[1], rtol=0, atol=1e-9)
