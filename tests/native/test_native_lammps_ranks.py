"""Several MPI ranks against one process of ASE: energies, forces, virials, wherever the borders lie."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from native_lammps_runs import (
    LAMMPS_FROM_VOIGT,
    NKTV2P,
    RANKS,
    SPECIES,
    Result,
    command_of,
    evaluate_lammps,
    numbers_after,
    read_result,
    run_lmp,
    write_input,
)
from native_random_models import BOUNDARIES, R_MAX, deploy, structure

from mlip.data.graph import build_graph
from mlip.deploy import MLIPCalculator, Potential
from mlip.nn.derivatives import edge_vectors

STYLES = ["nequip", "allegro", "vitreous comm ghost"]
# All boundaries are among these, and two of each style.
FAST = [(style, name, 2, "on") for style, name in zip(STYLES * 2, (*BOUNDARIES, *BOUNDARIES), strict=False)]
EVERY = itertools.product(STYLES, BOUNDARIES, (2, 4), ("on", "off"))


def by_ase(atoms: Atoms, model: Path) -> Result:
    """The deployed file in one process, on ASE's atoms."""
    atoms = atoms.copy()
    calculator = MLIPCalculator(model, device="cpu")
    atoms.calc = calculator
    forces = atoms.get_forces()
    graph = calculator._graphs.build(atoms)
    virial = calculator.evaluate(graph).virial[0].numpy()
    voigt = virial[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]][LAMMPS_FROM_VOIGT]
    return Result(atoms.get_potential_energy(), atoms.get_potential_energies(), forces, voigt)


@pytest.mark.parametrize(
    ("style", "name", "ranks", "newton"),
    [pytest.param(*each, marks=() if each in FAST else pytest.mark.slow) for each in EVERY],
)
def test_ranks_equal_one_process(tmp_path, plugin, deployed, style, name, ranks, newton):
    atoms = structure(name)
    model = deployed["allegro" if style == "allegro" else "nequip"]
    found = evaluate_lammps(
        tmp_path,
        atoms,
        model,
        ranks,
        style=style,
        boundary=BOUNDARIES[name],
        before=f"newton {newton}",
    )
    expected = by_ase(atoms, model)
    assert np.abs(expected.forces).max() > 0.1
    found.assert_same(expected)


@RANKS
@pytest.mark.parametrize("style", ["nequip", pytest.param("allegro", marks=pytest.mark.slow)])
def test_two_types_of_one_species(tmp_path, plugin, deployed, style, ranks):
    """LAMMPS types 1 and 2 as the model's Li."""
    atoms = structure("triclinic")
    same = atoms.copy()
    same.symbols[[symbol == "P" for symbol in atoms.symbols]] = "Li"
    found = evaluate_lammps(tmp_path, atoms, deployed[style], ranks, style=style, types="Li Li S")
    found.assert_same(by_ase(same, deployed[style]))
    evaluate_lammps(tmp_path, same, deployed[style], ranks, style=style).assert_same(found)


@pytest.fixture(scope="module")
def wide(tmp_path_factory) -> Path:
    """Its rows of features are wider than LAMMPS exchanges in one go."""
    return deploy("wide", tmp_path_factory.mktemp("wide"))


# A style's arguments, and what its pair_coeff says, in two parts.
OTHERS = {
    "zbl": ("2.0 3.0", "3", "3"),
    "lj/cut": ("6.0", "0.01", "3.0"),
    "dispersion/d3": ("bj pbe 12.0 8.0", "Li", "P S"),
}


