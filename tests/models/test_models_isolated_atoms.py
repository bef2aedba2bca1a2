"""Structures without a single pair: every architecture, every pair potential, wherever they can turn up."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from structures import SPECIES, random_structure

from mlip.data.graph import build_graph, collate
from mlip.deploy import MLIPCalculator, Potential, deploy_potential
from mlip.models.allegro import AllegroConfig
from mlip.models.build import build_force_field
from mlip.models.nequip import NequIPConfig
from mlip.models.normalization import Normalization
from mlip.nn.short_range import PAIR_POTENTIALS

R_MAX = 4.0
SHIFTS = (-1.0, 2.0, -3.0)
NORMALIZATION = Normalization((12.0,) * 3, (1.0, 2.0, 1.5), SHIFTS, ((R_MAX,) * 3,) * 3)
PAIR_CUTOFFS = ((3.5, 3.0, 2.5), (3.0, 3.2, 2.8), (2.5, 2.8, 3.3))
ARCHITECTURES = {
    "nequip": NequIPConfig(r_max=R_MAX, num_layers=2, num_features=4, radial_mlp_width=8),
    "nequip, readout": NequIPConfig(
        r_max=R_MAX, num_layers=2, num_features=4, radial_mlp_width=8, readout_mlp_hidden_layers_depth=1
    ),
    "allegro": AllegroConfig(r_max=R_MAX, num_scalar_features=8, num_tensor_features=4),
}
LONE = {
    "free": Atoms("Li", positions=[[0.1, 0.2, 0.3]]),
    "periodic": Atoms("P", positions=[[0.1, 0.2, 0.3]], cell=[[7, 0, 0], [2, 7, 0], [0, -1, 8]], pbc=True),
    "wire": Atoms("S", positions=[[0.1, 0.2, 0.3]], cell=[0, 0, 6], pbc=(False, False, True)),
    "far apart": Atoms("LiS", positions=[[0, 0, 0], [0, 0, R_MAX + 1e-6]]),
}


@pytest.fixture(params=ARCHITECTURES.values(), ids=ARCHITECTURES)
def architecture(request):
    return request.param


@pytest.fixture(params=[None, *PAIR_POTENTIALS], ids=str)
def force_field(request, architecture):
    """In training mode, with random weights."""
    torch.manual_seed(0)
    config = replace(architecture, pair_potential=request.param)
    cutoffs = PAIR_CUTOFFS if request.param else None
    return build_force_field(config, SPECIES, NORMALIZATION, torch.float64, cutoffs)


def graph_of(atoms):
    return build_graph(atoms, R_MAX, SPECIES)


def energy_of(atoms):
    """What is left of each atom when there is nothing around."""
    return sum(SHIFTS[SPECIES.index(symbol)] for symbol in atoms.symbols)


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_energies_forces_and_virials_of_a_batch_without_edges(force_field, mode):
    graph = collate([graph_of(atoms) for atoms in LONE.values()])
    assert graph.edge_index.shape == (2, 0)
    found = force_field.train(mode == "train")(*graph.inputs)
    torch.testing.assert_close(found.energy, torch.tensor([energy_of(a) for a in LONE.values()]).double())
    assert found.forces.shape == graph.positions.shape
    assert found.virial.shape == graph.cell.shape
    assert (found.forces == 0.0).all()
    assert (found.virial == 0.0).all()
    assert torch.isfinite(found.descriptors).all()


def test_lone_atoms_do_not_disturb_the_others_of_their_batch(force_field):
    crystal = random_structure("triclinic")
    graph = collate([graph_of(atoms) for atoms in (LONE["free"], crystal, LONE["periodic"])])
    force_field.eval()
    together, alone = force_field(*graph.inputs), force_field(*graph_of(crystal).inputs)
    torch.testing.assert_close(together.energy[1:2], alone.energy, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(together.forces[1:-1], alone.forces, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(together.virial[1:2], alone.virial, rtol=1e-10, atol=1e-12)
    assert together.energy[[0, 2]].tolist() == pytest.approx([-1.0, 2.0], abs=1e-12)


@pytest.mark.parametrize("kind", LONE)
def test_a_loss_of_nothing_else_can_be_differentiated(force_field, kind):
    found = force_field(*graph_of(LONE[kind]).inputs)
    loss = (found.energy - 1.0).square().sum() + found.forces.square().sum() + found.virial.square().sum()
    loss.backward()
    gradients = [p.grad for p in force_field.parameters() if p.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_two_atoms_at_the_cutoff_join_without_a_step(force_field):
    inside = LONE["far apart"].copy()
    inside.positions[1, 2] = R_MAX - 1e-5
    graph = graph_of(inside)
    assert graph.edge_index.shape == (2, 2)
    found = force_field.eval()(*graph.inputs)
    assert found.energy.item() == pytest.approx(energy_of(inside), abs=1e-9)
    assert found.forces.abs().max() < 1e-6


@pytest.mark.parametrize(
    "pair_potential",
    [None, *(pytest.param(name, marks=pytest.mark.slow) for name in PAIR_POTENTIALS)],
    ids=str,
)
def test_ase_and_torchscript(tmp_path, architecture, pair_potential):
    torch.manual_seed(0)
    cutoffs = PAIR_CUTOFFS if pair_potential else None
    config = replace(architecture, pair_potential=pair_potential)
    weights = build_force_field(config, SPECIES, NORMALIZATION, torch.float64, cutoffs).state_dict()
    Potential(
        config=config,
        species=SPECIES,
        dtype="float64",
        normalization=NORMALIZATION,
        weights=weights,
        reference_structure=random_structure("triclinic"),
        trained_on_stress=True,
        pair_cutoffs=cutoffs,
    ).save(tmp_path / "random.mlip")
    deployed = deploy_potential(tmp_path / "random.mlip", tmp_path, device="cpu")
    for calculator in (MLIPCalculator(tmp_path / "random.mlip", "cpu"), MLIPCalculator(deployed, "cpu")):
        for structure in LONE.values():
            atoms = structure.copy()
            atoms.calc = calculator
            assert atoms.get_potential_energy() == pytest.approx(energy_of(atoms), abs=1e-12)
            assert (atoms.get_forces() == 0.0).all()
            if atoms.pbc.all():
                np.testing.assert_array_equal(atoms.get_stress(), np.zeros(6))
