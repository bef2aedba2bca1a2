"""FIRE against ASE's, against minima found in one variable, and against itself alone and in a batch."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.optimize import FIRE
from scipy.optimize import minimize_scalar
from torch_potentials import lennard_jones

from md.engines.torch.fire import Fire
from md.engines.torch.strains import allowed_strains
from md.engines.torch.systems import Systems
from md.protocols.relaxation import Relaxation
from md.protocols.stages import plan_stages
from md.state import State
from mlip.units import EV_PER_A3_IN_GPA

TIGHT = {"force_tolerance_eV_A": 1e-6, "stress_tolerance_GPa": 1e-6, "max_steps": 400}
MODES = (None, "iso", "z", "xy", "flexible")


def crystal(strain=0.0, rattle=0.1, seed=1):
    """32 atoms of argon, off their places, in a cell that is strained without symmetry."""
    atoms = bulk("Ar", "fcc", a=5.3, cubic=True).repeat(2)
    skew = np.array([[0.0, 0.5, 0.2], [0.5, 0.3, 0.0], [0.2, 0.0, -0.7]])
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain * skew), scale_atoms=True)
    atoms.rattle(rattle, seed=seed)
    return atoms


def begin(structures, modes, **keys):
    stages = [plan_stages([Relaxation(name="only", barostat=mode, **(TIGHT | keys))])[0] for mode in modes]
    systems = Systems.of_states([State.from_atoms(atoms) for atoms in structures])
    lennard_jones(systems)
    return systems, Fire(systems, stages)


def relax(systems, fire, num_steps=400):
    for _ in range(num_steps):
        if bool(fire.has_converged(systems).all()):
            break
        fire.step(systems)
        lennard_jones(systems)
    return systems


def enthalpy_of_crystal(a, pressure):
    """Of the perfect crystal of 32 atoms with this lattice constant, eV."""
    systems = Systems.of_states([State.from_atoms(bulk("Ar", "fcc", a=a, cubic=True).repeat(2))])
    lennard_jones(systems)
    return float(systems.energies + pressure * systems.volumes)


def test_it_takes_the_steps_of_ase(lennard_jones):
    """As long as no step is cut short, which ASE does by the length of all moves together."""
    atoms = crystal(rattle=0.05)
    systems, fire = begin([atoms], [None], force_tolerance_eV_A=1e-9)
    atoms.calc = lennard_jones
    theirs = FIRE(atoms, logfile=None)
    for _ in range(60):
        theirs.step()
    relax(systems, fire, 60)
    moved = np.abs(atoms.positions - crystal(rattle=0.05).positions).max()
    assert moved > 0.1
    assert int(fire.steps) == 60
    assert float(fire.timesteps) == pytest.approx(theirs.dt, rel=1e-12)
    np.testing.assert_allclose(systems.positions, atoms.positions, rtol=0, atol=1e-10)


@pytest.mark.parametrize("pressure_GPa", [0.0, 0.5])
@pytest.mark.parametrize("mode", ["iso", "flexible"])
def test_a_crystal_finds_its_lattice_constant(mode, pressure_GPa):
    pressure = pressure_GPa / EV_PER_A3_IN_GPA
    best = minimize_scalar(enthalpy_of_crystal, bracket=(5.2, 5.5), args=(pressure,), options={"xtol": 1e-10})
    start = crystal(strain=0.05 if mode == "flexible" else 0.0)
    systems = relax(*begin([start], [mode], pressure_GPa=pressure_GPa))
    metric = systems.cell[0] @ systems.cell[0].T
    np.testing.assert_allclose(metric, (2 * best.x) ** 2 * np.eye(3), rtol=0, atol=1e-3)
    enthalpy = float(systems.energies + pressure * systems.volumes)
    assert enthalpy == pytest.approx(best.fun, abs=1e-8)
    ended = Atoms("Ar32", systems.positions.numpy(), cell=systems.cell[0].numpy(), pbc=True)
    assert np.sort(ended.get_all_distances(mic=True)[0])[1:13] == pytest.approx(
        np.full(12, best.x / np.sqrt(2)), abs=1e-3
    )


@pytest.mark.parametrize("mode", ["z", "xy"])
def test_what_is_kept_of_a_cell_is_kept_and_what_is_free_is_free_of_stress(mode):
    """The plane is turned in space, and its angle is not a right one."""
    atoms = crystal()
    atoms.set_cell(atoms.cell.array @ np.array([[1, 0.1, 0], [0, 1, 0], [0, 0, 1.0]]), scale_atoms=True)
    atoms.rotate(40, (1, 2, 3), rotate_cell=True)
    cell = atoms.cell.array
    normal = np.cross(cell[0], cell[1]) / np.linalg.norm(np.cross(cell[0], cell[1]))
    systems = relax(*begin([atoms], [mode]))
    ratio = np.linalg.norm(systems.cell[0], axis=1) / np.linalg.norm(cell, axis=1)
    free = ratio[2] if mode == "z" else ratio[0]
    assert abs(free - 1.0) > 1e-2
    assert ratio == pytest.approx([1, 1, free] if mode == "z" else [free, free, 1], abs=1e-9)
    np.testing.assert_allclose(systems.cell[0], cell * ratio[:, None], rtol=0, atol=1e-9)
    stress = (-systems.virials[0] / systems.volumes * EV_PER_A3_IN_GPA).numpy()
    along = normal @ stress @ normal
    held = along if mode == "z" else (np.trace(stress) - along) / 2
    assert held == pytest.approx(0.0, abs=2e-6)
    assert abs(np.trace(stress)) > 1e-2


@pytest.mark.parametrize(
    ("mode", "rank"), [(None, 0), ("iso", 1), ("z", 1), ("xy", 1), ("orthorhombic", 3), ("flexible", 6)]
)
def test_allowed_strains_are_those_that_the_mode_names(mode, rank):
    """Of a right-angled cell that is turned in space: which lengths and angles change."""
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    cell = np.diag([3.0, 4.0, 5.0]) @ turn
    allowed = allowed_strains(mode, cell).numpy()
    np.testing.assert_allclose(allowed @ allowed, allowed, atol=1e-14)
    assert np.trace(allowed) == pytest.approx(rank)
    strain = (allowed @ np.random.default_rng(2).normal(size=9)).reshape(3, 3)
    np.testing.assert_allclose(strain, strain.T, atol=1e-14)
    own = turn @ strain @ turn.T
    kept = {None: (0, 1, 2), "z": (0, 1), "xy": (2,)}.get(mode, ())
    np.testing.assert_allclose(own[kept, kept], 0.0, atol=1e-14)
    alike = {"iso": (0, 1, 2), "xy": (0, 1)}.get(mode, (0,))
    assert np.ptp(own[alike, alike]) == pytest.approx(0.0, abs=1e-14)
    shear = np.abs(own - np.diag(np.diag(own))).max()
    assert shear > 0.1 if mode == "flexible" else shear < 1e-14


def test_systems_of_a_batch_relax_as_alone_and_then_stand_still():
    structures = [crystal(strain=0.02, rattle=0.03 * k, seed=k) for k in range(1, 6)]
    systems, fire = begin(structures, MODES)
    steps, places = [], []
    for _ in range(150):
        before = fire.has_converged(systems)
        fire.step(systems)
        lennard_jones(systems)
        steps.append(fire.steps)
        places.append((before, systems.positions.view(5, 32, 3), systems.cell))
    assert bool(fire.has_converged(systems).all())
    for (done, *old), (_, *new) in pairwise(places):
        assert all(torch.equal(a[done], b[done]) for a, b in zip(old, new, strict=True))
    assert len(set(steps[-1].tolist())) > 2
    for k, structure in enumerate(structures):
        alone, its_fire = begin([structure], MODES[k : k + 1])
        relax(alone, its_fire)
        assert int(its_fire.steps) == int(steps[-1][k])
        np.testing.assert_allclose(systems.positions.view(5, 32, 3)[k], alone.positions, rtol=0, atol=1e-8)
        np.testing.assert_allclose(systems.cell[k], alone.cell[0], rtol=0, atol=1e-8)


def test_a_large_cell_takes_no_more_steps_than_a_small_one():
    steps = []
    for atoms in (crystal(strain=0.03), crystal(strain=0.03).repeat((4, 1, 1))):
        systems, fire = begin([atoms], ["flexible"], force_tolerance_eV_A=1e-4, stress_tolerance_GPa=1e-4)
        relax(systems, fire)
        assert bool(fire.has_converged(systems))
        steps.append(int(fire.steps))
    assert steps[1] < 1.5 * steps[0]


def test_no_atom_leaps():
    """Two atoms nearly on top of each other push with hundreds of eV/A."""
    atoms = crystal()
    atoms.positions[1] = atoms.positions[0] + (1.8, 0.0, 0.0)
    systems, fire = begin([atoms], ["flexible"])
    assert float(systems.forces.abs().max()) > 100.0
    for _ in range(100):
        before = systems.positions @ torch.linalg.inv(systems.cell[0])
        fire.step(systems)
        lennard_jones(systems)
        moved = torch.linalg.vector_norm(systems.positions - before @ systems.cell[0], dim=1)
        assert float(moved.max()) < 0.21
    assert float(fire.residual(systems)[0]) < 1.0
