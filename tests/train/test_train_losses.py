"""The loss against numbers worked out by hand."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from mlip.data.graph import build_graph, collate, label_graph
from mlip.errors import ConfigError
from mlip.nn.derivatives import Prediction
from train.losses import LossWeights, compute_loss

VOLUME = 5.0 * 6.0 * 7.0


def frame(number, energy, stress=None):
    """`number` Li atoms in a box of 5 x 6 x 7 A, forces of 1, 2, 3 eV/A on each, and perhaps a stress."""
    atoms = Atoms(
        f"Li{number}", positions=np.arange(3 * number).reshape(-1, 3) * 1.1, cell=[5, 6, 7], pbc=True
    )
    labels = {"energy": energy, "forces": np.tile([1.0, 2.0, 3.0], (number, 1))}
    if stress is not None:
        labels["stress"] = stress
    atoms.calc = SinglePointCalculator(atoms, **labels)
    return atoms


def batch_of(*frames):
    return collate([label_graph(build_graph(atoms, 3.0, ("Li",)), atoms) for atoms in frames])


def prediction(target, energy=None, forces=0.0, virial=None):
    zeros = torch.zeros(target.num_structures, 3, 3, dtype=torch.float64)
    return Prediction(
        energy=target.energy + torch.tensor(energy or [0.0] * target.num_structures, dtype=torch.float64),
        atomic_energies=torch.zeros(len(target.positions), dtype=torch.float64),
        forces=target.forces + forces,
        virial=zeros if virial is None else virial,
    )


def test_energy_counts_per_atom_and_every_frame_the_same():
    target = batch_of(frame(2, -3.0), frame(4, -7.0))
    loss, terms = compute_loss(LossWeights(energy=3.0, forces=0.0), prediction(target, [0.2, -1.2]), target)
    assert terms["energy"].item() == pytest.approx((0.1**2 + 0.3**2) / 2)
    assert loss.item() == pytest.approx(3.0 * terms["energy"].item())


def test_forces_count_components_and_every_atom_the_same():
    target = batch_of(frame(1, 0.0), frame(3, 0.0))
    off = torch.zeros(4, 3, dtype=torch.float64)
    off[0, 1] = 0.6
    loss, terms = compute_loss(LossWeights(energy=0.0, forces=2.0), prediction(target, forces=off), target)
    assert terms["forces"].item() == pytest.approx(0.6**2 / 12)
    assert loss.item() == pytest.approx(2.0 * 0.6**2 / 12)


def test_stress_is_a_virial_per_atom_of_the_opposite_sign():
    stress = np.array([0.01, 0.02, 0.03, 0.0, 0.0, 0.005])
    target = batch_of(frame(4, 0.0, stress))
    full = torch.tensor([[0.01, 0.005, 0], [0.005, 0.02, 0], [0, 0, 0.03]], dtype=torch.float64)
    perfect = -VOLUME * full.unsqueeze(0)
    weights = LossWeights(energy=0.0, forces=0.0, stress=5.0)
    assert compute_loss(weights, prediction(target, virial=perfect), target)[0].item() == pytest.approx(0.0)
    off = perfect.clone()
    off[0, 2, 2] += 0.8
    loss, terms = compute_loss(weights, prediction(target, virial=off), target)
    assert terms["stress"].item() == pytest.approx((0.8 / 4) ** 2 / 9)
    assert loss.item() == pytest.approx(5.0 * (0.8 / 4) ** 2 / 9)


def test_frames_without_stress_have_no_part_in_it():
    target = batch_of(frame(2, 0.0), frame(2, 0.0, np.zeros(6)), frame(5, 0.0))
    virial = torch.full((3, 3, 3), 7.0, dtype=torch.float64)
    virial[1] = 0.0
    _, terms = compute_loss(LossWeights(), prediction(target, virial=virial), target)
    assert terms["stress"].item() == 0.0
    assert "stress" not in compute_loss(LossWeights(), *[prediction(t := batch_of(frame(2, 0.0))), t])[1]


@pytest.mark.parametrize("weights", [{"forces": -1.0}, {"energy": 0.0, "forces": 0.0, "stress": 0.0}])
def test_weights_that_make_no_sense_are_refused(weights):
    with pytest.raises(ConfigError, match="loss weights"):
        LossWeights(**weights)