@RANKS
@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=pytest.mark.slow if each == "zbl" else ()) for each in OTHERS]
)
def test_beside_another_style(tmp_path, plugin, wide, name, ranks):
    """With hybrid/overlay energies, forces and virials are sums: repulsion and dispersion beside ours."""
    atoms = structure("triclinic")
    arguments, first, rest = OTHERS[name]
    other = evaluate_lammps(tmp_path, atoms, first, ranks, style=f"{name} {arguments}", types=rest)
    style = f"hybrid/overlay nequip {name} {arguments}"
    names = f"Li P S\npair_coeff * * {name} {first} {rest}"
    both = evaluate_lammps(tmp_path, atoms, f"nequip {wide}", ranks, style=style, types=names)
    ours = by_ase(atoms, wide)
    assert np.abs(other.forces).max() > 1e-3
    both.assert_same(
        Result(
            ours.energy + other.energy,
            ours.energies + other.energies,
            ours.forces + other.forces,
            ours.virial + other.virial,
        ),
        tolerance=1e-10,
    )


@pytest.mark.slow
@pytest.mark.parametrize("style", ["nequip", "allegro"])
def test_commands_that_replace_what_the_style_was_made_with(tmp_path, plugin, deployed, style):
    """LAMMPS makes new atoms or a new communication; what is freed is overwritten here."""
    atoms = structure("triclinic")
    after = "replicate 1 1 2\ncomm_style tiled\nrun 0\nwrite_data last.data nocoeff"
    write_input(tmp_path, atoms, deployed[style], style=style, after=after)
    finished = run_lmp(tmp_path, command=command_of(2), environment={"MALLOC_PERTURB_": "165"})
    assert finished.returncode == 0, finished.stdout[-2000:] + finished.stderr
    found = read_result(tmp_path, finished.stdout)
    types = last_types(tmp_path / "last.data")
    symbols = [SPECIES[types[k + 1] - 1] for k in range(len(types))]
    found.assert_same(by_ase(Atoms(symbols, found.positions, cell=found.cell, pbc=True), deployed[style]))


def test_exchanges_matter(tmp_path, plugin, deployed):
    """A border without exchange would be seen: what one rank alone says of its atoms is something else."""
    atoms = structure("triclinic")
    alone = by_ase(atoms[atoms.positions[:, 0] < atoms.cell[0, 0] / 2], deployed["nequip"])
    assert abs(alone.energy - by_ase(atoms, deployed["nequip"]).energy) > 1.0


@pytest.mark.parametrize("style", [STYLES[0], *(pytest.param(s, marks=pytest.mark.slow) for s in STYLES[1:])])
def test_ranks_without_atoms(tmp_path, plugin, deployed, style):
    """A cluster in a corner of a box that four ranks divide along x: some have ghosts only, some nothing."""
    atoms = structure("molecule")
    atoms.set_cell([60.0, 12.0, 12.0])
    model = deployed["allegro" if style == "allegro" else "nequip"]
    options = {"style": style, "boundary": "f f f", "before": "processors 4 1 1"}
    evaluate_lammps(tmp_path, atoms, model, 4, **options).assert_same(by_ase(atoms, model))


@pytest.mark.parametrize("style", ["nequip", "vitreous comm ghost", "vitreous kernel reference"])
@RANKS
def test_virial_of_atoms_is_their_edges(tmp_path, plugin, deployed, style, ranks):
    atoms = structure("triclinic")
    sums = " ".join(f"$(c_sums[{k + 1}]:%.17g)" for k in range(6))
    columns = " ".join(f"c_share[{k + 1}]" for k in range(6))
    after = f"""compute share all stress/atom NULL virial
compute sums all reduce sum {columns}
thermo_style custom step pe c_sums[1] c_sum c_virial[1]
run 0
print "SHARES {sums}"
write_dump all custom shares.dump id {columns} modify sort id format float %.17g
"""
    write_input(tmp_path, atoms, deployed["nequip"], style=style, after=after)
    finished = run_lmp(tmp_path, command=command_of(ranks))
    assert finished.returncode == 0, finished.stdout[-2000:] + finished.stderr
    of_atoms = np.loadtxt(tmp_path / "shares.dump", skiprows=9, ndmin=2)[:, 1:] / -NKTV2P
    np.testing.assert_allclose(of_atoms, shares_by_edges(atoms, deployed["nequip"]), rtol=1e-8, atol=1e-8)
    shares = -numbers_after("SHARES", finished.stdout)[-1] / NKTV2P
    np.testing.assert_allclose(shares, read_result(tmp_path, finished.stdout).virial, rtol=1e-9, atol=1e-8)


