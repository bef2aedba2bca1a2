"""The engines that `speed.py` compares: from a name to a function that makes a step for a graph.

An engine maps a graph to a step; what does not belong to the step (copies to the device, nequip's dictionary)
happens there. A step takes no arguments and returns its `Result`; calling it is what is timed. Inference
gives energy, forces and stress or virial. Training gives the loss of energies and forces and all gradients of
the weights; the optimizer's step, the same for all, is left out.
"""

import logging
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
from speed_compile import load_package
from speed_models import build_nequip, build_ours, nequip_state
from torch import Tensor, nn

from mlip.data.graph import Graph
from mlip.nn.kernels.choose import resolve_kernel, use_kernel

OURS = {
    "reference": ("reference", "exact"),
    "compiled": ("compiled", "exact"),
    "cpp": ("cpp", "exact"),
    "cpp table": ("cpp", "table"),
    "triton": ("triton", "exact"),
    "triton table": ("triton", "table"),
}
# Other people's kernels in nequip's models, for the GPU: theirs of the convolution and of Allegro's product.
MODIFIERS = {"nequip": "enable_OpenEquivariance", "allegro": "enable_TritonContracter"}
THEIRS = ("nequip", "nequip compiled", "nequip accelerated")
DEFAULTS = {
    ("cpu", "inference"): ("nequip compiled", "cpp", "cpp table", "reference", "nequip"),
    ("cpu", "training"): ("nequip compiled", "cpp", "reference", "nequip"),
    ("cuda", "inference"): ("nequip compiled", "nequip accelerated", "triton", "triton table", "reference"),
    ("cuda", "training"): ("nequip compiled", "nequip accelerated", "triton", "reference"),
}

logger = logging.getLogger(__name__)


class Result(NamedTuple):
    """What a step found: energies (B,), forces (N, 3) and, of training, the norm of all gradients."""

    energy: Tensor
    forces: Tensor
    gradient_norm: float | None = None


Step = Callable[[], Result]
Engine = Callable[[Graph], Step]


def default_engines(device: str, task: str) -> list[str]:
    """Engines that are compared if none are named; OpenEquivariance where it is installed."""
    has_kernels = find_spec("openequivariance") is not None
    return [e for e in DEFAULTS[device, task] if e != "nequip accelerated" or has_kernels]


def build_engine(engine: str, model: str, task: str, device: str) -> Engine:
    """An engine for one model; torch's number of threads must be what it will be."""
    if engine in OURS:
        return build_our_engine(engine, model, task, device)
    if engine == "nequip compiled" and task == "inference":
        return package_engine(load_package(model, device), device)
    if engine == "nequip accelerated" and task == "inference":
        return package_engine(load_package(model, device, modifier_of(model)), device)
    return build_their_engine(engine, model, task, device)


def modifier_of(model: str) -> str:
    """The name by which nequip puts the accelerated kernel into a model."""
    return MODIFIERS["allegro" if "allegro" in model else "nequip"]


def build_our_engine(engine: str, model: str, task: str, device: str) -> Engine:
    """One of our back ends."""
    training = task == "training"
    force_field = build_ours(model).train(training)
    if not training:
        force_field.requires_grad_(False)
    kernel, radial = OURS[engine]
    force_field = use_kernel(force_field, resolve_kernel(kernel, torch.device(device)), radial).to(device)
    trained = [parameter for parameter in force_field.parameters() if parameter.requires_grad]

    def prepare(graph: Graph) -> Step:
        graph = graph.to(device)
        num_atoms = graph.num_atoms

        def step() -> Result:
            force_field.zero_grad()
            prediction = force_field(*graph.inputs)
            if not training:
                return Result(prediction.energy, prediction.forces)
            # As `mlip train` does; backward() would add the second derivatives by edges, which nobody reads.
            loss_of(prediction.energy, prediction.forces, num_atoms).backward(inputs=trained)
            norm = gradient_norm(force_field)
            return Result(prediction.energy.detach(), prediction.forces.detach(), norm)

        return step

    return prepare


def build_their_engine(engine: str, model: str, task: str, device: str) -> Engine:
    """nequip's model in plain torch, or as its trainer compiles it."""
    from nequip.model.modify_utils import modify

    training = task == "training"
    theirs = build_nequip(model, "eager" if engine == "nequip" else "compile")
    if engine == "nequip accelerated":
        theirs = modify(theirs, [{"modifier": modifier_of(model)}])
    theirs = theirs.to(device).train(training)
    if not training:
        theirs.requires_grad_(False)

    def prepare(graph: Graph) -> Step:
        data = dictionary_of(graph.to(device))

        def step() -> Result:
            with nequip_state():
                if training:
                    theirs.zero_grad()
                output = theirs(data.copy())
                energy, forces = output["total_energy"].view(-1), output["forces"]
                if not training:
                    return Result(energy, forces)
                loss_of(energy, forces, data["num_atoms"]).backward()
                return Result(energy.detach(), forces.detach(), gradient_norm(theirs))

        return step

    return prepare


def package_engine(package: nn.Module, device: str) -> Engine:
    """A package of nequip's AOTInductor export, for one structure."""

    def prepare(graph: Graph) -> Step:
        data = dictionary_of(graph.to(device))

        def step() -> Result:
            with nequip_state():
                output = package(data)
                return Result(output["total_energy"].view(-1), output["forces"])

        return step

    return prepare


def dictionary_of(graph: Graph) -> dict[str, Any]:
    """A graph of periodic structures as nequip's models read it."""
    return {
        "pos": graph.positions,
        "edge_index": graph.edge_index,
        "edge_cell_shift": graph.edge_shift,
        "cell": graph.cell,
        "atom_types": graph.species,
        "batch": graph.batch,
        "num_atoms": graph.num_atoms,
    }


def loss_of(energy: Tensor, forces: Tensor, num_atoms: Tensor) -> Tensor:
    """Mean squares of energies per atom and of forces, against labels that are zero."""
    return (energy / num_atoms).square().mean() + forces.square().mean()


def gradient_norm(module: nn.Module) -> float:
    """Root of the sum of squares of all gradients: also waits for the device."""
    norms = [p.grad.norm() for p in module.parameters() if p.grad is not None]
    return float(torch.stack(norms).double().norm())
