"""The verb `mlip deploy`: from `potential.mlip` to the verified file that ASE and LAMMPS load."""

import json
import logging
import tempfile
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from omegaconf import DictConfig
from torch import nn

from mlip.app import application
from mlip.deploy.aotinductor import save_aotinductor
from mlip.deploy.calculator import select_device
from mlip.deploy.gates import Standing, standing_of
from mlip.deploy.kernels import carry_kernels
from mlip.deploy.package import SUFFIX as PACKAGE_SUFFIX
from mlip.deploy.potential import Potential
from mlip.deploy.ranks import describe_reach, distribute
from mlip.deploy.torchscript import (
    EDGE_CUTOFFS,
    FOR_RANKS,
    GRADE_THRESHOLDS,
    SUFFIX,
    WITH_KERNELS,
    PairStyleModel,
    edge_cutoffs_to_text,
    save_torchscript,
)
from mlip.deploy.verify import TABLE_DISPLACEMENT, TABLE_TOLERANCES, Verification, verify_deployment
from mlip.errors import ConfigError, PotentialError
from mlip.inputs import as_names, resolve_input, sha256
from mlip.models.grade import ExtrapolationGrade
from mlip.nn.kernels.choose import resolve_kernel
from mlip.runs import Run

logger = logging.getLogger(__name__)

TARGETS = ("ase", "lammps")
SUFFIXES = {"torchscript": SUFFIX, "aotinductor": PACKAGE_SUFFIX}
# Keys of the manifest, and what the log calls them.
DIFFERENCES = {
    "differences": "differences from the potential",
    "differences_cpp": "those of the compiled kernels",
    "differences_table": "those of the table from the exact potential",
    "differences_table_displaced": "the same, with atoms displaced further",
}


def deploy_potential(
    potential: str | Path,
    out: Path,
    device: str = "auto",
    dtype: str | None = None,
    grade: bool = False,
    radial: str = "exact",
    file_format: str = "torchscript",
    kernel: str = "auto",
    reader: str = "ase",
) -> Path:
    """Write and verify a deployed file with its manifest.

    A TorchScript file carries compiled kernels for CPUs beside the plain model, if there is a compiler here;
    an AOTInductor file is of one back end.

    Args:
        potential: A `.mlip` file.
        out: A `.nequip.pth` or, for AOTInductor, `.nequip.pt2` file, or a folder for one named after the
            potential.
        device: Where the file will run.
        dtype: `float32` or `float64`; None keeps the potential's.
        grade: Whether the file also returns the extrapolation grade of each atom.
        radial: `exact`, or `table`: radial functions interpolated in a table, faster; the manifest says how
            far that is from the potential.
        file_format: `torchscript` or `aotinductor`.
        kernel: The back end that an AOTInductor file is made of; nequip's readers take `reference` only.
        reader: The foreign reader that takes an AOTInductor file: `ase` or `lammps`.

    Returns:
        The deployed file; `manifest.json` lies beside it.

    Raises:
        ConfigError: The file cannot be written there, or the model cannot have a table.
        PotentialError: The potential has no grade, or the deployed file does not give the potential's
            numbers; it is removed again.
    """
    start = time.monotonic()
    source = resolve_input(potential)
    chosen = Potential.load(source).astype(dtype)
    suffix = SUFFIXES[file_format]
    file = out if out.name.endswith(suffix) else out / f"{source.stem}{suffix}"
    where = select_device(device)
    fitted = _grade_of(chosen, source.name) if grade else None
    metadata = _metadata(chosen, radial, grade)
    _require_writable(file)
    unverified = file.with_name(f"unverified-{file.name}")
    verify = partial(verify_deployment, source, unverified, chosen.reference_structure, chosen.dtype)
    try:
        if file_format == "aotinductor":
            _write_package(chosen, unverified, metadata, fitted, where, kernel, reader)
            differences = _differences(partial(verify, device, "auto"), radial)
        else:
            with_kernels = _write_torchscript(chosen, unverified, metadata, fitted, where)
            differences = _differences(partial(verify, device, "reference"), radial)
            if with_kernels:
                differences["differences_cpp"] = verify("cpu", "cpp", radial)
        unverified.replace(file)
    finally:
        unverified.unlink(missing_ok=True)
    manifest = {
        "file": file.name,
        "sha256": sha256(file),
        "potential": {"file": str(source), "sha256": sha256(source)},
        "gates": asdict(standing_of(source)),
        "metadata": metadata,
        **{name: asdict(found) for name, found in differences.items()},
        "seconds": round(time.monotonic() - start, 1),
    }
    (file.parent / "manifest.json").write_text(json.dumps(manifest, indent=2))
    return file


def _write_package(
    potential: Potential,
    path: Path,
    metadata: dict[str, str],
    grade: ExtrapolationGrade | None,
    device: torch.device,
    kernel: str,
    reader: str,
) -> None:
    """Write an AOTInductor file of one back end."""
    force_field = potential.force_field(device, kernel, metadata["radial"])
    compiled_kernels = resolve_kernel(kernel, device) == "cpp"
    grade = grade.to(device) if grade else None
    save_aotinductor(force_field, metadata, path, grade, reader, compiled_kernels)


