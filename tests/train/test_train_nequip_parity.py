"""Our training against nequip's: initial weights of the same distribution, the same numbers step by step."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp

from mlip.data.graph import build_graph, collate, label_graph
from mlip.data.read import read_frames
from mlip.interop.nequip_weights import nequip_weights
from mlip.models.build import build_force_field
from mlip.models.nequip import NequIPConfig
from mlip.models.normalization import Normalization
from train.averaging import WarmedAverage
from train.losses import SquaredLoss
from train.module import ForceFieldModule
from train.optimizers import Adam

nequip_train = pytest.importorskip("nequip.train")

SPECIES = ("Li", "P", "S")
R_MAX, NEIGHBORS, SCALE, SHIFT = 4.0, 12.5, 0.6, -4.3
STEPS = 6
NORMALIZATION = Normalization((NEIGHBORS,) * 3, (SCALE,) * 3, (SHIFT,) * 3, ((R_MAX,) * 3,) * 3)


def settings_of(width, parity):
    """Numbers of the architecture by the names that both packages share."""
    return {
        "r_max": R_MAX,
        "num_layers": 3,
        "l_max": 2,
        "parity": parity,
        "num_features": width,
        "radial_mlp_depth": 2,
        "radial_mlp_width": width,
        "readout_mlp_hidden_layers_depth": 1,
    }


def theirs_of(settings, dtype):
    """The Lightning module of `nequip-train`; torch's default dtype, which nequip sets, is put back."""
    from nequip.utils.global_state import set_global_state

    before = torch.get_default_dtype()
    try:
        set_global_state()
        return nequip_train.EMALightningModule(
            ema_decay=0.99,
            num_datasets={"train": 1, "val": 1, "test": 0, "predict": 0},
            loss={"_target_": "nequip.train.EnergyForceLoss"},
            model={
                "_target_": "nequip.model.NequIPGNNModel",
                "seed": 1,
                "model_dtype": dtype,
                "type_names": list(SPECIES),
                "avg_num_neighbors": NEIGHBORS,
                "per_type_energy_scales": SCALE,
                "per_type_energy_shifts": SHIFT,
                **settings,
            },
        )
    finally:
        torch.set_default_dtype(before)


def weights_of(module, config):
    """nequip's weights under our names."""
    prefix = "model.sole_model.model.func."
    state = {k.removeprefix(prefix): v for k, v in module.state_dict().items() if k.startswith(prefix)}
    return nequip_weights(state, config)


@pytest.mark.parametrize("parity", [True, False])
def test_initial_weights_have_nequips_distribution(parity):
    """Every tensor by itself: a wrong width or shape of its distribution is seen."""
    settings = settings_of(24, parity)
    config = NequIPConfig(**settings)
    torch.manual_seed(2)
    ours = build_force_field(config, SPECIES, NORMALIZATION, torch.float32)
    theirs = weights_of(theirs_of(settings, "float32"), config)
    for name, weight in ours.named_parameters():
        if weight.requires_grad:
            mine, other = weight.detach().numpy().ravel(), theirs[name].numpy().ravel()
            assert mine.size == other.size, name
            assert ks_2samp(mine, other).pvalue > 1e-3, name
            assert np.std(mine) == pytest.approx(np.std(other), rel=6 / np.sqrt(mine.size)), name


def batches():
    """Twelve frames, two a step."""
    frames = read_frames("dataset:lips/small_20.extxyz")[: 2 * STEPS]
    graphs = [label_graph(build_graph(frame, R_MAX, SPECIES), frame) for frame in frames]
    return [collate(graphs[k : k + 2]) for k in range(0, len(graphs), 2)]


def as_nequip(graph):
    return {
        "pos": graph.positions,
        "edge_index": graph.edge_index,
        "edge_cell_shift": graph.edge_shift,
        "cell": graph.cell,
        "pbc": torch.ones(graph.num_structures, 3, dtype=torch.bool),
        "atom_types": graph.species,
        "batch": graph.batch,
        "num_atoms": graph.num_atoms,
        "total_energy": graph.energy.view(-1, 1),
        "forces": graph.forces,
    }


def test_steps_of_training_are_those_of_nequip():
    """Loss, gradient, optimizer and averaged weights, in float64 from the same weights: equal to rounding."""
    settings = settings_of(4, parity=False)
    config = NequIPConfig(**settings)
    theirs = theirs_of(settings, "float64")
    ours = build_force_field(config, SPECIES, NORMALIZATION, torch.float64)
    ours.load_state_dict(weights_of(theirs, config))
    theirs_adam = torch.optim.AdamW(theirs.model.parameters(), lr=0.01, weight_decay=0.0)
    module = ForceFieldModule(ours, SquaredLoss(energy=0.5, forces=0.5), Adam(lr=0.01), STEPS)
    adam = module.optimizer.build(module.parameters())
    average = WarmedAverage(decay=0.99)
    average.setup(None, module, "fit")
    for step, graph in enumerate(batches()):
        theirs_adam.zero_grad()
        target = as_nequip(graph)
        theirs_loss = theirs.loss(theirs(target.copy()), target)["weighted_sum"]
        theirs_loss.backward()
        theirs_adam.step()
        theirs.ema.update_parameters(theirs.model)
        adam.zero_grad()
        loss, _ = module.loss.compute(module(graph), graph)
        loss.backward()
        adam.step()
        average.on_train_batch_end(SimpleNamespace(global_step=step + 1), module, None, None, step)
        assert loss.item() == pytest.approx(theirs_loss.item(), rel=1e-10), step
    assert_same_weights(ours, weights_of(theirs, config))
    theirs.ema.swap_parameters(theirs.model)
    average.on_train_end(None, module)
    assert_same_weights(ours, weights_of(theirs, config))


def assert_same_weights(ours, expected):
    for name, weight in ours.named_parameters():
        torch.testing.assert_close(weight.detach(), expected[name], rtol=0, atol=1e-9)
