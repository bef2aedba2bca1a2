"""Frames with a force mask: their core alone trains, no energy, no stress; others are as they were."""

import ase.io
import numpy as np
import pytest
import torch
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from mlip.data.dataset import GraphDataset, data_hash
from mlip.data.graph import collate
from mlip.data.labels import FORCE_MASK
from mlip.data.preflight import run_preflight
from mlip.data.statistics import compute_statistics
from mlip.errors import DataError
from mlip.models.nequip import NequIPConfig
from mlip.nn.derivatives import Prediction
from train.data import DataConfig, load_training_data
from train.losses import HuberLoss, SquaredLoss
from train.metrics import FrameErrors, compute_errors


def labelled(seed, masked=False, wrong=0.0):
    atoms = bulk("Cu", cubic=True).repeat((2, 1, 1))
    atoms.rattle(0.1, seed=seed)
    atoms.calc = EMT()
    energy, forces, stress = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
    if masked:
        atoms.arrays[FORCE_MASK] = np.arange(len(atoms)) < 3
        energy, stress = energy + wrong, stress + wrong
        forces[3:] += wrong
    atoms.calc = SinglePointCalculator(atoms, energy=energy, free_energy=energy, forces=forces, stress=stress)
    return atoms


def prediction(graph, generator):
    leaves = {
        "energy": torch.randn(graph.num_structures, generator=generator, dtype=torch.float64),
        "forces": torch.randn(graph.forces.shape, generator=generator, dtype=torch.float64),
        "virial": torch.randn(graph.stress.shape, generator=generator, dtype=torch.float64),
    }
    for leaf in leaves.values():
        leaf.requires_grad_()
    others = {name: None for name in Prediction._fields if name not in leaves}
    return Prediction(**leaves, **others)


@pytest.mark.parametrize(
    "loss", [SquaredLoss(), HuberLoss(), HuberLoss(forces_delta=[[0.0, 0.01], [1.0, 0.005]])]
)
def test_what_is_masked_has_no_part_in_the_loss(loss):
    values, gradients = [], []
    for wrong in (0.0, 100.0):
        data = GraphDataset([labelled(0), labelled(1, masked=True, wrong=wrong), labelled(2)], 4.0)
        batch = collate([data[k] for k in range(3)])
        predicted = prediction(batch, torch.Generator().manual_seed(0))
        value, terms = loss.compute(predicted, batch)
        value.backward()
        values.append(value.item())
        gradients.append([predicted.energy.grad, predicted.forces.grad, predicted.virial.grad])
        assert terms.keys() == {"energy", "forces", "stress"}
    assert values[0] == values[1]
    energy, forces, virial = gradients[1]
    assert (energy != 0).tolist() == [True, False, True]
    trained = torch.ones(24, dtype=torch.bool)
    trained[8 + 3 : 16] = False
    assert torch.equal((forces != 0).all(dim=1), trained)
    assert bool((virial[1] == 0).all())
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_mean_of_the_forces_is_over_those_that_count():
    data = GraphDataset([labelled(1, masked=True, wrong=7.0)], 4.0)
    predicted = prediction(data[0], torch.Generator().manual_seed(1))
    value, terms = SquaredLoss().compute(predicted, data[0])
    expected = (predicted.forces[:3] - data[0].forces[:3]).square().mean()
    assert terms.keys() == {"forces"}
    assert value.item() == pytest.approx(expected.item())


def test_statistics_and_preflight_pass_over_what_is_masked():
    whole = [labelled(k) for k in range(4)]
    frames = [[*whole, labelled(9, masked=True, wrong=wrong)] for wrong in (0.0, 50.0)]
    first, second = (compute_statistics(GraphDataset(each, 4.0)) for each in frames)
    assert first.forces_rms == second.forces_rms
    assert first.isolated_energies == pytest.approx(second.isolated_energies)
    assert first.energy_residual_rms == second.energy_residual_rms
    preflight = run_preflight(frames[1])
    assert not preflight.errors
    assert "the forces on 3 of their 8 atoms train" in str(preflight)
    assert "Every frame has a force mask" in run_preflight(frames[1][-1:]).errors[0]


@pytest.mark.parametrize(("held_out", "purpose"), [("valid", "validate"), ("test", "test")])
def test_held_out_frames_need_energies(tmp_path, held_out, purpose):
    """Where all are pieces of larger frames, calibration and the table of errors would have nothing."""
    files = {"train": "whole.xyz", "valid": "whole.xyz", held_out: "pieces.xyz"}
    ase.io.write(tmp_path / "whole.xyz", [labelled(k) for k in range(4)], format="extxyz")
    pieces = [labelled(k, masked=True) for k in (8, 9)]
    ase.io.write(tmp_path / "pieces.xyz", pieces, format="extxyz")
    config = DataConfig(**{key: str(tmp_path / name) for key, name in files.items()})
    with pytest.raises(DataError, match=f"force_mask on each of the 2 frames that {purpose}"):
        load_training_data(config, NequIPConfig(r_max=4.0), 0, tmp_path)


def test_the_mask_is_part_of_what_identifies_the_data():
    frame = labelled(0, masked=True)
    other = frame.copy()
    other.calc = frame.calc
    other.arrays[FORCE_MASK] = np.arange(8) < 4
    assert data_hash([frame]) != data_hash([other])


def test_errors_count_what_is_labelled():
    forces = np.zeros((2, 2, 3))
    forces[1] = 1.0
    masked = forces.copy()
    masked[0, 1] = np.nan
    masked[1, 1] = 50.0
    frames = [
        FrameErrors("whole", ["Li", "O"], np.array([0.0, 0.5]), forces, None, np.zeros((2, 1))),
        FrameErrors("piece", ["Li", "P"], np.array([np.nan, 9.0]), masked, None, np.zeros((2, 1))),
    ]
    errors = compute_errors(frames)
    assert errors["energy"]["mae"] == 0.5
    assert errors["forces"]["max"] == 1.0
    assert errors["by_subset"]["piece"].keys() == {"forces", "num_frames"}
    assert errors["by_species"].keys() == {"Li", "O"}
