"""`torch.export` of a force field, forces included: what ahead-of-time compilers start from."""

import torch
from ase import Atoms
from torch.export import Dim, ExportedProgram
from torch.fx.experimental.proxy_tensor import make_fx

from mlip.data.graph import build_graph, collate
from mlip.models.grade import ExtrapolationGrade
from mlip.nn.derivatives import ForceField, Prediction


def export_program(force_field: ForceField, grade: ExtrapolationGrade | None = None) -> ExportedProgram:
    """Export a force field as one graph of tensor operations for any number of atoms, edges and structures.

    `torch.export` cannot see through the gradient that makes the forces, so the force field is traced
    together with its gradient first, with symbolic sizes.

    Args:
        force_field: In evaluation mode, its parameters without gradients.
        grade: Of the same weights and on the same device, for the grade of each atom; None for no grade.

    Returns:
        A program that takes what a `ForceField` takes and returns a `Prediction`'s fields in their order, and
        the grades (N,) where asked for.
    """
    device = next(force_field.parameters()).device
    inputs = tuple(tensor.to(device) for tensor in _sample_inputs())

    def predict(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        prediction: Prediction = force_field(*tensors)
        if grade is None:
            return tuple(prediction)
        species = tensors[1]
        return (*prediction, grade(prediction.descriptors, species))

    with torch.enable_grad():
        traced = make_fx(predict, tracing_mode="symbolic", _allow_non_fake_inputs=True)(*inputs)
    atoms, edges, structures = Dim("atoms"), Dim("edges"), Dim("structures")
    sizes = ({0: atoms}, {0: atoms}, {1: edges}, {0: edges}, {0: structures}, {0: atoms})
    return torch.export.export(traced, inputs, dynamic_shapes=sizes)


def _sample_inputs() -> tuple[torch.Tensor, ...]:
    """Two structures of different sizes, of the first species: sizes that no other dimension has."""
    pair = Atoms("H2", positions=[[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]], cell=[2.5, 9.0, 9.0], pbc=True)
    trimer = Atoms("H3", positions=[[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.9, 0.0, 0.0]])
    return collate([build_graph(atoms, 3.0, ("H",)) for atoms in (pair, trimer)]).inputs
