"""One of three systems goes wrong: it stops, and the other two move to the bit as they do without it."""

import re

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.io import read

from md.engines.ase import AseEngine
from md.engines.base import OneByOne
from md.engines.entrance import first_state
from md.engines.grade_watch import GradeLimits
from md.engines.loop import simulate_systems
from md.engines.system_run import SystemRun
from md.engines.torch.engine import TorchEngine
from md.protocols.stages import Stage, plan_stages
from md.state import State
from mlip.deploy.calculator import Evaluation
from mlip.errors import DataError, SimulationError

VICTIM = 16  # atoms; the others have fewer
FAR = 0.6  # A; what goes wrong goes wrong when the first atom of the victim has come so far
KEYS = {"temperature_K": 300.0, "duration_ps": 0.8, "timestep_fs": 2.0, "every_ps": 0.08}
STAGES = plan_stages([Stage("only", "nve", **KEYS)])
HELD = plan_stages([Stage("only", "nvt", tdamp_fs=40.0, **KEYS)])


class Waves:
    """An analytic potential, the same for an atom in any batch: -cos x for each coordinate, in eV and A.

    The atoms of the victim are free, but for what goes wrong.
    """

    species, device, r_max, edge_cutoffs = ("Li",), torch.device("cpu"), 6.0, None

    def __init__(self, trouble=""):
        self.trouble = trouble

    def evaluate(self, graph):
        x = graph.positions
        is_victim = (graph.num_atoms == VICTIM)[graph.batch]
        free = is_victim.unsqueeze(1)
        forces = (-x.sin()).masked_fill(free, 0.0)
        energies = (-x.cos().sum(1)).masked_fill(is_victim, 0.0)
        grades = torch.ones_like(energies)
        if is_victim.any() and x[is_victim][0, 0] > FAR:
            if self.trouble == "refused":
                raise DataError("found what I refuse")
            if self.trouble == "nan":
                forces = forces.masked_fill(free, torch.nan)
            if self.trouble == "energy":
                energies = energies - 2.0 * is_victim
            if self.trouble == "hot":
                forces = forces + 5.0 * free * torch.tensor([0.0, 1.0, 0.0]) * x.sin().sign()
            if self.trouble == "grade":
                grades[is_victim.nonzero()[14]] += 9.0
        known = lambda: {"extrapolation_grade": grades.numpy()}  # noqa: E731
        virials = torch.zeros_like(graph.cell)
        return Evaluation(energies, forces, virials, known if self.trouble == "grade" else dict)


def victim(trouble):
    """Four layers of four atoms; the first atom runs along x, or meets another, or the layers close up."""
    layer = np.array([[0.0, 0.0], [0.0, 6.0], [6.0, 0.0], [6.0, 6.0]])
    positions = np.array([[x + k, y + k, 3.0 * k] for k in range(4) for x, y in layer])
    velocities = np.zeros_like(positions)
    velocities[0, 0] = 2e-3
    if trouble == "overlap":
        positions[2] = [1.2, 0.1, 0.0]
    if trouble == "vacuum":
        velocities = np.outer(np.arange(16) // 4, [0.0, 0.0, -3e-3])
    atoms = Atoms(f"Li{VICTIM}", positions, cell=[12.0, 12.0, 12.0], pbc=True)
    state = State.from_atoms(atoms)
    state.velocities[:] = velocities
    return state


def other(seed):
    generator = np.random.default_rng(seed)
    positions = np.array([[x, y, 0.0] for x in (0.0, 6.28) for y in (0.0, 6.28)])
    atoms = Atoms("Li4", positions + generator.normal(0.0, 0.2, (4, 3)), cell=[12.56] * 3, pbc=True)
    return first_state(State.from_atoms(atoms), HELD, seed)


def simulate(systems, folder, calculator):
    limits = GradeLimits(stop=5.0)
    runs = [
        SystemRun(k, STAGES if k == 1 else HELD, state, folder / str(k), limits)
        for k, state in systems.items()
    ]
    try:
        simulate_systems(TorchEngine(calculator), runs)
    except SimulationError as error:
        return runs, str(error)
    return runs, ""


@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        (
            "nan",
            r"expected (finite|steps).*; the last good structure, of step \d+ \(stage only\), is in",
        ),
        ("refused", "found what I refuse"),
        ("energy", r"conserved energy changed by -32 eV between steps \d+ and \d+ \(stage only\)"),
        ("hot", r"it got \d+ K hot"),
        ("overlap", r"atoms 0 and 2 are 0\.\d+ A apart"),
        ("vacuum", r"a vacuum of [89]\.\d A opened along lattice vector 2"),
        ("grade", r"atom 14 \(Li\) has an extrapolation grade of 10 at step \d+ \(stage only\)"),
    ],
)
def test_one_system_goes_wrong_and_the_others_do_not_notice(tmp_path, trouble, message):
    runs, error = simulate({0: other(0), 1: victim(trouble), 2: other(2)}, tmp_path, Waves(trouble))
    assert "systems 1 of 3 stopped; the first: " in error
    assert re.search(message, error), error
    assert 100 < runs[1].steps_done < 400
    last = read(runs[1].files.final)
    assert np.isfinite(last.positions).all()
    assert State.load(runs[1].files.restart).steps_done == runs[1].steps_done
    assert runs[1].files.extrapolating.exists() == (trouble == "grade")
    for k in (0, 2):
        (alone,), error = simulate({k: other(k)}, tmp_path / "alone", Waves())
        assert not error
        assert alone.steps_done == runs[k].steps_done == 400
        assert np.array_equal(alone.state.positions, runs[k].state.positions)
        assert np.array_equal(alone.state.velocities, runs[k].state.velocities)
        if trouble != "grade":
            assert alone.files.thermo.read_bytes() == runs[k].files.thermo.read_bytes()


def test_engines_of_one_system_go_on_with_the_next(argon, lennard_jones, tmp_path):
    """One after the other: the second has NaN, the third is taken to its end."""

    class Spoiled(type(lennard_jones)):
        def calculate(self, *args, **kwargs):
            super().calculate(*args, **kwargs)
            self.results["forces"] = np.full_like(self.results["forces"], np.nan)

    def opened(system):
        return AseEngine(Spoiled() if system == 1 else lennard_jones)

    state = first_state(State.from_atoms(argon), HELD, 1)
    runs = [SystemRun(k, HELD, state, tmp_path / str(k)) for k in range(3)]
    with pytest.raises(SimulationError, match=r"systems 1 of 3 stopped; the first: positions became NaN"):
        simulate_systems(OneByOne(opened), runs)
    assert [run.steps_done for run in runs] == [400, 0, 400]
    assert np.array_equal(runs[0].state.positions, runs[2].state.positions)
