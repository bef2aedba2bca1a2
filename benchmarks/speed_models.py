"""What `speed.py` computes: architectures with one set of weights, in ours and nequip's; cells of Li3PO4."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from ase import Atoms
from ase.spacegroup import crystal

from mlip.data.graph import Graph, build_graph, collate
from mlip.deploy import Potential
from mlip.interop.allegro_weights import allegro_weights
from mlip.interop.nequip_weights import nequip_weights
from mlip.models.allegro import AllegroConfig
from mlip.models.build import build_force_field
from mlip.models.config import ModelConfig
from mlip.models.nequip import NequIPConfig
from mlip.models.normalization import Normalization
from mlip.nn.derivatives import ForceField

SPECIES = ("Li", "O", "P")
DENSITY = 0.101  # atoms per A^3
NUM_NEIGHBORS = 50.0
FRAME_ATOMS = 64  # of each structure in a batch

_NEQUIP = {"num_layers": 4, "l_max": 2, "parity": False, "num_features": 32, "r_max": 5.0}
_ALLEGRO = {"num_layers": 2, "l_max": 2, "parity": False, "num_scalar_features": 64, "r_max": 5.0}
MODELS: dict[str, dict[str, Any]] = {
    "2x32": _NEQUIP | {"num_layers": 2},
    "4x32": _NEQUIP,
    "4x64": _NEQUIP | {"num_features": 64},
    "4x16": _NEQUIP | {"num_features": 16},
    "4x32 l1": _NEQUIP | {"l_max": 1},
    "4x32 l3": _NEQUIP | {"l_max": 3},
    "4x32 parity": _NEQUIP | {"parity": True},
    "4x32 r4": _NEQUIP | {"r_max": 4.0},
    "4x32 r7": _NEQUIP | {"r_max": 7.0},
    "allegro 32": _ALLEGRO | {"num_tensor_features": 32},
    "allegro 64": _ALLEGRO | {"num_tensor_features": 64},
    "tiny": _NEQUIP | {"num_layers": 2, "l_max": 1, "num_features": 4, "r_max": 4.0},
    "tiny allegro": _ALLEGRO | {"num_tensor_features": 4, "num_scalar_features": 8, "r_max": 4.0},
}


def config_of(model: str) -> ModelConfig:
    """Our config of a model; the radial network of NequIP has one hidden layer of 128, as by default."""
    return (AllegroConfig if "allegro" in model else NequIPConfig)(**MODELS[model])


def build_ours(model: str) -> ForceField:
    """Ours in plain torch and float32, with the weights that nequip draws from its seed."""
    config = config_of(model)
    rename = allegro_weights if isinstance(config, AllegroConfig) else nequip_weights
    count = len(SPECIES)
    normalization = Normalization(
        avg_num_neighbors=(NUM_NEIGHBORS,) * count,
        energy_scales=(1.0,) * count,
        energy_shifts=(0.0,) * count,
        edge_cutoffs=config.edge_cutoffs(SPECIES),
    )
    force_field = build_force_field(config, SPECIES, normalization, torch.float32)
    state = build_nequip(model, "eager").state_dict()
    names = {name.removeprefix("model.func."): tensor for name, tensor in state.items()}
    force_field.load_state_dict(rename(names, config))
    return force_field


def build_nequip(model: str, compile_mode: str) -> Any:
    """nequip's `GraphModel`; `compile_mode` is "eager" or "compile" (`torch.compile` at the first call)."""
    from allegro.model import AllegroModel
    from nequip.model import NequIPGNNModel

    numbers = MODELS[model] | {
        "seed": 1,
        "model_dtype": "float32",
        "compile_mode": compile_mode,
        "type_names": list(SPECIES),
        "avg_num_neighbors": NUM_NEIGHBORS,
        "per_type_energy_scales": dict.fromkeys(SPECIES, 1.0),
        "per_type_energy_shifts": dict.fromkeys(SPECIES, 0.0),
    }
    with nequip_state():
        if "allegro" not in model:
            return NequIPGNNModel(**numbers)
        config = config_of(model)
        perceptrons = ("scalar_embed_mlp", "allegro_mlp", "readout_mlp")
        widths = ("hidden_layers_depth", "hidden_layers_width", "nonlinearity")
        numbers |= {name: getattr(config, name) for p in perceptrons for w in widths for name in [f"{p}_{w}"]}
        embedding = {"_target_": "allegro.nn.TwoBodyBesselScalarEmbed", "num_bessels": config.num_bessels}
        return AllegroModel(**numbers, radial_chemical_embed=embedding)


@contextmanager
def nequip_state() -> Iterator[None]:
    """float64 by default, as nequip's own programs have it; ours sees torch's default."""
    before = torch.get_default_dtype()
    try:
        set_up_nequip()
        torch.set_default_dtype(torch.float64)
        yield
    finally:
        torch.set_default_dtype(before)


@cache
def set_up_nequip() -> None:
    """What nequip's programs set once: no TF32, its seed."""
    from nequip.utils.global_state import set_global_state

    set_global_state()


@cache
def unit_cell() -> Atoms:
    """beta-Li3PO4, 16 atoms, scaled to `DENSITY`.

    Source: Materials Project mp-13725; space group Pmn2_1.
    """
    basis = [
        (0.2485, 0.3285, 0.9860),
        (0.0, 0.1570, 0.4890),
        (0.2087, 0.6859, 0.8983),
        (0.0, 0.1057, 0.8983),
        (0.0, 0.8137, 0.3212),
        (0.0, 0.8243, 0.0),
    ]
    cell = [6.115, 5.239, 4.855, 90, 90, 90]
    atoms = crystal(["Li", "Li", "O", "O", "O", "P"], basis, spacegroup=31, cellpar=cell)
    scale = (len(atoms) / atoms.get_volume() / DENSITY) ** (1.0 / 3.0)
    atoms.set_cell(atoms.cell * scale, scale_atoms=True)
    return atoms


def build_cell(num_atoms: int, seed: int = 0) -> Atoms:
    """A periodic cell of at least so many atoms, as near to a cube as can be, each displaced by 0.05 A."""
    unit = unit_cell()
    repeats, lengths = [1, 1, 1], unit.cell.lengths()
    while 16 * repeats[0] * repeats[1] * repeats[2] < num_atoms:
        shortest = min(range(3), key=lambda axis: repeats[axis] * lengths[axis])
        repeats[shortest] += 1
    atoms = unit * repeats
    atoms.rattle(0.05, seed=seed)
    return atoms


def random_potential(model: str) -> Potential:
    """A potential in float32 with random weights and small forces, so that a crystal stays one."""
    config = config_of(model)
    torch.manual_seed(0)
    count = len(SPECIES)
    normalization = Normalization(
        (NUM_NEIGHBORS,) * count, (0.1,) * count, (0.0,) * count, config.edge_cutoffs(SPECIES)
    )
    force_field = build_force_field(config, SPECIES, normalization, torch.float32)
    return Potential(
        config, SPECIES, "float32", normalization, force_field.state_dict(), build_cell(64), True
    )


def one_graph(num_atoms: int, r_max: float) -> Graph:
    """One cell of `build_cell`."""
    return build_graph(build_cell(num_atoms), r_max, SPECIES)


def batch_graph(num_atoms: int, r_max: float) -> Graph:
    """A batch of structures of 64 atoms, at least two: nequip compiles nothing for one."""
    count = max(2, num_atoms // FRAME_ATOMS)
    return collate([build_graph(build_cell(FRAME_ATOMS, seed), r_max, SPECIES) for seed in range(count)])
