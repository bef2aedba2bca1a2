"""`torch.export` of a force field, forces included: what ahead-of-time compilers start from."""

import torch
from torch.export import Dim, ExportedProgram

from mlip.models.grade import ExtrapolationGrade
from mlip.nn.derivatives import ForceField, Prediction
from mlip.nn.tracing import sample_inputs, trace


def export_program(force_field: ForceField, grade: ExtrapolationGrade | None = None) -> ExportedProgram:
    """Export a force field as one graph of tensor operations for any number of atoms, edges and structures.

    Args:
        force_field: In evaluation mode, its parameters without gradients.
        grade: Of the same weights and on the same device, for the grade of each atom; None for no grade.

    Returns:
        A program that takes what a `ForceField` takes and returns a `Prediction`'s fields in their order, and
        the grades (N,) where asked for.
    """
    inputs = sample_inputs(next(force_field.parameters()).device)

    def predict(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        prediction: Prediction = force_field(*tensors)
        if grade is None:
            return tuple(prediction)
        species = tensors[1]
        return (*prediction, grade(prediction.descriptors, species))

    atoms, edges, structures = Dim("atoms"), Dim("edges"), Dim("structures")
    sizes = ({0: atoms}, {0: atoms}, {1: edges}, {0: edges}, {0: structures}, {0: atoms})
    return torch.export.export(trace(predict, inputs), inputs, dynamic_shapes=sizes)
