"""The loss against numbers worked out by hand."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from mlip.data.graph import build_graph, collate, label_graph
from mlip.errors import ConfigError
from mlip.nn.derivatives import Prediction
from train.losses import HuberLoss, SquaredLoss

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
        descriptors=torch.zeros(len(target.positions), 1, dtype=torch.float64),
        edge_gradient=torch.zeros(target.edge_index.shape[1], 3, dtype=torch.float64),
    )


def test_energy_counts_per_atom_and_every_frame_the_same():
    target = batch_of(frame(2, -3.0), frame(4, -7.0))
    loss, terms = SquaredLoss(energy=3.0, forces=0.0).compute(prediction(target, [0.2, -1.2]), target)
    assert terms["energy"].item() == pytest.approx((0.1**2 + 0.3**2) / 2)
    assert loss.item() == pytest.approx(3.0 * terms["energy"].item())


def test_forces_count_components_and_every_atom_the_same():
    target = batch_of(frame(1, 0.0), frame(3, 0.0))
    off = torch.zeros(4, 3, dtype=torch.float64)
    off[0, 1] = 0.6
    loss, terms = SquaredLoss(energy=0.0, forces=2.0).compute(prediction(target, forces=off), target)
    assert terms["forces"].item() == pytest.approx(0.6**2 / 12)
    assert loss.item() == pytest.approx(2.0 * 0.6**2 / 12)


def test_stress_is_a_virial_per_atom_of_the_opposite_sign():
    stress = np.array([0.01, 0.02, 0.03, 0.0, 0.0, 0.005])
    target = batch_of(frame(4, 0.0, stress))
    full = torch.tensor([[0.01, 0.005, 0], [0.005, 0.02, 0], [0, 0, 0.03]], dtype=torch.float64)
    perfect = -VOLUME * full.unsqueeze(0)
    only_stress = SquaredLoss(energy=0.0, forces=0.0, stress=5.0)
    assert only_stress.compute(prediction(target, virial=perfect), target)[0].item() == pytest.approx(0.0)
    off = perfect.clone()
    off[0, 2, 2] += 0.8
    loss, terms = only_stress.compute(prediction(target, virial=off), target)
    assert terms["stress"].item() == pytest.approx((0.8 / 4) ** 2 / 9)
    assert loss.item() == pytest.approx(5.0 * (0.8 / 4) ** 2 / 9)


def test_frames_without_stress_have_no_part_in_it():
    target = batch_of(frame(2, 0.0), frame(2, 0.0, np.zeros(6)), frame(5, 0.0))
    virial = torch.full((3, 3, 3), 7.0, dtype=torch.float64)
    virial[1] = 0.0
    _, terms = SquaredLoss().compute(prediction(target, virial=virial), target)
    assert terms["stress"].item() == 0.0
    without = batch_of(frame(2, 0.0))
    assert "stress" not in SquaredLoss().compute(prediction(without), without)[1]


@pytest.mark.parametrize("weights", [{"forces": -1.0}, {"energy": 0.0, "forces": 0.0, "stress": 0.0}])
def test_weights_that_make_no_sense_are_refused(weights):
    with pytest.raises(ConfigError, match="loss weights"):
        SquaredLoss(**weights)


def test_the_energy_may_weigh_more_and_more():
    loss = SquaredLoss(energy=2.0, forces=3.0, stress=4.0, final_energy=200.0)
    assert loss.weights(0.0) == {"energy": 2.0, "forces": 3.0, "stress": 4.0}
    assert loss.weights(0.5)["energy"] == pytest.approx(20.0)
    assert loss.weights(1.0)["energy"] == pytest.approx(200.0)
    assert SquaredLoss(energy=2.0).weights(0.7)["energy"] == 2.0
    target = batch_of(frame(2, -3.0))
    halfway, _ = loss.compute(prediction(target, [0.2]), target, progress=0.5)
    assert halfway.item() == pytest.approx(20.0 * 0.1**2)
    validated, _ = loss.compute(prediction(target, [0.2]), target)
    assert validated.item() == pytest.approx(200.0 * 0.1**2)


def test_large_errors_count_linearly_in_hubers_loss():
    target = batch_of(frame(2, -3.0), frame(2, -3.0))
    huber = HuberLoss(energy=3.0, forces=0.0, energy_delta=0.05)
    loss, terms = huber.compute(prediction(target, [0.08, -0.6]), target)  # 0.04 and 0.3 eV/atom
    assert loss.item() == pytest.approx(3.0 * (0.04**2 / 2 + 0.05 * (0.3 - 0.025)) / 2)
    assert terms["energy"].item() == pytest.approx((0.04**2 + 0.3**2) / 2)  # errors are reported as they are


def test_hubers_delta_may_depend_on_the_force():
    """Forces of the frame are sqrt(14) eV/A: 3.74."""
    target = batch_of(frame(1, 0.0))
    off = torch.tensor([[0.3, 0.0, -0.02]], dtype=torch.float64)
    for deltas, delta in (
        (0.1, 0.1),
        ([[0.0, 0.1], [3.7, 0.05]], 0.05),
        ([[0.0, 0.1], [3.8, 0.05]], 0.1),
        ([[3.8, 0.01], [3.7, 0.07], [0.0, 0.1]], 0.07),
    ):
        loss, _ = HuberLoss(energy=0.0, forces=2.0, forces_delta=deltas).compute(
            prediction(target, forces=off), target
        )
        assert loss.item() == pytest.approx(2.0 * (delta * (0.3 - delta / 2) + 0.02**2 / 2) / 3)


def test_hubers_virial_has_a_delta_of_its_own():
    target = batch_of(frame(4, 0.0, np.zeros(6)))
    virial = torch.zeros(1, 3, 3, dtype=torch.float64)
    virial[0, 0, 0], virial[0, 1, 1] = 0.8, 0.04
    huber = HuberLoss(energy=0.0, forces=0.0, stress=1.0, stress_delta=0.03)
    loss, _ = huber.compute(prediction(target, virial=virial), target)
    assert loss.item() == pytest.approx((0.03 * (0.2 - 0.015) + 0.01**2 / 2) / 9)


@pytest.mark.parametrize(
    "loss", [SquaredLoss(energy=2.0), HuberLoss(energy=2.0, forces_delta=[[0.0, 0.3], [3.7, 0.1]])], ids=str
)
def test_gradients_of_the_loss_are_its_slope(loss):
    target = batch_of(frame(2, -3.0, np.full(6, 0.01)), frame(3, -2.0))
    generator = torch.Generator().manual_seed(0)

    def value(energy, forces, virial):
        predicted = Prediction(energy, torch.zeros(5), forces, virial, torch.zeros(5, 1), torch.zeros(0, 3))
        return loss.compute(predicted, target)[0]

    shapes = (target.energy, target.forces, target.cell)
    points = [
        (0.3 * torch.randn(like.shape, generator=generator, dtype=torch.float64)).requires_grad_()
        for like in shapes
    ]
    assert torch.autograd.gradcheck(value, points)


def test_losses_are_those_of_nequip():
    nequip = pytest.importorskip("nequip.train")
    target = batch_of(frame(2, -3.0), frame(3, -2.0))
    off = torch.linspace(-0.3, 0.3, 15, dtype=torch.float64).view(5, 3)
    predicted = prediction(target, [0.05, -0.4], forces=off)
    stratified = nequip.StratifiedHuberForceLoss({0.0: 0.05, 3.7: 0.02})(predicted.forces, target.forces)
    per_atom = (predicted.energy / target.num_atoms, target.energy / target.num_atoms)
    energy = nequip.HuberLoss(delta=0.03)(*per_atom)
    loss, _ = HuberLoss(
        energy=3.0, forces=2.0, energy_delta=0.03, forces_delta=[[0.0, 0.05], [3.7, 0.02]]
    ).compute(predicted, target)
    assert loss.item() == pytest.approx(3.0 * energy.item() + 2.0 * stratified.item(), rel=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"energy_delta": 0.0}, "deltas"),
        ({"forces_delta": -0.1}, "deltas"),
        ({"forces_delta": [[1.0, 0.1]]}, "beginning at 0"),
        ({"forces_delta": [[0.0, 0.1, 0.2]]}, "beginning at 0"),
        ({"forces_delta": []}, "beginning at 0"),
        ({"final_energy": 0.0}, "final_energy"),
        ({"energy": 0.0, "final_energy": 10.0}, "final_energy"),
    ],
)
def test_losses_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        HuberLoss(**settings)