def _write_torchscript(
    potential: Potential,
    path: Path,
    metadata: dict[str, str],
    grade: ExtrapolationGrade | None,
    device: torch.device,
) -> bool:
    """Write a TorchScript file; whether there was a compiler, so that it holds more than the plain model."""
    radial = metadata["radial"]
    force_field = potential.force_field(device, "reference", radial)
    inside: dict[str, nn.Module] = {}
    try:
        compiled = distribute(potential.force_field("cpu", "cpp", radial))
        inside[WITH_KERNELS] = carry_kernels(PairStyleModel(compiled, grade))
        if metadata["vitreous_exchanged_bytes"] != "0":
            plain = distribute(potential.force_field(device, "reference", radial))
            inside[FOR_RANKS] = PairStyleModel(plain, deepcopy(grade).to(device) if grade else None)
    except ConfigError as error:
        logger.warning("the file will run on slow kernels, in one process: %s", error)
    grade = deepcopy(grade).to(device) if grade else None
    save_torchscript(force_field, metadata, path, grade, inside)
    return bool(inside)


def _grade_of(potential: Potential, name: str) -> ExtrapolationGrade:
    """The grade that was fitted when the potential was trained, on the CPU."""
    if potential.uncertainty is None:
        raise PotentialError(
            f"found no extrapolation grade in {name}; expected one for grade=true: train again, which "
            "fits it, or leave grade out"
        )
    return potential.uncertainty.grade


def _differences(verify: Callable[..., Verification], radial: str) -> dict[str, Verification]:
    """What `verify` finds, by the manifest's keys; of a table from the exact potential, too."""
    differences = {"differences": verify(radial)}
    if radial == "table":
        measure = partial(verify, tolerances=TABLE_TOLERANCES)
        differences["differences_table"] = measure()
        differences["differences_table_displaced"] = measure(displacement=TABLE_DISPLACEMENT)
    return differences


def _metadata(potential: Potential, radial: str, grade: bool) -> dict[str, str]:
    metadata = {
        "r_max": repr(potential.config.r_max),
        "num_types": str(len(potential.species)),
        "type_names": " ".join(potential.species),
        "allow_tf32": "0",
        "vitreous_format": "1",
        "model_dtype": potential.dtype,
        "trained_on_stress": str(int(potential.trained_on_stress)),
        "radial": radial,
        **describe_reach(potential.untrained_force_field()),
    }
    if potential.config.per_edge_type_cutoff:
        metadata[EDGE_CUTOFFS] = edge_cutoffs_to_text(potential.normalization.edge_cutoffs)
    if grade and potential.uncertainty is not None:
        known = potential.uncertainty
        metadata[GRADE_THRESHOLDS] = f"{float(known.select)!r} {float(known.stop)!r}"
    return metadata


def _require_writable(file: Path) -> None:
    """Make the folder, and find out whether it takes files before minutes are spent."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=file.parent):
            pass
    except OSError as error:
        raise ConfigError(
            f"cannot write {file} ({error.strerror}); choose another out= or run_dir="
        ) from None


def _warn_of_gates(standing: Standing) -> None:
    """Say which gates the potential has not passed, and what would help."""
    for name, advice in standing.failed.items():
        logger.warning("this potential failed the gate %s: %s", name, "; ".join(advice))
    if standing.untried:
        logger.warning(
            "this potential has not passed the gates %s: mlip eval gates=all tries them (docs/gates.md)",
            ", ".join(standing.untried),
        )


def run_deploy(config: DictConfig, run: Run) -> None:
    """Deploy as configured in `conf/deploy.yaml`."""
    targets = as_names(config.target)
    unknown = [target for target in targets if target not in TARGETS]
    if unknown:
        raise ConfigError(f"found target={', '.join(unknown)}; expected any of {', '.join(TARGETS)}")
    if config.format not in SUFFIXES:
        raise ConfigError(f"found format={config.format}; expected {' or '.join(SUFFIXES)}")
    if not isinstance(config.grade, bool):
        raise ConfigError(f"found grade={config.grade}; expected true or false")
    out = Path(config.out) if config.out else run.path
    file = deploy_potential(
        config.potential,
        out,
        config.device,
        config.dtype,
        config.grade,
        config.radial,
        config.format,
        config.kernel,
        reader="lammps" if targets == ["lammps"] else "ase",
    )
    manifest = json.loads((file.parent / "manifest.json").read_text())
    logger.info("deployed and verified %s in %.0f s", file, manifest["seconds"])
    for key, what in DIFFERENCES.items():
        if key in manifest:
            numbers = ", ".join(f"{name} {value:.1e}" for name, value in manifest[key].items())
            logger.info("%s: %s", what, numbers)
    _warn_of_gates(Standing(**manifest["gates"]))
    if "lammps" in targets:
        species = manifest["metadata"]["type_names"]
        logger.info("in LAMMPS: pair_style nequip; pair_coeff * * %s %s", file, species)


main = application("deploy", run_deploy, inputs=("potential",))
