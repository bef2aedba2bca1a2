"""Compiles a force field by AOTInductor, ahead of time, into a file that nequip's readers and ours load."""

import logging
import time
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from mlip import fields
from mlip.deploy.kernels import ModelWithKernels, carry_kernels
from mlip.deploy.package import (
    INPUTS,
    KERNELS,
    KERNELS_RECORD,
    OUR_OUTPUTS,
    OUTPUTS,
    THEIR_INPUTS,
    THEIR_OUTPUTS,
    TORCH_VERSION,
    torch_version,
)
from mlip.deploy.torchscript import PairStyleModel, script_inside
from mlip.errors import ConfigError
from mlip.models.grade import ExtrapolationGrade
from mlip.nn.derivatives import ForceField
from mlip.nn.kernels.cpp.fakes import register_fakes
from mlip.nn.tracing import sample_inputs, trace

logger = logging.getLogger(__name__)

INDUCTOR = {
    # Otherwise the number of threads of this process would be that of every process that loads the file.
    "cpp.dynamic_threads": True,
    # Headers are compiled once for two files: not worth it.
    "aot_inductor.precompile_headers": False,
    "aot_inductor.compile_wrapper_opt_level": "O0",
}


def save_aotinductor(
    force_field: ForceField,
    metadata: Mapping[str, str],
    path: Path,
    grade: ExtrapolationGrade | None = None,
    reader: str = "ase",
    compiled_kernels: bool = False,
) -> None:
    """Compile a force field ahead of time and write it with its metadata.

    Args:
        force_field: In evaluation mode, on the device it will run on.
        metadata: All of `REQUIRED_METADATA`, and ours.
        path: Must end in `.nequip.pt2`.
        grade: Of the same weights and on the same device, to be returned for each atom; None for no grade.
        reader: The foreign reader that understands the file, `ase` or `lammps`; ours take either.
        compiled_kernels: Whether the force field has the modules of `kernel=cpp`; the file then carries these
            kernels, and only our own readers can use it.

    Raises:
        ConfigError: The model or its kernels cannot be compiled.
    """
    content = b""
    if compiled_kernels:
        register_fakes()
        content = script_inside(ModelWithKernels(_NoModel(), carry_kernels(force_field).kernels))
    outputs = output_names(reader, grade is not None)
    program = export_structure(force_field, grade, outputs)
    described = {
        **metadata,
        THEIR_INPUTS: " ".join(INPUTS),
        THEIR_OUTPUTS: " ".join(OUTPUTS[reader]),
        OUR_OUTPUTS: " ".join(outputs),
        TORCH_VERSION: torch_version(),
        **({KERNELS: KERNELS_RECORD} if compiled_kernels else {}),
    }
    sums_of_torch = next(force_field.parameters()).device.type == "cpu"
    _compile(program, described, path, sums_of_torch)
    if content:
        with zipfile.ZipFile(path, "a") as archive:
            folder = archive.namelist()[0].partition("/")[0]
            archive.writestr(f"{folder}/{KERNELS_RECORD}", content)


def _compile(program: ExportedProgram, metadata: dict[str, str], path: Path, sums_of_torch: bool) -> None:
    from torch._inductor.exc import CppCompileError, InductorError, InvalidCxxCompiler  # takes seconds

    logger.info("compiling the model ahead of time: this takes a minute or more")
    start = time.monotonic()
    configuration = {**INDUCTOR, "aot_inductor.metadata": metadata}
    try:
        with _sums_by(torch_itself=sums_of_torch), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch about torch
            torch._inductor.aoti_compile_and_package(
                program, package_path=str(path), inductor_configs=configuration
            )
    except (InductorError, CppCompileError, InvalidCxxCompiler) as error:
        raise ConfigError(
            f"Inductor cannot compile the model ({str(error).strip().splitlines()[0]}); "
            "expected a C++ compiler (see mlip doctor); or deploy with format=torchscript"
        ) from error
    logger.info("compiled in %.0f s", time.monotonic() - start)


class _NoModel(nn.Module):
    """What stands for the model where only the kernels are carried."""

    def forward(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        """Nothing is computed."""
        return data


@contextmanager
def _sums_by(torch_itself: bool) -> Iterator[None]:
    """Who sums over edges and atoms in the compiled program, torch itself or Inductor.

    On CPUs the sums that Inductor 2.13 generates for several threads are wrong, or do not compile.
    """
    before = torch.get_deterministic_debug_mode()
    torch.use_deterministic_algorithms(torch_itself)
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(before)


def output_names(reader: str, grade: bool) -> tuple[str, ...]:
    """All outputs of a file in their order: those of a foreign reader, then the others."""
    wanted = (*OUTPUTS[reader], fields.TOTAL_ENERGY, fields.STRESS, fields.VIRIAL)
    graded = (fields.EXTRAPOLATION_GRADE,) if grade else ()
    return tuple(dict.fromkeys((*wanted, *graded)))


def export_structure(
    force_field: ForceField, grade: ExtrapolationGrade | None, outputs: tuple[str, ...]
) -> ExportedProgram:
    """Export a force field for one structure of any number of atoms and edges.

    Args:
        force_field: In evaluation mode, its parameters without gradients.
        grade: Of the same weights and on the same device; None for no grade.
        outputs: Names of what the program returns.

    Returns:
        A program of `INPUTS`.
    """
    model = PairStyleModel(force_field, grade).eval()

    def predict(*tensors: Tensor) -> tuple[Tensor, ...]:
        result = model(dict(zip(INPUTS, tensors, strict=True)))
        return tuple(result[name] for name in outputs)

    device = next(force_field.parameters()).device
    positions, species, edge_index, edge_shift, cell, _ = sample_inputs(device)
    inputs = (positions, edge_index, species, cell[:1], edge_shift)
    atoms, edges = Dim("atoms"), Dim("edges")
    sizes = ({0: atoms}, {1: edges}, {0: atoms}, None, {0: edges})
    return torch.export.export(trace(predict, inputs), inputs, dynamic_shapes=sizes)