def shares_by_edges(atoms: Atoms, model: Path) -> np.ndarray:
    """-vec (x) dE/dvec summed over each atom's edges, by the potential in plain torch; LAMMPS's order."""
    potential = Potential.load(model.with_name("nequip.mlip"))
    graph = build_graph(atoms, R_MAX, tuple(SPECIES))
    gradient = potential.force_field()(*graph.inputs).edge_gradient
    vectors = edge_vectors(*(graph.inputs[k] for k in (0, 2, 3, 4, 5)))
    outer = -vectors.unsqueeze(2) * gradient.unsqueeze(1)
    sums = torch.zeros(len(atoms), 3, 3, dtype=torch.float64).index_add(0, graph.edge_index[0], outer)
    symmetric = 0.5 * (sums + sums.transpose(1, 2))
    return symmetric[:, [0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]].numpy()


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_atoms_migrate(tmp_path, plugin, deployed, dtype):
    """Hot atoms cross borders for 30 steps; both ways to reach other ranks' atoms stay on one trajectory."""
    atoms = structure("triclinic")
    model = deploy("nequip", tmp_path, dtype)
    after = "velocity all create 3000 7 loop geom\nfix 1 all nve\ntimestep 0.002\nrun 30"
    results = [
        evaluate_lammps(tmp_path, atoms, model, ranks, style=style, after=after)
        for ranks, style in ((1, "nequip"), (2, "nequip"), (4, "nequip"), (2, "vitreous comm ghost"))
    ]
    tolerance = 1e-7 if dtype == "float64" else 2e-2
    for other in results[1:]:
        np.testing.assert_allclose(other.positions, results[0].positions, atol=tolerance)
        assert abs(other.energy - results[0].energy) < tolerance * len(atoms)


@pytest.mark.parametrize("style", ["nequip", "allegro"])
def test_atoms_come_and_go(tmp_path, plugin, deployed, style):
    """`fix deposit` and evaporation change the number of atoms; the last step is what ASE says of it."""
    atoms = structure("slab")
    atoms.set_cell([*atoms.cell.lengths()[:2], 24.0])
    model = deployed[style]
    after = """region above block EDGE EDGE EDGE EDGE 17 20 units box
region beyond block EDGE EDGE EDGE EDGE 22.5 24 units box
fix come all deposit 5 1 5 123 region above near 1.5 vz -40 -30 units box
fix go all evaporate 5 1 beyond 5
velocity all create 900 7 loop geom
fix 1 all nve
thermo_modify lost ignore
timestep 0.001
run 30
print "ATOMS $(atoms)"
write_data last.data nocoeff"""
    write_input(tmp_path, atoms, model, style=style, boundary="p p f", after=after)
    finished = run_lmp(tmp_path, command=command_of(2))
    assert finished.returncode == 0, finished.stdout[-2000:] + finished.stderr
    found = read_result(tmp_path, finished.stdout)
    assert len(found.energies) > len(atoms)
    table = np.loadtxt(tmp_path / "final.dump", skiprows=9, ndmin=2)
    assert len(table) == int(numbers_after("ATOMS", finished.stdout)[-1][0])
    types = last_types(tmp_path / "last.data")
    symbols = [SPECIES[types[int(i)] - 1] for i in table[:, 0]]
    expected = by_ase(Atoms(symbols, found.positions, cell=found.cell, pbc=(1, 1, 0)), model)
    np.testing.assert_allclose(found.forces, expected.forces, atol=1e-9)
    assert abs(found.energy - expected.energy) < 1e-8


def last_types(path: Path) -> dict[int, int]:
    """The type of each atom, by ID."""
    lines = path.read_text().partition("Atoms # atomic\n\n")[2].partition("\n\n")[0].splitlines()
    return {int(words[0]): int(words[1]) for words in map(str.split, lines)}
