"""Checkpoints that the Lightning modules of nequip write, with random weights, for `mlip import` to read."""

import copy
import warnings

import torch
from nequip_oracle import nequip_state
from structures import SPECIES

from mlip.data.graph import build_graph

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
    """A module of nequip's with random weights, as `nequip-train` makes it; averages are other weights."""
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


def save_checkpoint(module, path):
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
        trainer.save_checkpoint(path)
    return path


def evaluation_model(module):
    """The model that nequip would evaluate with."""
    return module.evaluation_model["sole_model"].eval()


def in_our_order(types):
    """Atom types of nequip's model from ours: species sorted by atomic number."""
    return torch.tensor([TYPE_NAMES.index(symbol) for symbol in SPECIES])[types]


def load_with_nequip(path):
    """nequip's own reading of a checkpoint: a function from periodic atoms to its dictionary of numbers."""
    from nequip.model import ModelFromCheckpoint

    with nequip_state(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = ModelFromCheckpoint(str(path))["sole_model"].eval()

    def evaluate(atoms):
        graph = build_graph(atoms, float(model.metadata["r_max"]), model.type_names)
        return evaluate_nequip(model, graph, atoms.pbc, graph.species)

    return evaluate


def evaluate_nequip(model, graph, pbc, types):
    """nequip's numbers on a graph; no edge is dropped beforehand.

    Args:
        model: One of nequip's.
        graph: A structure and its edges.
        pbc: Of the structure.
        types: (N,) index into nequip's types.
    """
    periodic = bool(graph.cell.any())
    return model(
        {
            "pos": graph.positions,
            "edge_index": graph.edge_index,
            "edge_cell_shift": graph.edge_shift,
            "cell": graph.cell if periodic else torch.eye(3, dtype=torch.float64).unsqueeze(0),
            "pbc": torch.tensor(pbc).view(1, 3),
            "atom_types": types,
            "batch": graph.batch,
            "num_atoms": graph.num_atoms,
        }
    )
