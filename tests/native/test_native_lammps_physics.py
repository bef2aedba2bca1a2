"""Pair style nequip in the real lmp against the same model in plain torch on ASE's neighbor list."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from native_lammps_runs import (
    SPECIES,
    evaluate_lammps,
    evaluate_reference,
    numbers_after,
    run_lmp,
    write_input,
)
from native_toy_model import save_toy_model

pytestmark = pytest.mark.usefixtures("plugin")


def random_atoms(cell: object, count: int, seed: int, pbc: object = True) -> Atoms:
    """Atoms of three species at random, no two closer than 1.6 A."""
    generator = np.random.default_rng(seed)
    atoms = Atoms(cell=cell, pbc=pbc)
    while len(atoms) < count:
        trial = atoms + Atoms([SPECIES[len(atoms) % 3]], [generator.random(3) @ atoms.cell.array])
        others = trial.get_distances(-1, list(range(len(atoms))), mic=True) if len(atoms) else np.ones(1) * 9
        if others.min() > 1.6:
            atoms = trial
    return atoms


def slab() -> Atoms:
    atoms = random_atoms([7.0, 6.5, 6.0], 12, seed=3)
    atoms.cell[2, 2] = 14.0
    atoms.positions[:, 2] += 4.0
    atoms.pbc = (True, True, False)
    return atoms


def molecule() -> Atoms:
    return Atoms("LiPS2", [[1, 1, 1], [2.9, 1.1, 1.2], [3.0, 3.1, 1.0], [1.1, 2.8, 2.9]], cell=[9, 9, 9])


SYSTEMS = {
    "orthorhombic": (random_atoms([9.5, 10.0, 11.0], 40, seed=1), "p p p"),
    "triclinic": (random_atoms([[9.0, 0, 0], [2.9, 8.5, 0], [-2.6, 3.3, 9.2]], 32, seed=2), "p p p"),
    "smaller than the cutoff": (
        random_atoms([[3.4, 0, 0], [0.9, 3.1, 0], [0.4, -0.7, 3.6]], 2, seed=4),
        "p p p",
    ),
    "one atom, self images": (bulk("Li", "sc", a=2.6), "p p p"),
    "slab": (slab(), "p p f"),
    "molecule": (molecule(), "s s s"),
    "lone atom": (Atoms("S", [[4, 4, 4]], cell=[20, 20, 20], pbc=True), "p p p"),
}


@pytest.mark.parametrize("newton", ["on", "off"])
@pytest.mark.parametrize("name", SYSTEMS)
def test_energy_forces_virial_equal_plain_torch(tmp_path, toy, name, newton):
    atoms, boundary = SYSTEMS[name]
    found = evaluate_lammps(tmp_path, atoms, toy, boundary=boundary, before=f"newton {newton}")
    found.assert_same(evaluate_reference(atoms))


def test_the_toy_sees_all_that_is_compared():
    atoms, _ = SYSTEMS["triclinic"]
    reference = evaluate_reference(atoms)
    assert np.abs(reference.virial).min() > 0.01
    assert np.abs(reference.forces).max() > 0.1


def test_after_moves_in_a_breathing_cell(tmp_path, toy):
    """Ghosts and shifts stay right between rebuilds of the neighbor list, while the box changes."""
    atoms, _ = SYSTEMS["triclinic"]
    dynamics = """velocity all create 900 87 loop geom
neigh_modify every 20 delay 0 check no
fix 1 all npt temp 900 900 0.05 tri 0 0 0.2
timestep 0.001
run 55"""
    found = evaluate_lammps(tmp_path, atoms, toy, after=dynamics)
    moved = Atoms(atoms.symbols, found.positions, cell=found.cell, pbc=True)
    assert np.abs(moved.cell.array - atoms.cell.array).max() > 0.01
    assert np.abs(found.positions - atoms.positions).max() > 0.1
    found.assert_same(evaluate_reference(moved))


def test_cutoffs_of_type_pairs_go_by_centre_and_neighbor(tmp_path):
    cutoffs = np.array([[4.0, 2.5, 3.0], [3.5, 4.0, 2.2], [2.0, 3.8, 3.1]])
    numbers = " ".join(str(value) for value in cutoffs.flat)
    model = save_toy_model(tmp_path / "cut.nequip.pth", {"per_edge_type_cutoff": numbers})
    atoms, _ = SYSTEMS["orthorhombic"]
    expected = evaluate_reference(atoms, cutoffs=cutoffs)
    assert abs(expected.energy - evaluate_reference(atoms, cutoffs=cutoffs.T).energy) > 1e-3
    evaluate_lammps(tmp_path, atoms, model).assert_same(expected)


def test_no_atoms(tmp_path, toy):
    write_input(tmp_path, Atoms("LiPS", cell=[8, 8, 8], pbc=True), toy, after="delete_atoms group all\nrun 1")
    finished = run_lmp(tmp_path)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert numbers_after("RESULT", finished.stdout)[-1][0] == 0.0


def test_nve_error_falls_with_the_square_of_the_timestep(tmp_path, toy):
    atoms = bulk("S", "bcc", a=3.4, cubic=True) * (3, 3, 3)
    atoms.symbols[::2] = "P"
    atoms.rattle(0.05, seed=5)
    errors = []
    for timestep, steps in ((0.002, 100), (0.001, 200)):
        dynamics = f"""velocity all create 300 11 loop geom
fix 1 all nve
timestep {timestep}
thermo {steps // 50}
thermo_modify format float %.15g
run {steps}"""
        write_input(tmp_path, atoms, toy, after=dynamics)
        finished = run_lmp(tmp_path)
        assert finished.returncode == 0, finished.stdout[-2000:]
        rows = [line.split() for line in finished.stdout.splitlines()]
        total = np.array([float(row[2]) for row in rows if len(row) == 6 and row[0].isdigit()])
        assert len(total) == 51
        errors.append(np.std(total))
    assert errors[0] / len(atoms) < 1e-4
    assert 3.5 < errors[0] / errors[1] < 4.5
