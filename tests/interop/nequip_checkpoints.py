"""Checkpoints that nequip's own Lightning modules write, with random weights: what `mlip import` must read."""

import copy
import warnings

import torch
from nequip_oracle import nequip_state
from structures import SPECIES

TYPE_NAMES = ("S", "Li", "P")  # not sorted, as a user may have them
LOSSES = {
    "forces": {"_target_": "nequip.train.EnergyForceLoss", "coeffs": {"total_energy": 1.0, "forces": 1.0}},
    "stress": {
        "_target_": "nequip.train.EnergyForceStressLoss",
        "coeffs": {"total_energy": 1.0, "forces": 1.0, "stress": 0.1},
    },
}
_EMBEDDINGS = {
    "bessel": ("num_bessels", "bessel_trainable", "polynomial_cutoff_p"),
    "spline": ("num_splines", "spline_span"),
}


def nequip_arguments(settings, dtype="float64", **others):
    """Our settings of a NequIP or an Allegro as the model section of a nequip configuration."""
    numbers = dict(settings)
    arguments = {"seed": 1, "model_dtype": dtype, "type_names": list(TYPE_NAMES)}
    if numbers.pop("pair_potential", None) == "zbl":
        arguments["pair_potential"] = {
            "_target_": "nequip.nn.pair_potential.ZBL",
            "units": "metal",
            "chemical_species": list(TYPE_NAMES),
        }
    if "num_tensor_features" in numbers:
        kind = numbers.pop("radial_chemical_embed", "bessel")
        embedding = {"_target_": f"allegro.nn.TwoBody{kind.title()}ScalarEmbed"}
        embedding |= {name: numbers.pop(name) for name in _EMBEDDINGS[kind] if name in numbers}
        arguments |= {"_target_": "allegro.model.AllegroModel", "radial_chemical_embed": embedding}
    else:
        arguments["_target_"] = "nequip.model.NequIPGNNModel"
    return arguments | numbers | others


def training_module(arguments, ema=False, loss="forces", seed=0):
    """A module of nequip's with random weights, as `nequip-train` makes it; its averages are other weights."""
    from nequip.train import EMALightningModule, NequIPLightningModule
    from nequip.utils import get_current_code_versions

    kind = EMALightningModule if ema else NequIPLightningModule
    section = {
        "model": arguments,
        "loss": LOSSES[loss],
        "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.01},
    }
    info = {
        "versions": get_current_code_versions(verbose=False),
        "training_module": {"_target_": f"nequip.train.{kind.__name__}", **section},
        "runs": ["train"],
        "data": {},
        "trainer": {},
    }
    with nequip_state(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        numbers = {"train": 1, "val": 1, "test": 0, "predict": 0}
        module = kind(**copy.deepcopy(section), num_datasets=numbers, info_dict=info)
    randomize(module.model.parameters(), seed)
    if ema:
        randomize(module.ema.ema_weights, seed + 1)
    return module


def randomize(parameters, seed):
    """Spread the weights; those that start at special values must not stay there."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in parameters:
        noise = torch.rand(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.data += (0.3 * (noise - 0.5)).to(parameter.dtype)


def save_checkpoint(module, path, epoch=7):
    """Write what Lightning writes."""
    import lightning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = lightning.Trainer(
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.strategy.connect(module)
        trainer.fit_loop.epoch_progress.current.completed = epoch
        trainer.save_checkpoint(path)
    return path


def evaluation_model(module):
    """The model that nequip would evaluate with."""
    return module.evaluation_model["sole_model"].eval()


def in_our_order(types):
    """Atom types of nequip's model from ours: species sorted by atomic number."""
    return torch.tensor([TYPE_NAMES.index(symbol) for symbol in SPECIES])[types]
